"""How good a model is: scores, their spread over folds, importance, segments.

Pure: cross_validation, importance, metrics, segments.
"""
