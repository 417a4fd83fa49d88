"""The command line: one file for each command, which parses arguments, calls a room and prints lines.

Pure: examples.
"""
