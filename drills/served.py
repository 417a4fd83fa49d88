"""What the drills of serving share: a project with two versions, `streamflow serve` in it, and its processes by name."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
from http_server import free_port, gone
from online_offline import offline
from project import Project, small

from streamflow.core.errors import ModelError
from streamflow.postgres.server import database
from streamflow.promotion import ledger
from streamflow.registry.loading import prove
from streamflow.registry.registry import Registry, open_registry

MONTH, SERVICE = "2024-01-31", "churn_v1"
SECOND = "seed=7"
Scores = dict[str, dict[str, float]]


def two_versions(path: Path) -> Project:
    """A copy of the project with versions 1 (Production) and 2, which say different things of the same users."""
    project = Project.copy(path, *small())
    project.streamflow("repro")
    project.streamflow("repro", *small(SECOND), "promotion=never")
    project.streamflow("tag", "second")  # nobody signs for what is in no commit
    return project


@contextmanager
def registry_of(project: Project) -> Iterator[Registry]:
    """The registry of a project; the block runs in the project's folder."""
    before = Path.cwd()
    os.chdir(project.path)
    try:
        with database(project.path / "var") as url:
            yield open_registry(url)
    finally:
        os.chdir(before)


def move(version: str) -> None:
    """Make another version Production by the ledger; no gate is checked. Inside `registry_of`."""
    with database(Path("var").resolve()) as url:
        registry = open_registry(url)
        found = registry.version(version)
        try:
            model = registry.load(found)
        except ModelError:  # a bad version, which somebody made Production all the same
            model = replace(registry.load(registry.version("1")), version=version)
            model = replace(model, model_sha256=found.tags["streamflow.model_sha256"])
        ledger.move(url, registry, "promote", model, "a drill")


def offline_scores(registry: Registry, *versions: str) -> Scores:
    """By version, the churn probability of each user from the frozen files. Inside `registry_of`."""
    features = offline(MONTH, SERVICE)
    users = sorted(features)
    scores: Scores = {}
    for version in versions:
        model = prove(registry.files(registry.version(version))).model
        columns = {column.name: [features[user][column.name] for user in users] for column in model.features}
        probabilities, _ = model.score(columns)
        scores[version] = dict(zip(users, map(float, probabilities), strict=True))
    return scores


class Server:
    """`streamflow serve` on a free port, ready; ended by Ctrl-C at the end of the block unless it has ended."""

    def __init__(self, project: Project, *arguments: str, port: int | None = None, **environment: str) -> None:
        self.project, self.port = project, port or free_port()
        self.log = project.path / "var" / "drill.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [project.python, "-m", "streamflow.cli.main", "serve", "--port", str(self.port), *arguments],
                cwd=project.path,
                env={**project.environment, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def __enter__(self) -> "Server":
        try:
            wait_for(lambda: self._says("/ready"), 120, "the server is not ready", self.said)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.client.close()

    def end(self, number: signal.Signals = signal.SIGINT) -> None:
        """Signal `streamflow serve` and wait for it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(60)

    def _says(self, path: str) -> bool:
        """Whether the graph, not the front before it, answers with 200."""
        try:
            answer = self.client.get(path)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and "serving starts" not in answer.text

    def status(self, path: str) -> int:
        """Status of a GET; 0 if nothing answers."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return 0

    def said(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:]

    def model(self) -> dict:
        """GET /model."""
        return self.client.get("/model").json()

    def metric(self, series: str) -> float | None:
        """One series of /metrics."""
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"{series} "):
                return float(line.rpartition(" ")[2])
        return None

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Processes that the server started, those whose command line holds `word`."""
        return [each for each in psutil.Process(self.process.pid).children(recursive=True) if word in _line(each)]

    def folders(self) -> set[Path]:
        """Where HAProxy keeps its files, as the processes were told."""
        named = (_variable(each, "RAY_SERVE_HAPROXY_SERVER_STATE_BASE") for each in self.processes())
        return {Path(folder) for folder in named if folder}


def wait_for(what: Callable[[], object], seconds: float, otherwise: str, said: Callable[[], str] = str) -> float:
    """Wait until something is true; returns how long that took. Raises AssertionError with `otherwise`."""
    started = time.monotonic()
    while not what():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"{otherwise} within {seconds:g} s\n{said()}")
        time.sleep(0.1)
    return time.monotonic() - started


def left_behind(project: Project, seconds: float = 20) -> list[str]:
    """Processes and files that an ended server should not leave, after waiting for them to go."""
    processes = gone(project, seconds)
    var = project.path / "var"
    files = [*var.glob("*.lifeline"), *var.glob("postgres/postmaster.pid"), *var.glob("serve/verified/partial-*")]
    return processes + [str(each) for each in files]


def report(held: bool, name: str, figures: str) -> bool:
    """Print one case."""
    print(f"{'held  ' if held else 'FAILED'}  {name}: {figures}", flush=True)
    return held


def load_average() -> str:
    """How busy this machine is: times measured on a busy one are pessimistic."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None
