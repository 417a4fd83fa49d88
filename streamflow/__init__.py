"""StreamFlow churn: the ground beside this file, the stations of the pipeline, and what a person does with a result.

The ground holds what every room may use: the schema, the typed configuration, the calendar, digests, Arrow types, errors.
Pure: arrow, calendar, config, digest, errors, estimators, schema.
"""
