"""Where a result came from: git, DVC's cache, the record of a run, and what differs between two results.

Pure: comparison, erasures, problems, record, remainders, result.
"""
