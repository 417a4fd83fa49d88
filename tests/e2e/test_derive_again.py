"""Derive any model again and prove it: the attacks of drills/attacks.py, the verdicts, what is attested and left alone.

The drills do each attack on its own with a rerun of its own; here the reruns share attacks, so that the suite stays short.
"""

import json
import os
import signal
import subprocess
import time

import pytest
from http_server import gone
from project import Project, small

from drills.attacks import ATTACKS, TAG, falsify, give_environment, prepared
from drills.bit_flips import drill
from streamflow.operations.health.doctor import all_checks

BY_NAME = {attack.name: attack for attack in ATTACKS}
IN_PLACE = [
    attack for attack in ATTACKS if attack.name not in
    ("another version of scikit-learn", "a package is removed", "drop the whole database")
]  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A tagged Production model with a remote; the server stays up, so that a question does not start one."""
    project = prepared(tmp_path_factory.mktemp("rerun"), *small())
    project.streamflow("db", "start")
    yield project
    project.streamflow("db", "stop")
    assert gone(project, 5) == []


@pytest.fixture
def looked_at(project, monkeypatch):
    """A function that says what doctor finds, in this process."""
    monkeypatch.chdir(project.path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return lambda: [problem.what for check in all_checks() for problem in check.problems]


def answer(done):
    return json.loads(done.stdout)


def state(project):
    """All that a rerun must leave as it is: files, index, branches, tags, Production."""
    return {
        "status": project.status(),
        "refs": project.run("git", "for-each-ref").stdout,
        "head": project.run("git", "symbolic-ref", "HEAD").stdout,
        "index": project.run("git", "ls-files", "--stage").stdout,
        "worktrees": project.run("git", "worktree", "list").stdout,
        "lock": project.text("dvc.lock"),
        "production": production(project),
        "left": sorted(path.name for path in (project.path / "var").glob("reruns/*")),
    }


def production(project):
    """Version behind the alias, as the registry's table has it."""
    query = "SELECT version FROM mlflow.registered_model_aliases WHERE alias = 'Production'"
    return project.streamflow("db", "psql", "--", "-At", "-c", query).stdout.strip()


def model_sha256(project):
    """SHA-256 of the tagged model, as git has it."""
    receipt = project.run("git", "show", f"{TAG}:artifacts/sha256/train.json").stdout
    return json.loads(receipt)["files"]["artifacts/model/model.onnx"]


def test_a_tagged_result_is_production_with_all_that_it_came_from(project):
    message = project.run("git", "tag", "--list", "--format=%(contents)", TAG).stdout
    found = answer(project.streamflow("lineage", "Production", "--json"))
    assert found["version"]["aliases"] == ["Production"]
    assert found["version"]["trained_on_committed_files"] is True
    assert found["commit"]["sha"] == project.run("git", "rev-parse", f"{TAG}^{{commit}}").stdout.strip()
    assert found["commit"]["tags"] == [TAG]
    assert f"Model-sha256: {found['model']['sha256']}\n" in message
    assert f"Dataset-md5: {found['dataset']['md5']}\n" in message
    assert "As-of: 2024-01-31\n" in message
    assert f"Roc-auc: {found['metrics']['roc_auc']:.6f}\n" in message
    assert [each["as_of"] for each in found["dataset"]["snapshots"]] == ["2024-01-31"]
    assert found["dataset"]["snapshots"][0]["extract"]["tables"]["users"]["rows"] == 400


def test_a_healthy_project_has_nothing_to_name(project, looked_at):
    assert looked_at() == []
    done = project.streamflow("doctor")
    assert [line.split()[:2] for line in done.stdout.splitlines()][:3] == [
        ["ok", "git"],
        ["ok", "environment"],
        ["ok", "configuration"],
    ]
    assert done.stdout.count("ok ") == 9


@pytest.mark.parametrize("attack", IN_PLACE, ids=lambda attack: attack.name)
def test_doctor_names_the_attack(project, looked_at, attack):
    attack.apply(project)
    problems = looked_at()
    attack.undo(project)
    assert any(attack.named in problem for problem in problems), problems


def test_nothing_is_named_once_the_attacks_are_undone(project, looked_at):
    assert looked_at() == []


