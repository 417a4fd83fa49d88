"""What every room may use: the schema, the typed configuration, the calendar, digests, Arrow types and errors.

Pure: arrow, calendar, commitments, config, config_checks, digest, errors, schema, source_mapping, yaml_text.
"""
