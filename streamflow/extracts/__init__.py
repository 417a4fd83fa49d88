"""The monthly extracts: read from CSV files or generated, and validated before anything is written.

Pure: allowed_values, chance, mapping, plausibility, synthetic, validation.
"""
