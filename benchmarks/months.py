"""What a month more costs: an idle `streamflow repro` and the lines of dvc.lock, with few months and with many.

Copies of this working tree with synthetic users get their months once; then the copies are run in turns with nothing to do.
What counts are medians and their relation to the first. Run it on a machine that does nothing else.

    python -m benchmarks.months                          2, 12 and 36 months of 500 users, three rounds, some 8 minutes
    python -m benchmarks.months --months 2 --months 24 --rounds 5 --json benchmarks/results/months.json
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.house import ROOT
from streamflow.core.calendar import FIRST_SYNTHETIC_MONTH, month_later

MODEL = ("model=logistic_regression", "cross_validation.repeats=1", "cross_validation.folds=2", "promotion=never")


class Copy:
    """This working tree in another folder, with so many months."""

    def __init__(self, folder: Path, months: int, users: int) -> None:
        self.months, self._folder = months, folder
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink()
        for command in (["init", "-q", "-b", "main"], ["add", "-A"]):
            subprocess.run(["git", *command], cwd=folder, check=True)
        identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@streamflow.example"]
        subprocess.run(["git", *identity, "commit", "-q", "-m", "copy"], cwd=folder, check=True)
        dates = ",".join(month_later(FIRST_SYNTHETIC_MONTH, number) for number in range(months))
        self.first = self.seconds(f"months=[{dates}]", f"source.users={users}", *MODEL)

    def seconds(self, *overrides: str) -> float:
        """How long `streamflow repro` took. Raises ClickException with its last lines if it fails."""
        environment = {**os.environ, "PYTHONPATH": str(self._folder)}
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "streamflow.cli.main", "repro", *overrides],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise click.ClickException(f"{self.months} months: {(done.stdout + done.stderr)[-2000:]}")
        return time.perf_counter() - started

    @property
    def lock_lines(self) -> int:
        """Lines of dvc.lock."""
        return len((self._folder / "dvc.lock").read_text(encoding="utf-8").splitlines())


@click.command()
@click.option("--months", type=click.IntRange(min=1), multiple=True, default=(2, 12, 36), show_default=True)
@click.option("--users", type=click.IntRange(min=100), default=500, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Write the figures to this file.")
def main(months: tuple[int, ...], users: int, rounds: int, as_json: Path | None) -> None:
    """Idle runs with few months and with many."""
    with TemporaryDirectory() as scratch:
        copies = [Copy(Path(scratch) / str(count), count, users) for count in months]
        idle: dict[int, list[float]] = {each.months: [] for each in copies}
        for _ in range(rounds):
            for each in copies:
                idle[each.months].append(each.seconds())
        least = copies[0]
        found = {
            str(each.months): {
                "first_run_seconds": round(each.first, 1),
                "idle_seconds": [round(seconds, 2) for seconds in idle[each.months]],
                "idle_median": round(median(idle[each.months]), 2),
                "idle_relation": round(median(idle[each.months]) / median(idle[least.months]), 2),
                "lock_lines": each.lock_lines,
                "lock_lines_a_month": _lines_a_month(each, least),
            }
            for each in copies
        }
    click.echo(f"{'months':>7}{'first run':>11}{'idle, median':>14}{'relation':>10}{'dvc.lock':>10}{'a month':>9}")
    for name, each in found.items():
        click.echo(
            f"{name:>7}{each['first_run_seconds']:>9.1f} s{each['idle_median']:>12.2f} s{each['idle_relation']:>10.2f}"
            f"{each['lock_lines']:>10}{each['lock_lines_a_month'] or '':>9}"
        )
    if as_json:
        machine = {"cores": os.cpu_count(), "python": platform.python_version(), "dvc": version("dvc")}
        content = {"users": users, "rounds": rounds, "machine": machine, "months": found}
        as_json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _lines_a_month(copy: Copy, least: Copy) -> float | None:
    if copy.months == least.months:
        return None
    return round((copy.lock_lines - least.lock_lines) / (copy.months - least.months), 1)


if __name__ == "__main__":
    main()
