"""Stage `register` over a real MLflow: what shuts the way to Production whatever the scores say."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from click.testing import CliRunner
from register_workspace import SPLIT, replaced
from verdicts import say_verdict

from streamflow.cli.promote import promote
from streamflow.core.errors import ModelError
from streamflow.features.splits import split_by_user
from streamflow.operations.promote import gates as promotion
from streamflow.operations.promote.gates import version_gates
from streamflow.pipeline.file_digest import file_sha256
from streamflow.promotion import gates
from streamflow.promotion.ledger import entries
from streamflow.registry.decision import decision_of
from streamflow.registry.references import find_target
from streamflow.registry.registry import open_registry
from streamflow.rerun.rerun import rerun

pytestmark = pytest.mark.filterwarnings("default")


def test_a_model_that_saw_a_leaked_column_is_refused_even_as_the_first(workspace):
    label = workspace.rows["churn_label"].to_pylist()
    leaked = pa.array([int(churned) * 5 for churned in label], pa.int64())
    workspace.rows = replaced(workspace.rows, "skips_7d", leaked)
    workspace.train(1.0, "a")
    assert workspace.refused() == (
        "gate leakage: skips_7d alone ranks the test users with ROC AUC 1.0000, above promotion.leak_auc=0.95: it reveals"
        " the label; train without it, or on an earlier value"
    )
    assert workspace.register()["reason"] == "registered before; Production stays"
    shut = {
        gate.name for gate in version_gates(open_registry(workspace.url), workspace.version("1"), None) if gate.detail
    }
    assert "leakage" in shut
    assert workspace.register(leak_auc=1.0)["production"] == "1"  # a limit of 1 is none


def test_a_feature_that_is_dated_after_as_of_is_refused(workspace):
    later = [datetime(2024, 1, 31, tzinfo=UTC)] * (workspace.rows.num_rows - 2) + [
        datetime(2024, 2, 29, tzinfo=UTC)
    ] * 2
    workspace.rows = replaced(workspace.rows, "as_of", pa.array(later, pa.timestamp("us", tz="UTC")))
    workspace.train(1.0, "a")
    assert workspace.refused().startswith("gate leakage: 2 rows of data/dataset are dated after as_of=2024-01-31;")


def test_a_model_judged_by_users_who_trained_the_champion_is_refused(workspace, monkeypatch):
    workspace.train(0.00001, "a")
    workspace.register()
    split = {**SPLIT, "salt": "another"}
    workspace.set("split", **split)
    workspace.commit()
    users = workspace.rows["user_id"].to_pylist()
    before = set(workspace.test_user_ids())
    workspace.rows = replaced(workspace.rows, "split", pa.array(split_by_user(users, **split)))
    workspace.train(1.0, "b")
    workspace.commit()
    trained = len(set(workspace.test_user_ids()) - before)
    assert 0 < trained < workspace.test_users()
    assert workspace.refused() == (
        f"gate overlap: {trained} of {workspace.test_users()} test users trained the champion, version 1 (split.salt was s,"
        " is another); `streamflow repro split.salt=s`, or `streamflow promote vN --force --reason WHY`"
    )
    compared = decision_of(workspace.version("2")).comparison
    assert compared.users == workspace.test_users() - trained  # held out by both

    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", workspace.url)
    monkeypatch.setattr(promotion, "health_gates", lambda: [])  # what doctor finds here is not what is asked
    by_hand = CliRunner().invoke(promote, ["v2"])
    assert by_hand.exit_code == 1
    assert f"overlap: {trained} of" in by_hand.stderr
    assert str(open_registry(workspace.url).production().version) == "1"
    assert CliRunner().invoke(promote, ["v2", "--force", "--reason", "a new split"]).exit_code == 0
    line = entries(workspace.url)[-1]
    assert (line.to_version, line.gates["overlap"][: len(f"{trained} of")]) == ("2", f"{trained} of")
    said = workspace.version("2").description.splitlines()[-1]
    assert said == line.in_one_line()
    assert ": a new split; failed gates overridden: " in said


def test_promoting_what_is_production_already_says_so_and_writes_nothing(workspace, monkeypatch):
    workspace.train(1.0, "a")
    workspace.commit()
    workspace.register()
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", workspace.url)
    monkeypatch.setattr(promotion, "health_gates", lambda: [])
    before = everything_of(workspace)
    assert len(before["moves"]) == 1
    for more in ([], ["--reason", "once more"], ["--force", "--reason", "once more"]):
        done = CliRunner().invoke(promote, ["v1", *more], catch_exceptions=False)
        assert done.exit_code == 0
        assert done.output.splitlines()[-1] == "version 1 is Production already; nothing was moved or written"
        assert everything_of(workspace) == before

    done = CliRunner().invoke(promote, ["v1", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout) == {
        "version": "1",
        "promoted": True,
        "moved": False,
        "why": "version 1 is Production already; nothing was moved or written",
        "failed_gates": {},
    }
    assert everything_of(workspace) == before

    failed = gates.Gate("git", "stages/train.py changed since the commit")
    monkeypatch.setattr(promotion, "health_gates", lambda: [failed])
    refused = CliRunner().invoke(promote, ["v1"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith(
        "streamflow: v1 is Production already and stays it, but would not be promoted now: git: stages/train.py changed"
    )
    refused = CliRunner().invoke(promote, ["v1", "--json"])
    assert refused.exit_code == 1
    told = json.loads(refused.stdout)
    assert (told["promoted"], told["moved"]) == (False, False)
    assert told["failed_gates"] == {"git": "stages/train.py changed since the commit"}
    assert everything_of(workspace) == before


def everything_of(workspace):
    """What a promotion writes: moves, tags and description of version 1, files of its run, tags of git."""
    version = workspace.version("1")
    files = sorted((workspace.folder / "var/mlartifacts").rglob("*"))
    return {
        "moves": entries(workspace.url),
        "version": (version.tags, version.description, version.last_updated_timestamp),
        "files": [(path, path.read_bytes()) for path in files if path.is_file()],
        "git": workspace.git("for-each-ref"),
    }


def test_a_training_set_whose_split_is_not_the_hash_s_is_refused(workspace):
    first, *others = workspace.rows["split"].to_pylist()
    parts = ["train" if first == "test" else "test", *others]
    workspace.rows = replaced(workspace.rows, "split", pa.array(parts))
    workspace.train(1.0, "a")
    refused = workspace.refused()
    assert refused.startswith(
        "gate overlap: 1 of 600 users of data/dataset are in another part than the section split of"
    )


def test_a_dirty_run_is_registered_with_its_changes_and_waits_for_a_commit(workspace):
    params = workspace.folder / "params.yaml"
    params.write_text(params.read_text().replace("min_samples_leaf: 8", "min_samples_leaf: 9"))
    (workspace.folder / "streamflow").mkdir()
    (workspace.folder / "streamflow/new_helper.py").write_text("x = 1\n")
    workspace.train(1.0, "a")
    refused = workspace.register()
    assert (refused["version"], refused["production"]) == ("1", "none")
    assert refused["reason"].startswith(
        "gate clean git tree: params.yaml changed since the commit; streamflow/new_helper.py not committed"
    )
    (version,) = open_registry(workspace.url).versions()
    assert version.tags["streamflow.git_dirty"] == "true"
    (patch,) = (workspace.folder / "var/mlartifacts").rglob("changes.patch")
    assert file_sha256(patch) == version.tags["streamflow.changes_sha256"]
    assert "+  min_samples_leaf: 9" in patch.read_text()
    assert "+x = 1" in patch.read_text()
    assert "dvc.lock" in patch.read_text()  # it is in no commit either
    assert workspace.register()["reason"] == "registered before; Production stays"
    assert find_target("v1", open_registry(workspace.url)).unsigned_changes == ""
    first = next(version_gates(open_registry(workspace.url), workspace.version("1"), None))
    assert first.name == "committed"
    assert first.detail.startswith("version 1 was trained on files that are not committed; commit ")
    assert first.detail.endswith(", then `streamflow repro` registers the result of the commit")
    assert "streamflow tag" not in first.detail

    workspace.commit()
    promoted = workspace.register()
    assert (promoted["version"], promoted["production"]) == ("1", "1")
    tags = open_registry(workspace.url).production().tags
    assert (tags["streamflow.git_dirty"], tags["streamflow.changes_sha256"]) == ("false", "")
    assert tags["streamflow.git_commit"] == workspace.head() != tags["streamflow.trained_at_commit"]


def test_changes_that_somebody_put_into_the_registry_are_not_run(workspace):
    """A rerun applies the changes of a version and runs the code: whoever owns the registry must not choose it."""
    params = workspace.folder / "params.yaml"
    params.write_text(params.read_text().replace("min_samples_leaf: 8", "min_samples_leaf: 9"))
    workspace.train(1.0, "a")
    workspace.register()
    registry = open_registry(workspace.url)
    (patch,) = (workspace.folder / "var/mlartifacts").rglob("changes.patch")
    (record,) = (workspace.folder / "var/mlartifacts").rglob("provenance.json")
    before = file_sha256(patch)
    patch.write_text(patch.read_text().replace("min_samples_leaf: 9", "min_samples_leaf: 7"))
    record.write_text(record.read_text().replace(before, file_sha256(patch)))
    registry.set_tags("1", {"changes_sha256": file_sha256(patch), "provenance_sha256": file_sha256(record)})
    target = find_target("v1", registry)
    assert "signed other changes" in target.unsigned_changes
    with pytest.raises(
        ModelError, match=r"v1 was made with uncommitted changes that would be run here, and no trusted key"
    ):
        rerun(target, fresh_env=False, from_source=False, say=print)
    (signed,) = (workspace.folder / "var/mlartifacts").rglob("changes.signed.json")
    signed.unlink()
    assert find_target("v1", registry).unsigned_changes == "nobody signed them"


def test_a_result_of_code_that_is_not_here_any_more_is_not_promoted(workspace):
    workspace.train(1.0, "a")
    (workspace.folder / "inputs").write_text("what git has, and the run had not")
    refused = workspace.register()
    assert refused["production"] == "none"
    assert "gate code: inputs changed since the run read it" in refused["reason"]
    (version,) = open_registry(workspace.url).versions()
    assert version.tags["streamflow.git_dirty"] == "true"


def test_a_model_that_another_process_fits_otherwise_is_not_promoted(workspace, monkeypatch):
    workspace.train(1.0, "a")

    def diverge(registry, number, model_sha256, say):
        say_verdict(registry.version(number).tags["streamflow.git_commit"], "diverged", model="0" * 64)

    monkeypatch.setattr(gates, "derive_again", diverge)
    refused = workspace.register()
    assert refused["production"] == "none"
    assert refused["reason"].startswith("gate derived again: streamflow_churn version 1 is refuted: this machine (")
    assert "derived it again and it diverged, first at train: code: x" in refused["reason"]


def test_a_model_that_too_few_derived_again_is_not_promoted(workspace):
    workspace.train(1.0, "a")
    refused = workspace.register(rebuilders=2)
    assert refused["production"] == "none"
    assert "gate derived again: 1 of 2 rebuilders got the same bytes (this machine (" in refused["reason"]
    assert "`streamflow rerun REF --sign` on another machine, then `streamflow attest import FILE`" in refused["reason"]


def test_a_result_beside_the_branch_is_a_commit_of_its_own_that_production_is_tagged_at(workspace):
    workspace.train(1.0, "a")
    assert workspace.register()["production"] == "1"
    commit = workspace.version("1").tags["streamflow.git_commit"]
    assert workspace.git("rev-parse", f"{commit}^") == workspace.head()
    assert workspace.git("rev-parse", "production/1^{commit}") == commit
    assert workspace.git("rev-parse", f"refs/streamflow/results/{commit[:16]}") == commit
    changed = workspace.git("diff", "--name-only", "HEAD", commit).splitlines()
    results = {"dvc.lock", "artifacts/sha256/dataset.json", "artifacts/sha256/train.json"}
    assert set(changed) == {*results, "artifacts/evaluation/metrics.json"}
