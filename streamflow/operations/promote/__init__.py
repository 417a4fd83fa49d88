"""`streamflow promote`: the gates before a person makes a version Production.

Pure: none.
"""
