"""kill -9 of `streamflow repro` and `streamflow rerun` at random moments: the next call succeeds with the same bytes.

After each SIGTERM of a rerun nothing is left even before the next call.

Nothing may be left over: no process, no lock that is held, no checkout, no half-written file.

    python -m drills.kills [COUNT]      COUNT moments for each of the two commands (20)
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
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


def survives(project: Project, command: tuple[str, ...], again: tuple[str, ...], seconds: float, lock: str) -> bool:
    """Kill a command, call it again, and look."""
    ended = ended_after(project, seconds, signal.SIGKILL, *command)
    started = time.monotonic()
    done = project.streamflow(*again, check=False)
    left = left_over(project)
    held = done.returncode == 0 and not left and project.text("dvc.lock") == lock
    print(
        f"{'held  ' if held else 'FAILED'}  {' '.join(command)} {'killed' if ended else 'ended'} after {seconds:.1f} s;"
        f" the next call: exit {done.returncode} in {time.monotonic() - started:.0f} s",
        flush=True,
    )
    if not held:
        print(f"  left over: {left}\n  {done.stdout[-500:]}\n  {done.stderr[-500:]}")
    return held


def leaves_nothing(project: Project, seconds: float, lock: str) -> bool:
    """End a rerun by SIGTERM, and look at once."""
    ended = ended_after(project, seconds, signal.SIGTERM, "rerun", TAG)
    left = left_over(project)
    held = not left and project.text("dvc.lock") == lock
    print(
        f"{'held  ' if held else 'FAILED'}  rerun {'terminated' if ended else 'ended'} after {seconds:.1f} s {left}",
        flush=True,
    )
    return held


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
            for _ in range(count):
                held += survives(project, command, again, chance.uniform(0.2, length), lock)
        held += sum(leaves_nothing(project, chance.uniform(0.5, length), lock) for _ in range(5))
    print(f"{held} of {2 * count + 5} ends survived")
    sys.exit(0 if held == 2 * count + 5 else 1)


if __name__ == "__main__":
    main()
