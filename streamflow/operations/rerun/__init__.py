"""`streamflow rerun`: a result derived again in a clone of its own, compared byte by byte, and attested.

Pure: attestation, verdict.
"""
