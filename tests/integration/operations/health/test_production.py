"""What doctor says of Production: moved past the ledger, or refuted by a rerun."""

import pytest
from registered_models import model_folder, register

from streamflow.operations.health import doctor
from streamflow.promotion.ledger import move


@pytest.fixture(scope="module")
def versions(registry, rows, tmp_path_factory):
    """Two registered versions."""
    made = []
    for name, strength in (("first", 1.0), ("second", 0.5)):
        folder, digest = model_folder(tmp_path_factory.mktemp(name), rows, strength)
        made.append(str(register(registry, folder, digest, name).version))
    return made


@pytest.fixture
def whats(monkeypatch, module_database_url):
    """What doctor finds wrong with Production, but for the commit, which these versions only claim to have."""
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", module_database_url)
    monkeypatch.setattr(doctor, "resolve", lambda ref: "c" * 40)
    monkeypatch.setattr(doctor, "file_at", lambda commit, path: b"a lock")
    return lambda: [str(problem) for problem in doctor.production().problems]


def test_production_that_was_moved_past_the_ledger_is_named(registry, versions, module_database_url, whats):
    first, second = versions
    move(module_database_url, registry, "promote", first, "by the ledger")
    assert whats() == []
    registry.promote(second)
    (problem,) = whats()
    assert f"version {second} is Production by other means than streamflow" in problem
    assert f"the last move in the ledger is to version {first}" in problem
    move(module_database_url, registry, "rollback", first, "back")
    assert whats() == []


def test_production_whose_last_rerun_diverged_is_named(registry, versions, module_database_url, whats):
    move(module_database_url, registry, "promote", versions[0], "again")
    registry.set_tags(versions[0], {"rerun_verdict": "diverged"})
    (problem,) = whats()
    assert f"the last rerun of version {versions[0]} diverged" in problem
    registry.set_tags(versions[0], {"rerun_verdict": "identical"})
    assert whats() == []
