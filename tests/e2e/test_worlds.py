"""Models and users of different sources are not mixed: an exploring run, a change of the source, and the way back."""

import json

import pyarrow.parquet as pq
import pytest
from project import Project

MODEL = ["model=logistic_regression", "cross_validation.repeats=1", "cross_validation.folds=2"]
SMALL, LARGE = "synthetic users=400 seed=42", "synthetic users=500 seed=42"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project.copy(tmp_path_factory.mktemp("worlds") / "main", "source.users=400", *MODEL)
    project.streamflow("repro")
    return project


@pytest.fixture(scope="module")
def explored(project):
    """What `streamflow repro` prints when somebody explores another source."""
    project.run("git", "add", "--all")
    project.run("git", "commit", "-q", "-m", "results")
    return project.streamflow("repro", "source.users=500", *MODEL).stdout


def online(project):
    text = "SELECT count(*) FROM feast.streamflow_subs_profile_fv"
    users = project.streamflow("db", "psql", "--", "-At", "-c", text).stdout.strip()
    text = "SELECT DISTINCT users_source || ' as of ' || as_of FROM feast.published"
    return users, project.streamflow("db", "psql", "--", "-At", "-c", text).stdout.strip()


def versions(project):
    return {each["version"]: each for each in json.loads(project.streamflow("models", "--json").stdout)}


def test_an_exploring_run_leaves_the_users_of_production_online(project, explored):
    assert online(project) == ("400", f"{SMALL} as of 2024-01-31")
    said = f"materialize: {SMALL} as of 2024-01-31 stays online, as version 1 is Production; the users of this run ({LARGE}"
    assert said in explored
    assert (
        "sources are not compared; `streamflow rerun vN`, then `streamflow promote vN` makes it Production" in explored
    )
    found = versions(project)
    assert {name: each["tags"]["streamflow.source"] for name, each in found.items()} == {"1": SMALL, "2": LARGE}
    assert found["1"]["aliases"] == ["Production"]
    assert SMALL in project.streamflow("models").stdout


def test_batch_scores_no_users_of_another_source_without_being_told(project, explored, tmp_path):
    out = tmp_path / "scores.parquet"
    refused = project.streamflow("batch", "--as-of", "2024-01-31", "--out", str(out), check=False)
    assert (refused.returncode, refused.stderr.count("\n"), out.exists()) == (2, 1, False)
    assert (
        f"version 1 is a model of {SMALL}, 2024-01-31 holds users of {LARGE}; name a model of these" in refused.stderr
    )
    done = project.streamflow("batch", "--as-of", "2024-01-31", "--out", str(out), "--force").stdout
    assert f"users       of {LARGE}, the model is of {SMALL}" in done
    assert pq.read_metadata(out).num_rows == 500


def test_a_person_changes_the_source_and_changes_it_back_and_the_users_follow(project, explored):
    tagged = json.loads(project.streamflow("tag", "larger", "--json").stdout)
    assert (tagged["tag"], tagged["as_of"]) == ("exp/larger", "2024-01-31")
    assert tagged["commit"] == project.run("git", "rev-parse", "exp/larger^{commit}").stdout.strip()
    assert tagged["registered"] == "version 2 of the registry names it"
    project.streamflow("rerun", "v2")
    done = project.streamflow("promote", "v2").stdout
    assert f"500 users of {LARGE} as of 2024-01-31 are online" in done
    assert online(project) == ("500", f"{LARGE} as of 2024-01-31")
    back = project.streamflow("rollback").stdout
    assert f"400 users of {SMALL} as of 2024-01-31 are online" in back
    assert online(project) == ("400", f"{SMALL} as of 2024-01-31")
