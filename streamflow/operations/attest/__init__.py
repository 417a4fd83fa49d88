"""`streamflow attest`: signed statements to and from other clones, by files and by a git remote.

Pure: none.
"""
