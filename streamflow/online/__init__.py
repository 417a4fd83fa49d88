"""The online store: the Feast tables of one month, published whole, and rows read from them.

Pure: tables, values.
"""
