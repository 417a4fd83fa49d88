"""For all tests: how long an example takes is no property of the code (a busy machine failed one), and where they write."""

import shutil
import tempfile

import pytest
from hypothesis import settings

settings.register_profile("streamflow", deadline=None)
settings.load_profile("streamflow")


def pytest_configure(config):
    """Give a suite a temporary folder of its own.

    Those of a user's suites share a parent that pytest closes (mode 0700) whenever one starts. The embedded server of a
    suite that root runs, which is another user's process, could not be started below it any more.
    """
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="streamflow-tests-")
        config.stash[_OWN] = config.option.basetemp


def pytest_sessionfinish(session, exitstatus):
    """Leave the folder for a look if something failed."""
    if exitstatus == pytest.ExitCode.OK and _OWN in session.config.stash:
        shutil.rmtree(session.config.stash[_OWN], ignore_errors=True)


_OWN = pytest.StashKey[str]()
