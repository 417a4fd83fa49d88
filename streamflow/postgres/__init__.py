"""PostgreSQL: the server that a URL names or the embedded one, and connections to it.

Pure: none.
"""
