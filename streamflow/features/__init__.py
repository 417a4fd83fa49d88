"""The training set: Feast's point-in-time join, the label, the part of each user.

Pure: dataset, splits.
"""
