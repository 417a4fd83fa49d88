"""kill -9 of `streamflow repro` and `streamflow rerun` at random moments: the next call succeeds with the same bytes.

After each SIGTERM of a rerun nothing is left even before the next call.

Nothing may be left over: no process, no lock that is held, no checkout, no half-written file. A run that ended by itself
before its moment counts for nothing: another moment is tried, three times as often as there are kills to make.

    python -m drills.kills [COUNT]      COUNT moments for each of the two commands (20)
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from http_server import gone
from project import Project, small

from drills.attacks import TAG, prepared


def ended_after(project: Project, seconds: float, end: signal.Signals, *arguments: str) -> bool:
    """Start a command and signal it (and nothing else) after some seconds; False if it had ended by itself."""
    process = subprocess.Popen(
        [project.python, "-m", "streamflow.cli.main", *arguments],
        cwd=project.path,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        os.kill(process.pid, end)
        process.wait()
        return True


def left_over(project: Project) -> list[str]:
    """What a call should have cleaned up and did not."""
    var = project.path / "var"
    files = [str(path) for pattern in ("reruns/*", "*.lifeline", ".postgres-new-*") for path in var.glob(pattern)]
    partial = [str(path) for folder in ("artifacts", "data") for path in (project.path / folder).rglob(".*partial*")]
    return [*files, *partial, *(str(each) for each in gone(project, 10)), *project.status().splitlines()]


def verdict(killed: bool, faults: list[str]) -> bool | None:
    """Whether an end was survived; None if there was none, as the command had ended by itself. Faults always count."""
    if faults:
        return False
    return True if killed else None


def held_of(count: int, end: Callable[[], bool | None]) -> int:
    """How many of `count` ends were survived; ends that were none are tried again, up to three times `count` calls."""
    verdicts: list[bool] = []
    for _ in range(3 * count):
        if len(verdicts) == count:
            break
        if (held := end()) is not None:
            verdicts.append(held)
    return sum(verdicts)


def survives(
    project: Project, command: tuple[str, ...], again: tuple[str, ...], seconds: float, lock: str
) -> bool | None:
    """Kill a command, call it again, and look."""
    killed = ended_after(project, seconds, signal.SIGKILL, *command)
    started = time.monotonic()
    done = project.streamflow(*again, check=False)
    faults = [f"left over: {each}" for each in left_over(project)]
    if done.returncode:
        faults.append(f"exit {done.returncode}: {done.stdout[-500:]} {done.stderr[-500:]}")
    if project.text("dvc.lock") != lock:
        faults.append("dvc.lock has other bytes")
    held = verdict(killed, faults)
    after = f"the next call: exit {done.returncode} in {time.monotonic() - started:.0f} s"
    _print(held, f"{' '.join(command)} {_end(killed, 'killed')} after {seconds:.1f} s; {after}", faults)
    return held


def leaves_nothing(project: Project, seconds: float, lock: str) -> bool | None:
    """End a rerun by SIGTERM, and look at once."""
    ended = ended_after(project, seconds, signal.SIGTERM, "rerun", TAG)
    faults = left_over(project)
    if project.text("dvc.lock") != lock:
        faults.append("dvc.lock has other bytes")
    held = verdict(ended, faults)
    _print(held, f"rerun {_end(ended, 'terminated')} after {seconds:.1f} s", faults)
    return held


def _end(by_signal: bool, how: str) -> str:
    return how if by_signal else "ended by itself"


def _print(held: bool | None, what: str, faults: list[str]) -> None:
    word = {True: "held  ", False: "FAILED", None: "none  "}[held]
    print(f"{word}  {what}", *faults, sep="\n  ", flush=True)


def main() -> None:
    """Kill both commands at random moments of their run."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    chance = random.Random(20240229)
    held = 0
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = prepared(Path(scratch), *small())
        lock = project.text("dvc.lock")
        for command, again in ((("repro", "--force"), ("repro",)), (("rerun", TAG), ("rerun", TAG))):
            started = time.monotonic()
            project.streamflow(*command)
            length = time.monotonic() - started

            def kill(
                command: tuple[str, ...] = command, again: tuple[str, ...] = again, length: float = length
            ) -> bool | None:
                return survives(project, command, again, chance.uniform(0.2, length), lock)

            held += held_of(count, kill)
        held += held_of(5, lambda: leaves_nothing(project, chance.uniform(0.5, length), lock))
    print(f"{held} of {2 * count + 5} ends survived")
    sys.exit(0 if held == 2 * count + 5 else 1)


if __name__ == "__main__":
    main()
