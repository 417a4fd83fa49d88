"""The database and MLflow's files are gone, git and DVC's cache are not."""

import json

import pytest
from http_server import gone
from twins import twin


@pytest.fixture
def project(small_result, tmp_path):
    return twin(small_result, tmp_path)


def moves(project):
    """Every move of Production that is signed: number by number, who signed it and for what."""
    return json.loads(project.streamflow("history", "--json").stdout)


def test_a_wiped_database_is_put_right_with_the_same_bytes_and_every_signed_move(project):
    before = moves(project)
    assert [each["to_version"] for each in before] == ["1"]
    tagged = project.run("git", "cat-file", "tag", "production/1").stdout
    for name in ("postgres", "mlartifacts"):
        project.run("rm", "-rf", f"var/{name}")
    assert moves(project) == before  # git has it
    done = project.streamflow("repro")
    assert "version 1 becomes Production" in done.stdout
    assert "the ledger lacked move 1 of Production; put right" in done.stderr + done.stdout
    assert "400 users of synthetic users=400 seed=42 as of 2024-01-31 are online" in done.stdout
    assert "train:" not in done.stdout
    assert project.status() == ""
    after = moves(project)
    assert after[:1] == before
    assert [(each["action"], each["to_version"]) for each in after] == [("promote", "1"), ("promote", "1")]
    assert after[1]["signer"] == before[0]["signer"]
    assert project.run("git", "cat-file", "tag", "production/1").stdout == tagged
    production = json.loads(project.streamflow("lineage", "Production", "--json").stdout)
    assert [each["verdict"] for each in production["attestations"]] == ["identical"]
    assert gone(project, 5) == []
