"""Stage `register` over a real MLflow: policies, and a challenger against the champion on the same test users."""

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from streamflow.cli.models import models
from streamflow.cli.rollback import rollback
from streamflow.core.errors import ModelError
from streamflow.operations.promote.gates import version_gates
from streamflow.promotion.ledger import entries
from streamflow.registry.decision import decision_of
from streamflow.registry.registry import open_registry

pytestmark = pytest.mark.filterwarnings("default")


def gates_of_the_second(workspace):
    return version_gates(open_registry(workspace.url), workspace.version("2"), workspace.version("1"))


def test_never_promotes_nothing_and_auto_decides_again(workspace):
    workspace.train(1.0, "a")
    never = {"version": "1", "production": "none", "reason": "promotion.policy is never"}
    assert workspace.register("never") == never
    assert workspace.register("never")["reason"] == "registered before; Production stays"
    assert workspace.register("auto")["production"] == "1"


def test_manual_compares_and_leaves_the_decision_to_a_person_and_auto_decides_again(workspace):
    workspace.train(0.00001, "a")
    first = workspace.register("manual")
    assert first["production"] == "none"
    assert first["reason"] == (
        "promotion.policy is manual, `streamflow promote vN` decides; there was no Production version"
    )
    assert workspace.register("manual")["reason"] == "registered before; Production stays"
    assert workspace.register("auto")["production"] == "1"
    workspace.train(1.0, "b")
    second = workspace.register("manual")
    assert (second["version"], second["production"]) == ("2", "1")
    assert second["reason"].startswith("promotion.policy is manual, `streamflow promote vN` decides; roc_auc 0.")
    record = decision_of(workspace.version("2"))
    assert (record.promote, record.rule.policy, record.champion_version) == (False, "manual", "1")
    assert record.comparison.metrics["roc_auc"].low > 0
    gates = gates_of_the_second(workspace)
    assert {gate.name for gate in gates if gate.passed} >= {"leakage", "overlap", "champion"}
    assert workspace.register("auto")["production"] == "2"


def test_an_equal_challenger_is_refused(workspace):
    workspace.train(1.0, "a")
    workspace.register()
    workspace.train(1.0, "b")
    refused = workspace.refused()
    assert (
        refused
        == f"equal: it ranks the users like the champion, version 1, on the same {workspace.test_users()} test users"
    )


def test_a_challenger_that_is_worse_is_refused_with_the_numbers(workspace):
    better, _ = workspace.train(1.0, "a")
    workspace.register()
    worse, _ = workspace.train(0.00001, "b")
    refused = workspace.refused()
    assert refused.startswith(
        f"roc_auc {worse:.4f} against the champion's {better:.4f} (version 1) on the same {workspace.test_users()} test"
        f" users: worse by {better - worse:.4f}, with 95 % confidence by at least 0."
    )
    shut = {
        gate.name: gate.detail
        for gate in version_gates(open_registry(workspace.url), workspace.version("2"), workspace.version("1"))
    }
    assert shut["champion"].startswith(f"roc_auc {worse:.4f} is below {better:.4f} of the champion, version 1")


def test_a_challenger_that_is_better_by_less_than_delta_is_refused(workspace):
    workspace.train(0.00001, "a")
    workspace.register()
    workspace.train(1.0, "b")
    refused = workspace.refused(delta=0.3)
    assert ": better by 0." in refused
    assert refused.endswith(", less than promotion.delta=0.3")


def test_a_difference_that_could_be_chance_is_refused(workspace):
    workspace.train(0.3, "a")
    workspace.register()
    workspace.train(1.0, "b")
    assert workspace.refused(confidence=0.999, resamples=5000).endswith(", not better with 99.9 % confidence")
    record = decision_of(workspace.version("2"))
    assert (record.rule.confidence, record.rule.resamples, record.rule.seed) == (0.999, 5000, 42)
    assert record.comparison.users == workspace.test_users()


