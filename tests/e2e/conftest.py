"""The finished project of 400 users that several files of tests start from."""

import pytest
import twins
from http_server import gone


@pytest.fixture(scope="session")
def small_result(tmp_path_factory):
    """A tagged Production model with a remote; read it, or take a twin."""
    return twins.small_result(tmp_path_factory)


@pytest.fixture(scope="module")
def project(small_result, tmp_path_factory):
    """A twin for a module that makes no project of its own; the server stays up, so that a question does not start one."""
    project = twins.twin(small_result, tmp_path_factory.mktemp("twin"))
    project.streamflow("db", "start")
    yield project
    project.streamflow("db", "stop")
    assert gone(project, 5) == []
