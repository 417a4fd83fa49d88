"""Somebody owns MLflow's tables and files: what a person does then must not help them."""

import json

import pytest
from click.testing import CliRunner
from verdicts import say_verdict

from streamflow.cli.promote import promote
from streamflow.cli.rollback import rollback
from streamflow.operations.promote import gates as promotion
from streamflow.operations.promote.gates import version_gates
from streamflow.postgres.connection import transaction
from streamflow.promotion.ledger import entries
from streamflow.registry.registry import open_registry

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def command(workspace, monkeypatch):
    """A function that runs a command of the command line; why it refuses, in words."""
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", workspace.url)
    monkeypatch.setattr(promotion, "health_gates", lambda: [])  # what doctor finds here is not what is asked

    def run(group, *arguments):
        done = CliRunner().invoke(group, arguments)
        assert (done.exception is None) == (done.exit_code == 0)
        return done.stderr if isinstance(done.exception, SystemExit) else str(done.exception or "")

    return run


def become(workspace, version, other):
    """Let a version be another one: run, files, tags."""
    with transaction(workspace.url) as cursor:
        cursor.execute(
            "UPDATE mlflow.model_versions v SET run_id = o.run_id, source = o.source, storage_location = o.storage_location"
            " FROM mlflow.model_versions o WHERE v.version = %s AND o.version = %s",
            (version, other),
        )
        cursor.execute("DELETE FROM mlflow.model_version_tags WHERE version = %s", (version,))
        cursor.execute(
            "INSERT INTO mlflow.model_version_tags (workspace, name, version, key, value)"
            " SELECT workspace, name, %s, key, value FROM mlflow.model_version_tags WHERE version = %s",
            (version, other),
        )


def test_scores_that_somebody_wrote_into_the_registry_do_not_beat_the_champion(workspace):
    better, _ = workspace.train(1.0, "a")
    workspace.register()
    worse, _ = workspace.train(0.00001, "b")
    workspace.register()
    registry = open_registry(workspace.url)
    second = registry.version("2")
    registry.log_metrics(second, {"roc_auc": 0.99})
    record = json.loads(second.tags["streamflow.comparison"])
    record["comparison"]["metrics"]["roc_auc"] |= {"challenger": 0.99, "champion": 0.5}
    registry.set_tags("2", {"comparison": json.dumps(record)})
    shut = {gate.name: gate.detail for gate in version_gates(registry, registry.version("2"), registry.version("1"))}
    assert shut["champion"] == (
        f"roc_auc {worse:.4f} is below {better:.4f} of the champion, version 1, on the same users"
    )


def test_a_version_that_is_another_one_now_is_neither_rolled_back_to_nor_promoted(workspace, command):
    for strength, name, policy in ((0.00001, "a", "auto"), (1.0, "b", "auto"), (0.3, "c", "never")):
        workspace.train(strength, name)
        workspace.register(policy)
    assert [each.to_version for each in entries(workspace.url)] == ["1", "2"]
    say_verdict(workspace.version("3").tags["streamflow.git_commit"])
    become(workspace, 1, 3)
    for said in (command(rollback), command(promote, "v1")):
        assert "version 1 holds model " in said
        assert ", the signed move of Production is to model " in said
    assert [each.to_version for each in entries(workspace.url)] == ["1", "2"]
    assert str(open_registry(workspace.url).production().version) == "2"


def test_a_version_of_uncommitted_code_is_not_adopted(workspace, command):
    """To derive it again would run a file that whoever owns the registry wrote."""
    params = workspace.folder / "params.yaml"
    params.write_text(params.read_text().replace("min_samples_leaf: 8", "min_samples_leaf: 9"))
    workspace.train(1.0, "a")
    workspace.register()
    open_registry(workspace.url).promote("1")
    said = command(promote, "--adopt")
    assert "version 1 was trained on files that are not committed, so nobody can sign for it" in said
    assert entries(workspace.url) == []
