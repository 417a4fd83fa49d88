"""The project folder of the tests of stage `register`."""

import functools

import pytest
from register_workspace import Workspace

from streamflow.pipeline import environment
from streamflow.pipeline.file_digest import file_sha256
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
    # The stages are not in this folder; tests/e2e fits again for real.
    monkeypatch.setattr(gates, "refit_sha256", lambda: file_sha256(tmp_path / "artifacts/model/model.onnx"))
    return Workspace(tmp_path, registry_database_url)
