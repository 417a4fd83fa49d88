"""MLflow: versions made, found, proven and served, and the decision that is kept with each.

Pure: decision, loading.
"""
