"""The servers that are compared: how each is started, waited for, and ended with all that it started."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil

from streamflow.core.errors import EnvironmentFault

READY_SECONDS = 240
END_SECONDS = 60
# Inherited by every process that a server starts, however it detaches itself.
MARK = "STREAMFLOW_BENCHMARK_SERVER"
# Settings of the shell must not make one server another: each command sets its own.
FOREIGN = ("RAY_", "UVICORN_", "WEB_CONCURRENCY")


@dataclass(frozen=True)
class Server:
    """A command line with {port} where it takes one; without, it listens on 8000. `only`: connection counts of interest."""

    name: str
    what: str
    command: str
    only: tuple[int, ...] = ()


SERVERS = {
    server.name: server
    for server in (
        Server(
            "A",
            "laboratory: FastAPI, Feast, mlflow.pyfunc of scikit-learn",
            "python -m benchmarks.serving.lab_way --port {port}",
        ),
        Server(
            "B", "by hand: FastAPI, asyncpg, ONNX Runtime, orjson", "python -m benchmarks.serving.by_hand --port {port}"
        ),
        Server(
            "C",
            "streamflow serve, graph split",
            "python -m streamflow.cli.main serve graph=split --port {port}",
        ),
        Server(
            "D",
            "streamflow serve, graph fused",
            "python -m streamflow.cli.main serve graph=fused --port {port}",
        ),
        Server("E", "plain serve run, Ray's own settings", "serve run serve.app:app", only=(128,)),
    )
}


def changed(commands: list[str]) -> dict[str, Server]:
    """SERVERS with other command lines, each as NAME=COMMAND. Raises EnvironmentFault if there is no such server."""
    servers = dict(SERVERS)
    for each in commands:
        name, _, command = each.partition("=")
        if name not in servers or not command:
            raise EnvironmentFault(f"--command {each}: write NAME=COMMAND with a NAME of {', '.join(servers)}")
        servers[name] = replace(servers[name], what=command, command=command)
    return servers


@contextmanager
def running(server: Server, user_id: str, log: Path) -> Iterator[str]:
    """A server in a session of its own that answers /predict, as its base URL; nothing of it is left afterwards."""
    port = _free_port() if "{port}" in server.command else 8000
    _refuse_taken(port)
    program, *arguments = shlex.split(server.command.format(port=port))
    beside = Path(sys.executable).with_name(program)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    mark = uuid.uuid4().hex
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(beside) if beside.exists() else program, *arguments],
            stdout=output,
            stderr=output,
            env={**environment, MARK: mark},
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_predicts(server, process, url, user_id, log)
        yield url
    finally:
        _end(process, mark)


def _wait_until_it_predicts(
    server: Server, process: "subprocess.Popen[bytes]", url: str, user_id: str, log: Path
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    last = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = httpx.post(f"{url}/predict", json={"user_id": user_id}, timeout=20)
            if answer.status_code == 200:
                return
            last = f"{answer.status_code} {answer.text[:200]}"
        except httpx.TransportError as error:
            last = type(error).__name__
        time.sleep(0.25)
    state = (
        f"ended with {process.poll()}" if process.poll() is not None else f"has no 200 in {READY_SECONDS} s ({last})"
    )
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    print(tail, file=sys.stderr)
    raise EnvironmentFault(f"{server.name} ({server.command}) {state}; above is the end of its log")


def _end(process: "subprocess.Popen[bytes]", mark: str) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for grace, end in ((10.0, signal.SIGTERM), (5.0, signal.SIGKILL), (5.0, None)):
        deadline = time.monotonic() + grace
        while (left := _marked(mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if not left:
            return
        for each in left if end else ():
            print(f"  left over after its server ended: {' '.join(each.cmdline())[:100]}; {end.name}", file=sys.stderr)
            each.send_signal(end)


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EnvironmentFault(f"port {port} is taken; end what listens there") from error
