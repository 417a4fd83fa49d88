"""Drills: proofs that take longer than a test suite may. `make drills` runs them; each is `python -m drills.NAME`.

Every drill works on a copy of this project in a temporary folder, with real servers, and prints one line for each case and
a closing count; the exit code is 0 only if every case held. `make mutants` runs the one that judges the unit tests
(drills/mutants.py): it needs a tool of its own and leaves every file as it is.
"""

import sys
from pathlib import Path

# The copy of the project and its helpers are those of the test suite.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
# What `make mutants` installs for itself.
sys.path.append(str(Path(__file__).resolve().parents[1] / "var" / "mutants"))

from streamflow.pipeline.environment import silence_telemetry

silence_telemetry()
