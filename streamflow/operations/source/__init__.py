"""A team's own extracts before they are loaded: what a mapping would load of them, and a first mapping proposed.

Pure: propose, samples, similarity.
"""
