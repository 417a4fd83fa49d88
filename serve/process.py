"""The start of every replica's process: project folder, no telemetry, the database, the folder of the counters."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import psutil
import ray
from ray._common import tls_utils
from ray.serve._private import http_util, replica

from serve.metrics import Metrics
from streamflow.pipeline.environment import silence_telemetry
from streamflow.pipeline.project import state_dir
from streamflow.postgres.server import hold_database

LOOPBACK = "127.0.0.1"
# An MLflow server that does not answer is asked again at the next poll; MLflow's 7 retries would delay the start.
_MLFLOW = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
# Of every deployment. Ray's default of 5 ongoing requests makes a graph collapse at 32 connections; the gateway's own
# queue rejects overload. Ray makes a log record for each call at INFO, access log or not.
DEPLOYED: dict[str, Any] = {
    "max_ongoing_requests": 1000,
    "ray_actor_options": {"num_cpus": 0.2},
    "logging_config": {"enable_access_log": False, "log_level": "WARNING"},
}
# Of those that HTTP comes to: a long body that has not arrived yet holds a place, and is no work.
ENTRANCE: dict[str, Any] = {**DEPLOYED, "max_ongoing_requests": 5000}


def enter(root: str) -> None:
    """Work in the project's root as the stages do, and keep to loopback if Ray does."""
    os.chdir(root)
    silence_telemetry()
    os.environ.update({**_MLFLOW, **os.environ})
    http_util.RequestIdMiddleware = ReadableHeaders
    if ray.is_initialized() and ray.util.get_node_ip_address() == LOOPBACK:
        _keep_replica_to_loopback()


class ReadableHeaders(http_util.RequestIdMiddleware):
    """Ray 2.60 decodes all headers as UTF-8 before a replica's own app is asked (replica.py, `_direct_ingress_asgi`).

    It answers 500 to a header that isn't, such as an X-Request-ID in Latin-1; so bytes that can't be decoded are replaced.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on with readable headers."""
        if scope["type"] == "http" and not all(name.isascii() and value.isascii() for name, value in scope["headers"]):
            scope["headers"] = [(_readable(name), _readable(value)) for name, value in scope["headers"]]
        await super().__call__(scope, receive, send)


def _readable(text: bytes) -> bytes:
    return text.decode("utf-8", "replace").encode()


def _keep_replica_to_loopback() -> None:
    """Ray 2.60 binds the port between deployments to every interface (replica.py, `[::]:0`), after this has run."""
    bind = tls_utils.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, address: bind(server, address.replace("[::]", LOOPBACK))


def database_url(root: str) -> str:
    """The URL of the database; the server is up while this process runs. Raises EnvironmentFault."""
    enter(root)
    return hold_database()


def shared_metrics(root: str) -> Metrics:
    """Counters in the folder of this Ray session, which all its processes share; folders of ended sessions are removed."""
    enter(root)
    session = ray.get_runtime_context().get_session_name()
    folder = state_dir() / "serve" / "metrics"
    for left in folder.glob("session_*"):
        if left.name != session and not _is_live(left):
            shutil.rmtree(left, ignore_errors=True)
    return Metrics(folder / session)


def _is_live(folder: Path) -> bool:
    # Ray names a session by its time and the process that began it.
    began = re.search(r"_(\d+)$", folder.name)
    return began is not None and psutil.pid_exists(int(began[1]))
