"""The report in two layers: the evaluation, which depends on its inputs only, and the published report of a version.

Pure: charts.
"""