def test_after_nine_attacks_at_once_the_tagged_result_is_still_derived_byte_for_byte(project):
    for attack in IN_PLACE:
        attack.apply(project)
    before = state(project)
    doctor = project.streamflow("doctor", "--json", check=False)
    promote = project.streamflow("promote", "v1", check=False)
    rerun = project.streamflow("rerun", TAG, "--json")
    assert state(project) == before
    # `streamflow repro` brings the live rows back, and can't while the others are in force.
    for attack in sorted(IN_PLACE, key=lambda attack: attack.name.startswith("TRUNCATE")):
        attack.undo(project)

    named = [problem["what"] for check in answer(doctor)["checks"] for problem in check["problems"]]
    assert doctor.returncode == promote.returncode == 2
    assert len(promote.stderr.splitlines()) == 1
    for attack in IN_PLACE:
        assert any(attack.named in problem for problem in named), attack.name
    for gate in ("git", "configuration", "dvc.lock", "cache", "history"):
        assert f" {gate}: " in promote.stderr

    found = answer(rerun)
    assert list(found) == [
        "ref", "commit", "verdict", "first_divergence", "outs", "model_sha256", "environment", "seconds",
    ]  # fmt: skip
    assert (found["ref"], found["verdict"], found["first_divergence"]) == (TAG, "identical", None)
    locked = project.outputs("config", "ingest@2024-01-31", "ingest@2024-02-29", "snapshot@2024-01-31",
                             "snapshot@2024-02-29", "dataset", "train", "cross_validate", "evaluate")  # fmt: skip
    assert {out["path"]: out["actual"] for out in found["outs"]} == locked
    assert all(out["actual"] == out["expected"] for out in found["outs"])
    assert found["model_sha256"]["actual"] == found["model_sha256"]["expected"] == model_sha256(project)
    assert found["environment"]["kind"] == "current"
    tree = project.streamflow("lineage", TAG).stdout
    for words in ("version 1 (Production)", "└── extract 2024-01-31, source synthetic", "identical on 20"):
        assert words in tree


def test_from_the_source_a_changed_row_of_history_is_named_and_training_goes_on(project):
    attack = BY_NAME["UPDATE a feature in history"]
    attack.apply(project)
    done = project.streamflow("rerun", TAG, "--from-source", "--json", check=False)
    repro = project.streamflow("repro")
    attack.undo(project)
    found = answer(done)
    assert (done.returncode, found["verdict"]) == (1, "diverged")
    assert (found["first_divergence"]["stage"], found["first_divergence"]["cause"]) == ("snapshot@2024-01-31", "data")
    assert "history.subscriptions of 2024-01-31" in found["first_divergence"]["detail"]
    assert "1 row changed in monthly_fee (7590-VHVEG)" in found["first_divergence"]["detail"]
    assert "drift: history.subscriptions of 2024-01-31 was changed after it was recorded" in repro.stderr
    assert "it is Production" in repro.stdout
    assert project.status() == ""


def test_a_clone_without_database_cache_and_packages_derives_it_from_git_and_the_remote(project, tmp_path):
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.path), str(clone.path))
    give_environment(clone)
    clone.run("uv", "pip", "uninstall", "--quiet", "--python", clone.python, "skl2onnx")

    asked = clone.streamflow("rerun", "Production", check=False)
    assert asked.returncode == 2
    assert f"there is no registry here to ask; name a tag instead: {TAG}" in asked.stderr
    found = answer(clone.streamflow("rerun", TAG, "--fresh-env", "--json"))
    assert (found["verdict"], found["environment"]["kind"]) == ("identical", "fresh")
    assert found["environment"]["differences"] == []
    assert found["model_sha256"]["actual"] == model_sha256(project)
    assert not (clone.path / "var" / "postgres").exists()
    assert clone.status() == ""
    assert list((clone.path / "var" / "attestations").rglob("*-identical.json"))
    doctor = clone.streamflow("doctor", "--json", check=False)
    problems = [problem["what"] for check in answer(doctor)["checks"] for problem in check["problems"]]
    assert any("skl2onnx missing (locked" in problem for problem in problems)


