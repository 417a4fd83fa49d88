"""What doctor says of Production: moved past the ledger, or refuted by a rerun."""

import pytest
from registered_models import model_folder, register
from verdicts import say_verdict

from streamflow.operations.health import doctor
from streamflow.postgres.connection import transaction
from streamflow.promotion.ledger import entries, move, protect_ledger
from streamflow.trust.store import moves_in_git


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
    """What doctor finds wrong with Production."""
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", module_database_url)
    return lambda: [str(problem) for problem in doctor.production().problems]


def test_production_that_was_moved_past_the_ledger_is_named(registry, versions, module_database_url, whats):
    first, second = versions
    move(module_database_url, registry, "promote", registry.load(registry.version(first)), "by the ledger")
    assert whats() == []
    registry.promote(second)
    (problem,) = whats()
    assert f"version {second} is Production by other means than streamflow" in problem
    assert f"the last move in the ledger is to version {first}" in problem
    move(module_database_url, registry, "rollback", registry.load(registry.version(first)), "back")
    assert whats() == []


def test_production_whose_last_rerun_diverged_is_named(registry, versions, module_database_url, whats):
    move(module_database_url, registry, "promote", registry.load(registry.version(versions[0])), "again")
    commit = registry.version(versions[0]).tags["streamflow.git_commit"]
    say_verdict(commit, "diverged", at="2024-01-01T00:00:00Z", model="0" * 64)
    (problem,) = whats()
    assert "is refuted: this machine (" in problem
    assert "derived it again and it diverged, first at train: code: x" in problem
    assert "`streamflow rollback`" in problem
    say_verdict(commit, at="2024-01-02T00:00:00Z")
    assert whats() == []
    registry.set_tags(versions[0], {"rerun_verdict": "diverged"})  # a tag says nothing
    assert whats() == []


def test_a_line_that_the_owner_of_the_database_writes_into_the_ledger_is_named(
    registry, versions, module_database_url, whats
):
    move(module_database_url, registry, "promote", registry.load(registry.version(versions[0])), "signed")
    with transaction(module_database_url) as cursor:
        cursor.execute(
            "INSERT INTO ledger.production (who, action, to_version, why, gates) VALUES ('me', 'promote', %s, 'mine', '{}')",
            (versions[1],),
        )
    (problem,) = whats()
    assert problem == (
        "the last row of the ledger does not count: nobody signed it; `streamflow history` shows what is signed"
    )
    assert str(registry.version("Production").version) == versions[0]
    move(module_database_url, registry, "promote", registry.load(registry.version(versions[0])), "signed later")
    assert whats() == []


def test_moves_that_were_deleted_from_the_database_are_named_and_come_back_from_git(
    registry, versions, module_database_url, whats
):
    move(module_database_url, registry, "promote", registry.load(registry.version(versions[1])), "the last one")
    with transaction(module_database_url) as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM ledger.production WHERE why = 'the last one'")
    number = len(moves_in_git())
    assert f"the ledger lacks move {number} of Production, which git has" in whats()[0]
    assert str(registry.version("Production").version) == versions[1]
    assert protect_ledger(module_database_url) == [f"the ledger lacked move {number} of Production"]
    assert whats() == []
    assert [entry.why for entry in entries(module_database_url)][-1] == "the last one"
