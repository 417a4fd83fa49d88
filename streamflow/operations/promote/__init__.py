"""`streamflow promote`: what must hold before a person makes a version Production.

Pure: none.
"""
