"""`streamflow serve` and `streamflow ui`: servers in the foreground, on loopback unless told otherwise."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import click
import psutil

from streamflow.cli.examples import examples
from streamflow.cli.listening import LOOPBACK, PORT, require_free, web_address
from streamflow.core.errors import ConfigError
from streamflow.pipeline import lifeline
from streamflow.pipeline.project import state_dir
from streamflow.pipeline.reporting import say
from streamflow.postgres.connection import connect, without_password
from streamflow.postgres.server import database

FRONT_FOLDER = "STREAMFLOW_FRONT_FOLDER"
_PR_SET_CHILD_SUBREAPER = 36


@click.command(
    epilog=examples(
        "streamflow serve",
        "streamflow serve --port 8080 graph=fused replicas=2",
        "streamflow serve model=v3 stale_policy=refuse max_age_days=31",
    )
)
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, default=8000, show_default=True, help="Port of the HTTP endpoints.")
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
    with database() as url:
        connect(url).close()
        # It checks ARGUMENTS and the version before it starts Ray.
        _serve([sys.executable, "-m", "serve", "--host", host, "--port", str(port), *forced, *arguments])


def _serve(command: list[str]) -> None:
    # Ray appends 56 characters to a path, and a socket path takes 97.
    front = tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp", ignore_cleanup_errors=True)
    with lifeline.lifeline(state_dir()) as line, front as folder:
        os.environ.update({lifeline.VARIABLE: str(line), FRONT_FOLDER: folder})
        sys.exit(_foreground(command))


@click.command(epilog=examples("streamflow ui", "streamflow ui --port 5001"))
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", type=PORT, default=5000, show_default=True, help="Port of the pages.")
def ui(host: str, port: int) -> None:
    """Start MLflow's web pages of the runs and models of this project."""
    from streamflow.registry.connection import TRACKING_VARIABLE, artifact_root, tracking_uri
    from streamflow.registry.registry import open_registry

    named = os.environ.get(TRACKING_VARIABLE, "")
    if named.startswith("http"):
        raise ConfigError(
            f"{TRACKING_VARIABLE} names a server with pages of its own: open {without_password(named)} in a browser, or"
            f" `env -u {TRACKING_VARIABLE} streamflow ui` for the project's own database"
        )
    require_free(host, port)
    with database() as url:
        open_registry(url)
        say(f"MLflow on {web_address(host, port)}; Ctrl-C stops it")
        # The URL may contain a password: pass it in the environment, which `ps` does not show.
        os.environ["MLFLOW_BACKEND_STORE_URI"] = tracking_uri(url)
        # Clients that come over HTTP hand their files to the server.
        os.environ["MLFLOW_ARTIFACTS_DESTINATION"] = artifact_root()
        os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
        # Workers for MLflow's own background jobs, none of which we use, would take half a gigabyte and 20 s of CPU.
        os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
        command = [_program("mlflow"), "server", "--host", host, "--port", str(port), "--workers", "1"]
        sys.exit(_foreground(command, gently=signal.SIGTERM))  # at SIGINT uvicorn prints a traceback


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _foreground(command: list[str], gently: signal.Signals = signal.SIGINT) -> int:
    """Run a server until it ends; at SIGINT or SIGTERM, send `gently` to it and its children, at a second one SIGTERM.

    Returns its exit code; 130 after SIGINT and 143 after SIGTERM, as shells count, whatever it made of that.
    """
    ended_by = 0

    def end(number: int, _frame: object) -> None:
        nonlocal ended_by
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM if ended_by else gently)
        ended_by = ended_by or number

    _adopt_orphans()
    # Before the child is started: a signal that we handle is not ignored in the child, even if a shell that put us in
    # the background had it ignored. The session of its own keeps the terminal's Ctrl-C from reaching the child twice.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    child = subprocess.Popen(command, start_new_session=True)
    code = child.wait()
    _end_orphans()
    if ended_by:
        say("stopped")
        return 128 + ended_by
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