def test_code_that_was_never_committed_is_kept_with_its_version_and_can_be_derived_again(project):
    helper = project.path / "streamflow" / "model" / "sklearn_pipeline.py"
    good = helper.read_text()
    helper.write_text(good + "\nUNCOMMITTED = True\n")
    done = project.streamflow("repro", *small("seed=43"))
    helper.write_text(good)
    project.run("git", "checkout", "--", ".")
    assert (
        "this run can't be promoted: params.yaml, streamflow/model/sklearn_pipeline.py changed since the commit; commit"
        in done.stdout
    )
    assert "register: version 2 is not promoted" in done.stdout
    assert production(project) == "1"
    found = answer(project.streamflow("rerun", "v2", "--json"))
    assert found["verdict"] == "identical"
    refused = project.streamflow("promote", "v2", check=False)
    assert refused.returncode == 2
    assert "version 2 was trained on files that are not committed" in refused.stderr
    assert "--force needs --reason" in project.streamflow("promote", "v2", "--force", check=False).stderr
    forced = project.streamflow("promote", "v2", "--force", "--reason", "a trial")
    assert "version 2 is Production: forced by" in forced.stdout
    assert production(project) == "2"
    back = project.streamflow("rollback", "--reason", "the trial is over")
    assert "version 1 is Production again, version 2 before: the trial is over" in back.stdout
    assert production(project) == "1"
    lines = answer(project.streamflow("history", "--json"))
    assert [(each["action"], each["from_version"], each["to_version"]) for each in lines] == [
        ("promote", None, "1"),
        ("promote", "1", "2"),
        ("rollback", "2", "1"),
    ]
    assert "committed" in lines[1]["gates"]
    further = project.streamflow("rollback", check=False)
    assert (further.returncode, len(further.stderr.splitlines())) == (2, 1)
    assert "nothing to roll back to: the ledger has no version before 1" in further.stderr
    differences = answer(project.streamflow("diff", "v1", "v2", "--json"))
    assert differences["uncommitted"] == ["v2"]
    assert {"name": "seed", "before": 42, "after": 43} in differences["configuration"]
    assert differences["snapshots"] == differences["packages"] == []
    project.run("dvc", "checkout", "--quiet", "--force")


def test_a_lock_that_was_edited_by_hand_and_committed_is_not_identical(project):
    falsify(project, "data/dataset")
    project.run("git", "commit", "-qam", "an edited lock")
    done = project.streamflow("rerun", "HEAD", "--json", check=False)
    project.run("git", "reset", "-q", "--hard", "HEAD~1")
    found = answer(done)
    assert (done.returncode, found["verdict"]) == (1, "diverged")
    assert (found["first_divergence"]["stage"], found["first_divergence"]["cause"]) == ("dataset", "lock")
    assert [out["path"] for out in found["outs"] if out["actual"] != out["expected"]] == ["data/dataset"]


def test_an_experiment_of_dvc_becomes_a_tag_that_can_be_derived(project):
    project.run("dvc", "exp", "run", "-q", "-n", "deep", "-S", "source.users=400", "-S", "model.n_estimators=10")
    before = project.run("git", "rev-parse", "HEAD").stdout
    project.run("git", "checkout", "--", ".")
    done = project.streamflow("tag", "deep", "--experiment", "deep")
    assert project.run("git", "rev-parse", "HEAD").stdout == before
    assert "of the registry names it" in done.stdout
    assert answer(project.streamflow("rerun", "exp/deep", "--from-source", "--json"))["verdict"] == "identical"
    again = project.streamflow("tag", "deep", "--experiment", "deep", check=False)
    assert (again.returncode, "the tag exp/deep exists" in again.stderr) == (2, True)
    unknown = project.streamflow("tag", "x", "--experiment", "nonesuch", check=False)
    assert "experiment nonesuch is not known; one of deep" in unknown.stderr
    project.run("dvc", "checkout", "--quiet", "--force")


@pytest.mark.parametrize(
    ("ref", "said"),
    [("nonesuch", "nonesuch is no tag, commit, version (v3) or Production"), ("v99", "has no version or alias v99")],
)
def test_what_can_not_be_found_is_one_line(project, ref, said):
    done = project.streamflow("rerun", ref, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_a_tag_of_uncommitted_code_is_refused_and_nothing_is_committed(project):
    helper = project.path / "streamflow" / "model" / "sklearn_pipeline.py"
    good = helper.read_text()
    helper.write_text(good + "\n# edited\n")
    before = project.run("git", "rev-parse", "HEAD").stdout
    done = project.streamflow("tag", "wrong", check=False)
    helper.write_text(good)
    assert done.returncode == 2
    assert (
        "streamflow/model/sklearn_pipeline.py changed since the commit: a tag names one commit with all its code"
        in done.stderr
    )
    assert project.run("git", "rev-parse", "HEAD").stdout == before
    assert project.run("git", "tag", "--list", "exp/wrong").stdout == ""


def ended_while_training(project, end):
    """Start a rerun and send it a signal while a stage works."""
    command = [project.python, "-m", "streamflow.cli.main", "rerun", TAG]
    process = subprocess.Popen(command, cwd=project.path, env=project.environment, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "config: as of" in line:
            break
    time.sleep(2)
    os.kill(process.pid, end)
    process.communicate()


def test_a_rerun_that_is_killed_leaves_nothing_that_the_next_does_not_clean_up(project):
    before = state(project)
    ended_while_training(project, signal.SIGKILL)
    assert answer(project.streamflow("rerun", TAG, "--json"))["verdict"] == "identical"
    assert state(project) == before
    assert list((project.path / "var").glob("*.lifeline")) == []


def test_random_bit_flips_are_named(project, monkeypatch):
    monkeypatch.chdir(project.path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert drill(project, 14) == 14
