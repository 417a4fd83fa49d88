"""The model: recipe, fit, calibration, threshold, its export to ONNX and the scores it gives.

Pure: calibration, card, estimators, export, recipe, scoring, sklearn_pipeline, thresholds, training.
"""
