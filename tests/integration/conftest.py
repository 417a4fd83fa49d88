"""One embedded Postgres server for each test worker, and a database of its own for each test that asks."""

import itertools

import pytest
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT

from streamflow.adapters.postgres import connect, database

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
