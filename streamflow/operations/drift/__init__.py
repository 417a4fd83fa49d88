"""`streamflow drift`: features, label and score of two frozen months compared, and a verdict by policy.

Pure: shifts, two_sample, verdict.
"""
