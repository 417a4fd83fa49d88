"""What every replica's process does first."""

import os

from streamflow.adapters.environment import silence_telemetry
from streamflow.adapters.postgres import hold_database


def prepare(root: str) -> str:
    """Work in the project's root as the stages do; returns the URL of the database, up while this process lives."""
    os.chdir(root)
    silence_telemetry()
    return hold_database()
