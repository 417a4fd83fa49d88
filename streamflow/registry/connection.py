"""The URIs of MLflow's runs and models, and its errors as one line."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from streamflow.core.errors import RegistryError, first_line
from streamflow.pipeline.project import state_dir
from streamflow.postgres.connection import sqlalchemy_url

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
SCHEMA = "mlflow"
ROOT_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_ROOT"


def artifact_root() -> str:
    """The artifact root without an MLflow server: var/mlartifacts, as a URI."""
    return (state_dir() / "mlartifacts").as_uri()


def tracking_uri(url: str) -> str:
    """MLflow's tracking URI: MLFLOW_TRACKING_URI, or the schema `mlflow` of the Postgres server."""
    return os.environ.get(TRACKING_VARIABLE) or sqlalchemy_url(url, SCHEMA)


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
        raise RegistryError(f"MLflow: {first_line(error)}; see `streamflow db url` and MLFLOW_TRACKING_URI") from error
