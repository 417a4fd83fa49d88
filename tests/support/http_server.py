"""A server started in a project, waited for, asked, and ended by its own process id."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from project import Project


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(project: Project, log: Path, *arguments: str) -> Iterator[httpx.Client]:
    """`streamflow serve` in the project, ready; ended with SIGINT, as Ctrl-C would."""
    with running(project, log, "serve", "/ready", *arguments) as client:
        yield client


@contextmanager
def running(project: Project, log: Path, command: str, probe: str, *arguments: str) -> Iterator[httpx.Client]:
    """A server of `streamflow`, started on a free port and waited for until `probe` answers 200."""
    port = free_port()
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamflow.cli.main", command, "--port", str(port), *arguments],
            cwd=project.path,
            env=project.environment,
            stdout=output,
            stderr=output,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                _wait_until_ready(client, server, log, probe)
                yield client
            _end_as_ctrl_c(server, log)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()
                raise AssertionError(f"the server did not end within 60 s\n{log.read_text()[-4000:]}") from None


def _end_as_ctrl_c(server: subprocess.Popen[bytes], log: Path) -> None:
    """End a server that did not end by itself: exit code 130, one plain line, no traceback of the interruption."""
    if server.poll() is not None:
        return
    server.send_signal(signal.SIGINT)
    said = f"exit {server.wait(60)}\n{log.read_text(errors='replace')[-4000:]}"
    assert server.returncode == 130, said
    assert said.splitlines()[-1] == "stopped", said
    assert "Aborted!" not in said
    # Ray logs a line that names it; what Python prints of it begins with the name.
    assert not re.search(r"^KeyboardInterrupt", said, re.MULTILINE)


def processes_of(project: Project) -> list[str]:
    """Command lines of live processes that work in the project's folder or name it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        is_ours = str(project.path) in line or str(process.info["cwd"] or "").startswith(str(project.path))
        if is_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def listening(project: Project) -> dict[str, str]:
    """Address to process name of every TCP port that a process of the project listens on."""
    return {
        f"{connection.laddr.ip}:{connection.laddr.port}": process.name()
        for process in psutil.process_iter()
        if _is_ours(process, project)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def _is_ours(process: psutil.Process, project: Project) -> bool:
    try:
        return str(project.path) in " ".join(process.cmdline()) or process.cwd().startswith(str(project.path))
    except psutil.Error:
        return False


def gone(project: Project, seconds: float = 20) -> list[str]:
    """Processes of the project that are still there after waiting for them to end; empty if all are gone."""
    deadline = time.monotonic() + seconds
    while (left := processes_of(project)) and time.monotonic() < deadline:
        time.sleep(0.25)
    return left


def _wait_until_ready(client: httpx.Client, server: subprocess.Popen[bytes], log: Path, probe: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise AssertionError(f"the server ended with {server.returncode}\n{log.read_text()[-4000:]}")
        try:
            if client.get(probe).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    raise AssertionError(f"the server was not ready within 120 s\n{log.read_text()[-4000:]}")
