"""What stands around every stage: its parameters, its audit, where files lie, and how dvc.yaml and dvc.lock are read.

Pure: layout, lock.
"""
