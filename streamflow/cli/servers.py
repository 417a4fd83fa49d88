"""`streamflow serve` and `streamflow ui`: servers in the foreground, on loopback unless told otherwise."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import yaml

from streamflow.adapters.files import replacing, state_dir
from streamflow.adapters.postgres import database
from streamflow.cli.reporting import say
from streamflow.errors import EnvironmentFault

SERVE_CONFIG = Path("serve/config.yaml")
LOOPBACK = "127.0.0.1"


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port of the HTTP endpoints.")
def serve(host: str, port: int) -> None:
    """Serve the Production model over HTTP (Ray Serve: gateway, feature lookup, scorer)."""
    require_free(host, port)
    settings = yaml.safe_load(SERVE_CONFIG.read_text(encoding="utf-8"))
    settings["http_options"] |= {"host": host, "port": port}
    chosen = state_dir() / "serve.yaml"
    with replacing(chosen) as partial:
        partial.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with database():
        say(f"StreamFlow churn will answer on http://{host}:{port} (about 20 s from now); Ctrl-C ends it")
        sys.exit(_foreground([_program("serve"), "run", str(chosen)]))


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=5000, show_default=True, help="Port of the pages.")
def ui(host: str, port: int) -> None:
    """Open MLflow's pages on the runs and models of this project."""
    from streamflow.adapters.registry import artifact_root, open_registry, tracking_uri

    require_free(host, port)
    with database() as url:
        open_registry(url)
        say(f"MLflow on http://{host}:{port}; Ctrl-C ends it")
        # The URL may hold a password: hand it over in the environment, which `ps` does not show.
        os.environ["MLFLOW_BACKEND_STORE_URI"] = tracking_uri(url)
        # Clients that come over HTTP hand their files to the server.
        os.environ["MLFLOW_ARTIFACTS_DESTINATION"] = artifact_root()
        os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
        sys.exit(_foreground([_program("mlflow"), "server", "--host", host, "--port", str(port), "--workers", "1"]))


def require_free(host: str, port: int) -> None:
    """Refuse a port that something listens on. Raises EnvironmentFault."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise EnvironmentFault(
                f"{host}:{port} is taken ({error.strerror}); end what listens there, or --port N"
            ) from error


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _foreground(command: list[str]) -> int:
    """Run a server until it ends; SIGINT or SIGTERM to us is Ctrl-C to it and to what it started, once."""
    ended = False

    def end(_signal: int, _frame: object) -> None:
        nonlocal ended
        os.killpg(child.pid, signal.SIGTERM if ended else signal.SIGINT)
        ended = True

    # Before the child is started: a signal that we handle is not ignored in the child, even if a shell that put us in
    # the background had it ignored. The session of its own keeps the terminal's Ctrl-C from reaching the child twice.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    child = subprocess.Popen(command, start_new_session=True)
    return child.wait()
