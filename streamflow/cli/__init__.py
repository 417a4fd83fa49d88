"""The `streamflow` command."""
