"""A commit's files in a folder of their own, which is removed after use, also after a kill."""

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamflow.pipeline.lifeline import VARIABLE
from streamflow.pipeline.project import project_root, state_dir
from streamflow.rerun.transfer import isolated_git, take_commit


@contextmanager
def checkout(commit: str, patch: bytes = b"") -> Iterator[Path]:
    """A clone at `commit`, with `patch` applied. It shares nothing with the project, neither files nor git's objects.

    Raises EnvironmentFault if the project's git can't give the commit, or gives other bytes than the commit's ids name.
    """
    reruns = state_dir() / "reruns"
    reruns.mkdir(exist_ok=True)
    remove_left_over(reruns)
    folder = reruns / str(os.getpid())
    with folder.with_suffix(".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            folder.mkdir()
            take_commit(project_root(), commit, folder)
            if patch:
                isolated_git(folder, "apply", "--whitespace=nowarn", "-", stdin=patch)
            yield folder
        finally:
            _end_processes_in(folder)
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".lock").unlink(missing_ok=True)


def remove_left_over(reruns: Path) -> None:
    """Remove the checkouts of processes that have ended, and end processes that still run in them."""
    for lock in reruns.glob("*.lock"):
        with suppress(OSError), lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder = lock.with_suffix("")
            _end_processes_in(folder)
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _end_processes_in(folder: Path) -> None:
    """Kill the processes that a rerun started in a checkout, but not the shell of a person in that folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            inside = (entry / "cwd").readlink().is_relative_to(folder)
            if inside and f"{VARIABLE}=".encode() in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
