"""`streamflow repro`: compose params.yaml, run the pipeline, restore the tracked files if it fails.

Pure: none.
"""
