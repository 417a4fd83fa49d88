"""`streamflow serve` and `streamflow ui`: servers in the foreground, on loopback unless told otherwise."""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

import click
import psutil

from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline import lifeline
from streamflow.pipeline.project import state_dir
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database

LOOPBACK = "127.0.0.1"
FRONT_FOLDER = "STREAMFLOW_FRONT_FOLDER"
_PR_SET_CHILD_SUBREAPER = 36


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port of the HTTP endpoints.")
@click.option(
    "--force", is_flag=True, help="Answer for users of another source than the model's, too (any_source=true)."
)
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
def serve(host: str, port: int, force: bool, arguments: tuple[str, ...]) -> None:
    """Serve the Production model over HTTP (Ray Serve: gateway, feature lookup, scorer), with the fast settings.

    KEY=VALUE as `serve run serve.app:build` takes them: graph=split|fused, model=ALIAS|VERSION, feature_service=NAME,
    max_age_days=N, stale_policy=flag|refuse, replicas=N, gateways=N, token=SECRET, any_source=true|false.
    """
    require_free(host, port)
    forced = ("any_source=true",) if force else ()
    # Ray appends 56 characters to a path, and a socket path takes 97.
    front = tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp", ignore_cleanup_errors=True)
    with database(), lifeline.lifeline(state_dir()) as line, front as folder:
        os.environ.update({lifeline.VARIABLE: str(line), FRONT_FOLDER: folder})
        say(f"StreamFlow churn will be ready on http://{host}:{port} (about 15 s from now); Ctrl-C stops it")
        sys.exit(_foreground([sys.executable, "-m", "serve", "--host", host, "--port", str(port), *forced, *arguments]))


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port of the pages.")
def ui(host: str, port: int) -> None:
    """Start MLflow's web pages of the runs and models of this project."""
    from streamflow.registry.connection import artifact_root, tracking_uri
    from streamflow.registry.registry import open_registry

    require_free(host, port)
    with database() as url:
        open_registry(url)
        say(f"MLflow on http://{host}:{port}; Ctrl-C stops it")
        # The URL may contain a password: pass it in the environment, which `ps` does not show.
        os.environ["MLFLOW_BACKEND_STORE_URI"] = tracking_uri(url)
        # Clients that come over HTTP hand their files to the server.
        os.environ["MLFLOW_ARTIFACTS_DESTINATION"] = artifact_root()
        os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
        # Workers for MLflow's own background jobs, none of which we use, would take half a gigabyte and 20 s of CPU.
        os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        sys.exit(_foreground([_program("mlflow"), "server", "--host", host, "--port", str(port), "--workers", "1"]))


def require_free(host: str, port: int) -> None:
    """Check that a port is free. Raises EnvironmentFault."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            what = _what_answers(host, port) or error.strerror
            raise EnvironmentFault(f"{host}:{port} is taken ({what}); stop that server, or use --port N") from error


def _what_answers(host: str, port: int) -> str | None:
    """Which model a server of this project serves on that port; None if it is another program."""
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/model", timeout=2) as answer:
            model = json.load(answer)
        return f"{model['name']} version {model['version']} is served there since {model['loaded_at'][:19]} UTC"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _foreground(command: list[str]) -> int:
    """Run a server until it ends; pass SIGINT or SIGTERM on to it and its children once, as Ctrl-C."""
    ended = False

    def end(_signal: int, _frame: object) -> None:
        nonlocal ended
        os.killpg(child.pid, signal.SIGTERM if ended else signal.SIGINT)
        ended = True

    _adopt_orphans()
    # Before the child is started: a signal that we handle is not ignored in the child, even if a shell that put us in
    # the background had it ignored. The session of its own keeps the terminal's Ctrl-C from reaching the child twice.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    child = subprocess.Popen(command, start_new_session=True)
    code = child.wait()
    _end_orphans()
    return code if code >= 0 else 128 - code


def _adopt_orphans() -> None:
    """Become the parent of processes whose parent is killed (on Linux), also in other sessions."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_orphans() -> None:
    """End processes that a killed server left running, except the database, which ends with its last lease."""
    orphans = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.name() != "postgres":
                process.kill()
                orphans.append(process)
    psutil.wait_procs(orphans, timeout=10)
