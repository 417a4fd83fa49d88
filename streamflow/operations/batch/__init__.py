"""`streamflow batch`: scores of all users of a frozen month, with reasons if asked for.

Pure: reasons, scorer.
"""
