"""What every stage needs: its parameters, its audit, the paths of files, and readers of dvc.yaml and dvc.lock.

Pure: layout, lock.
"""
