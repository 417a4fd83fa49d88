"""The report in two layers: what its inputs determine, and what is published of a version.

Pure: charts.
"""
