"""MLflow: model versions registered, found, verified and served, and the decision that is kept with each.

Pure: decision, loading.
"""
