"""The attacks of drills/attacks.py on a tagged Production model: each is named, and none keeps it from being derived again.

The drills do each attack on its own with a rerun of its own; here the reruns share attacks, so that the suite stays short.
"""

import os
import signal
import subprocess
import time

import pytest
from project import KEY
from tagged_result import answer, model_sha256, production

from drills.attacks import ATTACKS, TAG, falsify
from drills.bit_flips import drill
from streamflow.operations.health.doctor import all_checks

BY_NAME = {attack.name: attack for attack in ATTACKS}
IN_PLACE = [
    attack for attack in ATTACKS if attack.name not in
    ("another version of scikit-learn", "a package is removed", "drop the whole database")
]  # fmt: skip


@pytest.fixture
def looked_at(project, monkeypatch):
    """A function that says what doctor finds, in this process."""
    monkeypatch.chdir(project.path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("STREAMFLOW_SIGNING_KEY", str(KEY))
    return lambda: [problem.what for check in all_checks() for problem in check.problems]


def state(project):
    """All that a rerun must leave as it is: files, index, branches, tags, Production."""
    return {
        "status": project.status(),
        "refs": [line for line in project.run("git", "for-each-ref").stdout.splitlines() if "refs/notes/" not in line],
        "head": project.run("git", "symbolic-ref", "HEAD").stdout,
        "index": project.run("git", "ls-files", "--stage").stdout,
        "worktrees": project.run("git", "worktree", "list").stdout,
        "lock": project.text("dvc.lock"),
        "production": production(project),
        "left": sorted(path.name for path in (project.path / "var").glob("reruns/*")),
    }


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


def test_a_healthy_project_has_nothing_to_name(project, looked_at):
    assert looked_at() == []
    done = project.streamflow("doctor")
    assert [line.split()[:2] for line in done.stdout.splitlines()][:3] == [
        ["ok", "git"],
        ["ok", "environment"],
        ["ok", "configuration"],
    ]
    assert done.stdout.count("ok ") == 12


@pytest.mark.parametrize("attack", IN_PLACE, ids=lambda attack: attack.name)
def test_doctor_names_the_attack(project, looked_at, attack):
    attack.apply(project)
    problems = looked_at()
    attack.undo(project)
    assert any(attack.named in problem for problem in problems), problems


def test_nothing_is_named_once_the_attacks_are_undone(project, looked_at):
    assert looked_at() == []


def test_after_nine_attacks_and_a_killed_rerun_the_tagged_result_is_still_derived_byte_for_byte(project):
    """What the killed one leaves is cleaned up by the next."""
    for attack in IN_PLACE:
        attack.apply(project)
    before = state(project)
    ended_while_training(project, signal.SIGKILL)
    doctor = project.streamflow("doctor", "--json", check=False)
    promote = project.streamflow("promote", "v1", check=False)
    rerun = project.streamflow("rerun", TAG, "--json")
    assert state(project) == before
    assert list((project.path / "var").glob("*.lifeline")) == []
    # `streamflow repro` brings the live rows back, and can't while the others are in force.
    for attack in sorted(IN_PLACE, key=lambda attack: attack.name.startswith("TRUNCATE")):
        attack.undo(project)

    named = [problem["what"] for check in answer(doctor)["checks"] for problem in check["problems"]]
    assert doctor.returncode == promote.returncode == 1
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
    locked = project.outputs("config", "ingest", "snapshot@2024-01-31",
                             "snapshot@2024-02-29", "dataset", "train", "cross_validate", "evaluate")  # fmt: skip
    assert {out["path"]: out["actual"] for out in found["outs"]} == locked
    assert all(out["actual"] == out["expected"] for out in found["outs"])
    assert found["model_sha256"]["actual"] == found["model_sha256"]["expected"] == model_sha256(project)
    assert found["environment"]["kind"] == "current"
    tree = project.streamflow("lineage", TAG).stdout
    for words in ("version 1 (Production)", "└── extract 2024-01-31, source synthetic", "identical on 20"):
        assert words in tree


def test_from_the_source_a_changed_row_of_history_is_refused_by_name_and_training_goes_on(project):
    attack = BY_NAME["UPDATE a feature in history"]
    attack.apply(project)
    done = project.streamflow("rerun", TAG, "--from-source", "--json", check=False)
    repro = project.streamflow("repro")
    attack.undo(project)
    said = done.stderr.splitlines()[-1]
    assert (done.returncode, done.stdout) == (2, "")
    assert "2024-01-31 can't be frozen from the history" in said
    assert "history.subscriptions of 2024-01-31, version 1 of 1: the rows have another digest than was recorded" in said
    assert "1 row changed in monthly_fee (7590-VHVEG)" in said
    assert "drift: history.subscriptions of 2024-01-31 was changed after it was recorded" in repro.stderr
    assert "it is Production" in repro.stdout
    assert project.status() == ""


def test_a_lock_that_was_edited_by_hand_and_committed_is_not_identical(project):
    falsify(project, "data/dataset")
    project.run("git", "commit", "-qam", "an edited lock")
    done = project.streamflow("rerun", "HEAD", "--json", check=False)
    project.run("git", "reset", "-q", "--hard", "HEAD~1")
    found = answer(done)
    assert (done.returncode, found["verdict"]) == (1, "diverged")
    assert (found["first_divergence"]["stage"], found["first_divergence"]["cause"]) == ("dataset", "lock")
    assert [out["path"] for out in found["outs"] if out["actual"] != out["expected"]] == ["data/dataset"]


def test_random_bit_flips_are_named(project, monkeypatch):
    monkeypatch.chdir(project.path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert drill(project, 14) == 14
