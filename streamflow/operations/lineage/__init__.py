"""`streamflow lineage`, `diff` and `tag`: where a result came from, and its name in git.

Pure: tag_message.
"""
