"""A quick query of MLflow's own tables: is this model registered, complete and decided on?

Importing MLflow takes three seconds, and `register` runs each time. The query answers yes or
"ask MLflow": for other tables of another MLflow, a server behind HTTP or anything unexpected it is the latter.
"""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg2

from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.file_digest import file_sha256
from streamflow.postgres.connection import connect
from streamflow.registry.connection import SCHEMA, TRACKING_VARIABLE

_QUERY = f"""
    SELECT version.version, version.storage_location, production.version, decision.value, changes.value
    FROM {SCHEMA}.model_version_tags inputs
    JOIN {SCHEMA}.model_versions version USING (workspace, name, version)
    JOIN {SCHEMA}.model_version_tags digest USING (workspace, name, version)
    JOIN {SCHEMA}.model_version_tags decision USING (workspace, name, version)
    JOIN {SCHEMA}.model_version_tags changes USING (workspace, name, version)
    LEFT JOIN {SCHEMA}.registered_model_aliases production
        ON (production.workspace, production.name, production.alias) = (version.workspace, version.name, 'Production')
    WHERE version.name = %s AND version.current_stage <> 'Deleted_Internal'
        AND (production.alias IS NULL OR EXISTS (
            SELECT FROM {SCHEMA}.model_versions champion WHERE champion.current_stage <> 'Deleted_Internal'
            AND (champion.workspace, champion.name, champion.version)
                = (production.workspace, production.name, production.version)
        ))
        AND inputs.key = 'streamflow.input_fingerprint' AND inputs.value = %s
        AND digest.key = 'streamflow.model_sha256' AND digest.value = %s
        AND decision.key = 'streamflow.decision' AND changes.key = 'streamflow.changes_sha256'
    ORDER BY version.version DESC LIMIT 1
"""


@dataclass(frozen=True)
class Settled:
    """A registered version whose stored model has the registered digest, its decision, and the Production version.

    `changes_sha256` is not empty if its run used files that are not in its commit.
    """

    version: str
    production: str | None
    decision: str
    changes_sha256: str


def settled_version(url: str, fingerprint: str, model_sha256: str) -> Settled | None:
    """The newest complete and decided version with these inputs and bytes.

    None if there is none, or if the tables and the local artifact store do not show it.
    """
    if os.environ.get(TRACKING_VARIABLE):
        return None
    try:
        with closing(connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(_QUERY, (MODEL_NAME, fingerprint, model_sha256))
            found = cursor.fetchone()
    except psycopg2.Error:
        return None
    if found is None:
        return None
    version, location, production, decision, changes = found
    parts = urlsplit(location or "")
    stored = Path(unquote(parts.path)) / "model.onnx"
    if parts.scheme != "file" or not stored.is_file() or file_sha256(stored) != model_sha256:
        return None
    return Settled(str(version), str(production) if production else None, decision, changes)
