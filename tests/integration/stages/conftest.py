"""The project folder of the tests of stage `register`."""

import functools

import pytest
from register_workspace import Workspace
from verdicts import say_verdict

from streamflow.pipeline import environment
from streamflow.promotion import gates
from streamflow.trust import installed

# Reading what is installed takes a third of each test, and is the same for all.
installed_packages = functools.cache(environment.installed_packages)


@pytest.fixture
def workspace(tmp_path, registry_database_url, monkeypatch):
    monkeypatch.setattr(environment, "installed_packages", installed_packages)
    # The key that signed its record is in no state folder of a test; tests/e2e reads the record for real.
    monkeypatch.setattr(installed, "content_differences", lambda prefix, lock: [])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # The stages are not in this folder; tests/e2e derives again for real.
    monkeypatch.setattr(gates, "derive_again", derive_again)
    return Workspace(tmp_path, registry_database_url)


def derive_again(registry, number, model_sha256, say):
    """A rerun that is identical."""
    say_verdict(registry.version(number).tags["streamflow.git_commit"])
