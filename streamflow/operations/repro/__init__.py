"""`streamflow repro`: compose params.yaml, run the pipeline, put tracked files back if it was refused.

Pure: none.
"""
