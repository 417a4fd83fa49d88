"""`streamflow evidence` and `verify`: all that is signed about a model in one archive, and its check by a stranger.

Pure: bill, claims, contents, golden, layout, model_signing, readme, subject, words.
"""
