"""Who vouches for a model: keys, signed statements, where they are kept, and what a version must show to be used.

Pure: acceptance, chain, claims, envelope, trusted.
"""
