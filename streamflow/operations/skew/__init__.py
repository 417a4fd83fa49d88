"""`streamflow check-skew`: online features and scores against offline ones, every user.

Pure: compare.
"""
