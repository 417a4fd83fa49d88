"""Which version becomes Production: the comparison with the champion, the gates, the ledger of moves.

Pure: challenge, decisions, entries, leakage, overlap, standing.
"""
