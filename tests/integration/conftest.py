"""One embedded Postgres server for each test worker, and a database of its own for each test that asks."""

import itertools
import shutil

import pytest
from project import ROOT
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT
from small_month import joined_month

from streamflow.postgres.connection import connect
from streamflow.postgres.server import database
from streamflow.registry.registry import open_registry

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


@pytest.fixture(scope="session")
def registry_template(server_url, tmp_path_factory):
    """Name of a database with MLflow's empty tables, which take seconds to make and none to copy."""
    url = new_database(server_url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path_factory.mktemp("template")))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        open_registry(url).production()
    name = url.split("?")[0].rsplit("/", 1)[1]
    on_server(server_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    return name


@pytest.fixture
def registry_database_url(server_url, registry_template):
    """URL of a database that only this test uses, with MLflow's empty tables."""
    return new_database(server_url, f"TEMPLATE {registry_template}")


def new_database(server_url, options=""):
    name = f"test_{next(_numbers)}"
    on_server(server_url, f"CREATE DATABASE {name} {options}")
    return server_url.replace("/streamflow?", f"/{name}?")


def on_server(server_url, statement):
    connection = connect(server_url)
    connection.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The state folder of a module, which is also where its tests work."""
    folder = tmp_path_factory.mktemp("registry")
    patch = pytest.MonkeyPatch()
    patch.setenv("STREAMFLOW_STATE_DIR", str(folder))
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.chdir(folder)
    shutil.copy(ROOT / "params.yaml", folder)  # by whose rule Production moves
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
