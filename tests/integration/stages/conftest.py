"""The project folder of the tests of stage `register`."""

import pytest
from register_workspace import Workspace

from streamflow.pipeline.file_digest import file_sha256
from streamflow.promotion import gates


@pytest.fixture
def workspace(tmp_path, registry_database_url, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # The stages are not in this folder; tests/e2e fits again for real.
    monkeypatch.setattr(gates, "refit_sha256", lambda: file_sha256(tmp_path / "artifacts/model/model.onnx"))
    return Workspace(tmp_path, registry_database_url)
