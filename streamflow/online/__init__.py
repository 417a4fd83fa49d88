"""The online store: the Feast tables of one month, published in one transaction, and the reader of their rows.

Pure: tables, values.
"""
