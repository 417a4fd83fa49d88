"""The live tables and the append-only history of every month, and whether they still say what was recorded.

Pure: differences.
"""
