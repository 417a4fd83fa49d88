"""Frozen months: checked against dvc.lock, read and counted.

Pure: none.
"""
