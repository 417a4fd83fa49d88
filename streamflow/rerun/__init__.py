"""`streamflow rerun`: derive a result again in a clone of its own, compare it byte by byte, and attest the verdict.

Pure: verdict.
"""
