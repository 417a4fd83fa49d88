"""`streamflow tune`: a seeded search for settings, its best written as an experiment.

Pure: experiment, search.
"""
