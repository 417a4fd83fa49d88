"""PostgreSQL: the server at STREAMFLOW_DATABASE_URL or the embedded one, and connections to it.

Pure: append_only.
"""