def test_a_champion_of_other_features_is_compared_on_the_frozen_files(workspace):
    workspace.train(1.0, "a", "churn_v2")
    workspace.register(service="churn_v2")
    workspace.freeze()
    worse, _ = workspace.train(0.00001, "b")
    assert "contract_type" not in pq.read_schema("data/dataset/dataset.parquet").names
    refused = workspace.refused()
    assert f"roc_auc {worse:.4f} against the champion's" in refused
    champion = open_registry(workspace.url).production()
    of_its_run = open_registry(workspace.url).run_metrics(champion)
    compared = decision_of(workspace.version("2")).comparison.metrics
    assert {name: compared[name].champion for name in compared} == {name: of_its_run[name] for name in compared}


def test_a_snapshot_that_is_not_the_locked_one_is_not_compared_with(workspace):
    workspace.train(1.0, "a", "churn_v2")
    workspace.register(service="churn_v2")
    workspace.freeze()
    (workspace.folder / "data/snapshots/2024-01-31/users.parquet").unlink()
    workspace.train(1.0, "b")
    with pytest.raises(ModelError, match=r"data/snapshots/2024-01-31 differs from dvc\.lock"):
        workspace.register()


def test_a_better_challenger_is_promoted_with_the_numbers_in_the_ledger_and_rolled_back(workspace, monkeypatch):
    champion, _ = workspace.train(0.00001, "a")
    workspace.register()
    challenger, _ = workspace.train(1.0, "b")
    promoted = workspace.register()
    assert promoted["production"] == "2"
    registry = open_registry(workspace.url)
    version = registry.production()
    record = decision_of(version)
    each = record.comparison.metrics["roc_auc"]
    assert (each.challenger, each.champion) == (challenger, champion)
    assert 0 < each.low < each.delta < each.high
    line = entries(workspace.url)[-1]
    assert (line.from_version, line.to_version, line.gates) == ("1", "2", {})
    assert line.why == f"by policy: {promoted['reason']}"
    assert f"better by {each.delta:.4f}, with 95 % confidence by at least {each.low:.4f}" in line.why
    assert version.tags["streamflow.decision"] == f"promoted: {promoted['reason']}"

    metrics = registry.run_metrics(version)
    assert metrics["champion_roc_auc"] == champion
    assert (metrics["cv_roc_auc"], metrics["cv_roc_auc_fold_sd"]) == (0.75, 0.01)
    assert (metrics["delta_roc_auc"], metrics["delta_roc_auc_low"]) == (each.delta, each.low)
    assert metrics["delta_average_precision_high"] == record.comparison.metrics["average_precision"].high
    kept = json.loads(registry.attached(version, "decision.json"))
    assert kept == record.to_json() == json.loads(version.tags["streamflow.comparison"])
    assert [(gate["name"], gate["state"]) for gate in kept["gates"]] == [
        (name, "open")
        for name in ("leakage", "overlap", "clean git tree", "code", "environment", "source drift", "derived again")
    ]

    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", workspace.url)
    back = CliRunner().invoke(rollback, ["--reason", "it was a trial", "--json"])
    assert back.exit_code == 0
    told = json.loads(back.stdout)
    assert [told[name] for name in ("action", "from_version", "to_version", "why")] == [
        "rollback", "2", "1", "it was a trial",
    ]  # fmt: skip
    assert str(registry.production().version) == "1"
    last = entries(workspace.url)[-1]
    for number in ("1", "2"):
        description = workspace.version(number).description
        assert description == f"random_forest on churn_v1 as of 2024-01-31\n\n{last.in_one_line()}"
        assert description.endswith(": rollback 2 to 1: it was a trial")
    listed = json.loads(CliRunner().invoke(models, ["--json"]).output)
    assert [each["model"] for each in listed] == ["random_forest on churn_v1 as of 2024-01-31"] * 2
    assert listed[0]["decision_in_short"] == f"promoted, roc_auc {each.delta:+.4f}"
    assert listed[0]["comparison"] == record.to_json()
    table = CliRunner().invoke(models, []).output
    assert table.split()[:6] == ["version", "model", "as", "of", "metrics", "alias"]
    assert f"decision: promoted, roc_auc {each.delta:+.4f}; source " in table
    assert "it was a trial" not in table
