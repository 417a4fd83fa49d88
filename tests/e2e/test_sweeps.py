"""DVC's own sweeps, as its manual says: a queue of experiments in copies of the project, two at a time."""

import time

import pytest
from http_server import gone
from project import small
from twins import twin

SECONDS = 900


@pytest.fixture(scope="module")
def project(small_result, tmp_path_factory):
    """A committed result, and two experiments that a queue ran."""
    project = twin(small_result, tmp_path_factory.mktemp("sweeps"))
    settings = [word for override in small("model.min_samples_leaf=range(4,12,4)") for word in ("-S", override)]
    project.run("dvc", "exp", "run", "--queue", "-n", "leaf", *settings)
    project.run("dvc", "queue", "start", "--jobs", "2")
    until = time.monotonic() + SECONDS
    while unfinished(project) and time.monotonic() < until:
        time.sleep(1)
    return project


def unfinished(project):
    return [line for line in queue(project) if line.endswith(("Queued", "Running"))]


def queue(project):
    return project.run("dvc", "queue", "status").stdout.splitlines()


def test_both_values_ran_and_the_workspace_is_as_it_was(project):
    done = [line.split()[1:2] + line.split()[-1:] for line in queue(project) if "leaf-" in line]
    assert sorted(done) == [["leaf-1", "Success"], ["leaf-2", "Success"]]
    assert project.status() == ""
    assert "min_samples_leaf: 8" in project.text("params.yaml")


def test_the_experiments_differ_where_they_should(project):
    shown = project.run("dvc", "exp", "show", "--csv").stdout.splitlines()
    column = shown[0].split(",").index("model.min_samples_leaf")
    found = {line.split(",")[0]: line.split(",")[column] for line in shown[1:] if line.startswith("leaf-")}
    assert found == {"leaf-1": "4", "leaf-2": "8"}


def test_a_sweep_registers_in_the_same_registry_and_promotes_nobody(project):
    moves = project.streamflow("history").stdout
    assert moves.count("promote") == 1
    logs = project.run("dvc", "queue", "logs", "leaf-1").stdout
    assert "register: streamflow_churn version 2 made" in logs or "register: streamflow_churn version 3 made" in logs
    assert "is not promoted: " in logs
    versions = project.streamflow("models").stdout
    assert [line.split()[0] for line in versions.splitlines() if "Production" in line] == ["1"]


def test_the_winner_becomes_a_tag_that_can_be_derived_again(project):
    said = project.streamflow("tag", "winner", "--experiment", "leaf-1").stdout
    assert "exp/winner is " in said
    assert "of the registry names it" in said
    assert "is IDENTICAL" in project.streamflow("rerun", "exp/winner", "--from-source").stdout


def test_an_applied_experiment_is_the_current_result(project):
    project.run("dvc", "exp", "apply", "leaf-1")
    assert "min_samples_leaf: 4" in project.text("params.yaml")
    assert "'train' didn't change" in project.run("dvc", "repro", "train").stdout


def test_nothing_is_left_running(project):
    assert gone(project, 30) == []
