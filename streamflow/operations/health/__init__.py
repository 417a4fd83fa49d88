"""`streamflow doctor` and `fsck`: checks of every precondition and every stored byte, each with its fix.

Pure: none.
"""
