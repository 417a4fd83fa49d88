"""What a revision of this repository costs beside another: pipeline, idle run, rerun, start of serving, one prediction.

Each revision is cloned, gets an environment of its own lock, and runs its pipeline once; then the two are measured in turns,
so that a slow minute of the machine meets both. What counts are medians and the relations between the two. Needs a package
index, and a machine that does nothing else.

    python -m benchmarks.revisions OLD              OLD beside HEAD, three rounds, some 16 minutes
    python -m benchmarks.revisions OLD NEW --rounds 5 --json benchmarks/results/revisions.json
"""

import json
import os
import platform
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import httpx

from benchmarks.house import ROOT, git

USER = "7590-VHVEG"
WARM_UP, PREDICTIONS = 300, 2000
_READY_WITHIN = 90.0


class Clone:
    """A revision in a folder of its own, with the environment of its lock."""

    def __init__(self, rev: str, folder: Path) -> None:
        self.name = git(ROOT, "rev-parse", "--short", rev).decode().strip()
        self.folder = folder / self.name
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(self.folder)], check=True)
        subprocess.run(["git", "checkout", "--quiet", self.name], cwd=self.folder, check=True)
        self._log = folder / f"{self.name}.log"
        programs = self.folder / ".venv" / "bin"
        self._python = str(programs / "python")
        self._environment = {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]])}
        for name in ("PYTHONPATH", "STREAMFLOW_SIGNING_KEY", "VIRTUAL_ENV"):
            self._environment.pop(name, None)
        self._run("make", "environment")

    def seconds(self, *command: str) -> float:
        """How long a command took. Raises ClickException with its last lines if it fails."""
        started = time.perf_counter()
        self._run(self._python, "-m", *command)
        return time.perf_counter() - started

    def _run(self, *command: str) -> None:
        with self._log.open("wb") as log:
            done = subprocess.run(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
        if done.returncode:
            raise click.ClickException(f"{self.name}: {' '.join(command)}: {self._log.read_text()[-2000:]}")

    @contextmanager
    def served(self) -> Iterator[tuple[httpx.Client, float]]:
        """A client of `streamflow serve`, and the seconds until it was ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [self._python, "-m", "streamflow.cli.main", "serve", "--port", str(port)]
        started = time.perf_counter()
        with self._log.open("wb") as log:
            server = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                while not _is_ready(client):
                    if server.poll() is not None or time.perf_counter() - started > _READY_WITHIN:
                        raise click.ClickException(f"{self.name} is not ready: {self._log.read_text()[-2000:]}")
                    time.sleep(0.05)
                yield client, time.perf_counter() - started
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def predictions(client: httpx.Client) -> Iterator[float]:
    """Milliseconds of each of some predictions, one after another over one connection."""
    for number in range(WARM_UP + PREDICTIONS):
        started = time.perf_counter()
        client.post("/predict", json={"user_id": USER}).raise_for_status()
        if number >= WARM_UP:
            yield (time.perf_counter() - started) * 1000


def measured(clone: Clone) -> Iterator[tuple[str, float]]:
    """One round: what was measured, and the figure."""
    yield "dvc repro with nothing to do, s", clone.seconds("dvc", "repro")
    yield "rerun of Production, s", clone.seconds("streamflow.cli.main", "rerun", "Production")
    with clone.served() as (client, seconds):
        yield "start of serving, s", seconds
        yield "p50 of /predict, ms", median(predictions(client))


@click.command()
@click.argument("old")
@click.argument("new", default="HEAD")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures there.")
def main(old: str, new: str, rounds: int, out: Path | None) -> None:
    """Measure two revisions in turns and print the medians, new to old."""
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with TemporaryDirectory() as scratch:
        clones = {which: Clone(rev, Path(scratch)) for which, rev in (("old", old), ("new", new))}
        for which, clone in clones.items():
            figures["pipeline in a fresh clone, s"][which].append(clone.seconds("streamflow.cli.main", "repro"))
        for number in range(rounds):
            for which in ("old", "new") if number % 2 == 0 else ("new", "old"):
                for what, figure in measured(clones[which]):
                    figures[what][which].append(round(figure, 3))
        names = {which: clone.name for which, clone in clones.items()}
    print(f"{'':34}{names['old']:>12}{names['new']:>12}{'ratio':>8}")
    for what, sides in figures.items():
        before, after = median(sides["old"]), median(sides["new"])
        print(f"{what:34}{before:12.2f}{after:12.2f}{after / before:8.2f}")
    if out:
        out.write_text(json.dumps({"about": _about(), "revisions": names, "figures": figures}, indent=1) + "\n")


def _about() -> dict[str, object]:
    packages = {name: version(name) for name in ("dvc", "mlflow", "feast", "ray", "onnxruntime", "scikit-learn")}
    return {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "packages": packages}


if __name__ == "__main__":
    main()
