"""The command line: one file for each command; arguments in, a room called, lines out.

Pure: none.
"""
