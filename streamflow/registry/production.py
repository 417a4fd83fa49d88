"""A quick query of MLflow's own tables: whose users Production is a model of. Importing MLflow takes three seconds."""

import os
from contextlib import closing
from dataclasses import dataclass

import psycopg2

from streamflow.core.schema import MODEL_NAME
from streamflow.postgres.connection import connect
from streamflow.provenance.record import PREFIX
from streamflow.registry.connection import SCHEMA, TRACKING_VARIABLE

_QUERY = f"""
    SELECT alias.version, tag.key, tag.value FROM {SCHEMA}.registered_model_aliases alias
    LEFT JOIN {SCHEMA}.model_version_tags tag USING (workspace, name, version)
    WHERE alias.name = %s AND alias.alias = 'Production'
"""


@dataclass(frozen=True)
class ProductionUsers:
    """The version behind the alias Production, and the source and date of its users; empty texts if its tags don't say."""

    version: str
    source: str
    as_of: str


def production_users(url: str) -> ProductionUsers | None:
    """Whose users Production is a model of; None if there is no Production."""
    if os.environ.get(TRACKING_VARIABLE):
        return _by_mlflow(url)
    try:
        with closing(connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(_QUERY, (MODEL_NAME,))
            found = cursor.fetchall()
    except psycopg2.errors.UndefinedTable:
        return None
    except psycopg2.Error:
        return _by_mlflow(url)
    if not found:
        return None
    return _of(str(found[0][0]), {key: value for _, key, value in found})


def _by_mlflow(url: str) -> ProductionUsers | None:
    from streamflow.registry.registry import open_registry

    version = open_registry(url).production()
    return _of(str(version.version), version.tags) if version else None


def _of(version: str, tags: dict[str, str]) -> ProductionUsers:
    return ProductionUsers(version, tags.get(f"{PREFIX}source", ""), tags.get(f"{PREFIX}as_of", ""))
