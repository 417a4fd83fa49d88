"""StreamFlow churn: what every room may use (core), the stations of the pipeline, and what a person does with a result.

Pure: none.
"""
