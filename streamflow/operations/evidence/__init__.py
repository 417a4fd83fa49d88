"""`streamflow evidence` and `verify`: all that is signed about a model in one archive, and its check by a stranger.

Pure: bill, claims, composition, contents, golden, layout, model_signing, moves, readme, rebuilders, subject, words.
"""
