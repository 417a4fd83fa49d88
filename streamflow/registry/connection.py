"""The URIs of MLflow's runs and models, and its errors as one line."""

import os
import re
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from streamflow.core.errors import RegistryError, first_line
from streamflow.pipeline.project import state_dir
from streamflow.postgres.connection import ensure_schema, sqlalchemy_url, without_password

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
SCHEMA = "mlflow"
ROOT_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_ROOT"
_PATIENCE_SECONDS = 7
_NOT_AT_WORK = (502, 503, 504)


def artifact_root() -> str:
    """The artifact root without an MLflow server: var/mlartifacts, as a URI."""
    return (state_dir() / "mlartifacts").as_uri()


def tracking_uri(url: str) -> str:
    """MLflow's tracking URI: MLFLOW_TRACKING_URI, or the schema `mlflow` of the Postgres server."""
    return os.environ.get(TRACKING_VARIABLE) or sqlalchemy_url(url, SCHEMA)


def prepare_database(url: str) -> None:
    """Make the schema of MLflow's tables if it is missing, and tell MLflow where files lie without a server."""
    ensure_schema(url, SCHEMA)
    # Without it a client with a database creates ./mlruns in the current folder.
    os.environ[ROOT_VARIABLE] = artifact_root()


def answering_server() -> str | None:
    """The MLflow server that MLFLOW_TRACKING_URI names, once it gave any answer; None if none is named.

    Asked before MLflow asks, which tries again for two minutes. Raises RegistryError after 7 s at most.
    """
    uri = os.environ.get(TRACKING_VARIABLE)
    if not uri:
        return None
    problem = [f"no answer within {_PATIENCE_SECONDS} s"]

    def ask() -> None:
        problem[:] = [_problem(uri)]

    # In a thread: no time-out bounds the search for an address, nor an answer that trickles.
    asked = threading.Thread(target=ask, daemon=True)
    asked.start()
    asked.join(_PATIENCE_SECONDS)
    if problem[0]:
        raise RegistryError(
            f"MLflow at {without_password(uri)}: {problem[0]}; start that server, or set {TRACKING_VARIABLE} to one that"
            " runs (unset, MLflow is in the project's own database)"
        )
    return uri


def _problem(uri: str) -> str:
    """Why nothing answers at a URI; empty if something does, or if it is a place on this machine."""
    import requests

    try:
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https"):
            certificates = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None
            insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
            verify = False if insecure else certificates
            with requests.get(uri, timeout=_PATIENCE_SECONDS, verify=verify, stream=True) as answer:
                return f"it answers {answer.status_code}" if answer.status_code in _NOT_AT_WORK else ""
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), _PATIENCE_SECONDS).close()
    except requests.Timeout:
        return f"no answer within {_PATIENCE_SECONDS} s"
    except (OSError, ValueError) as error:
        reasons = re.findall(r"\[Errno -?\d+\] ([^'\")>]+)", str(error))
        return str(reasons[-1]) if reasons else without_password(first_line(error))
    return ""


@contextmanager
def mlflow_errors() -> Iterator[None]:
    """Turn the exceptions of MLflow and its database into a RegistryError of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stages are deprecated; DESIGN mirrors the alias to them all the same
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError

            yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = without_password(first_line(error))
        raise RegistryError(f"MLflow: {reason}; see `streamflow db url` and MLFLOW_TRACKING_URI") from error
