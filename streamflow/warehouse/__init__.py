"""The live tables and the append-only history of every month, and whether they still match what was recorded.

Pure: chain, differences, recorded_columns.
"""
