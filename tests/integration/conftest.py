"""One embedded Postgres server for each test worker, and a database of its own for each test that asks."""

import itertools

import pytest
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from small_month import joined_month

from streamflow.adapters.postgres import connect, database
from streamflow.adapters.registry import open_registry

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server_url(tmp_path_factory):
    with database(tmp_path_factory.mktemp("state")) as url:
        yield url


@pytest.fixture
def database_url(server_url):
    """URL of a database that only this test uses."""
    return new_database(server_url)


@pytest.fixture(scope="module")
def module_database_url(server_url):
    """URL of a database that the tests of one module share."""
    return new_database(server_url)


def new_database(server_url):
    name = f"test_{next(_numbers)}"
    connection = connect(server_url)
    connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return server_url.replace("/streamflow?", f"/{name}?")


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The state folder of a module, which is also where its tests work."""
    folder = tmp_path_factory.mktemp("registry")
    patch = pytest.MonkeyPatch()
    patch.setenv("STREAMFLOW_STATE_DIR", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.chdir(folder)
    yield folder
    patch.undo()


@pytest.fixture(scope="module")
def registry(state, module_database_url):
    """MLflow over the database of a module."""
    return open_registry(module_database_url)


@pytest.fixture(scope="module")
def rows():
    """Features and labels of 300 synthetic users."""
    return joined_month(300)
