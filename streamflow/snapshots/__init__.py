"""Frozen months: read as proven by dvc.lock, and counted.

Pure: none.
"""
