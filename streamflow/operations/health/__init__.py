"""`streamflow doctor` and `fsck`: every precondition and every stored byte, each with what puts it right.

Pure: none.
"""
