"""Erase users: from the database, frozen months, objects of DVC, MLflow's files and logs, and prove it.

Pure: none.
"""
