"""The database and MLflow's files are gone, git and DVC's cache are not."""

import pytest
from http_server import gone
from twins import twin


@pytest.fixture
def project(small_result, tmp_path):
    return twin(small_result, tmp_path)


def test_a_wiped_database_is_put_right_with_the_same_bytes(project):
    for name in ("postgres", "mlartifacts"):
        project.run("rm", "-rf", f"var/{name}")
    done = project.streamflow("repro")
    assert "version 1 becomes Production" in done.stdout
    assert "400 users as of 2024-01-31 are online in 5 feature views" in done.stdout
    assert "train:" not in done.stdout
    assert project.status() == ""
    assert gone(project, 5) == []
