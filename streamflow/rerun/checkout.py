"""A commit's files in a folder of their own, which is removed after use, also after a kill."""

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamflow.core.errors import EnvironmentFault
from streamflow.pipeline.lifeline import VARIABLE
from streamflow.pipeline.project import project_root, state_dir
from streamflow.provenance.git import without_git_variables

_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


@contextmanager
def checkout(commit: str, patch: bytes = b"") -> Iterator[Path]:
    """A clone at `commit`, with `patch` applied. It shares git's objects with the project and nothing else.

    A clone, not a worktree: nothing is written below the project's .git, so nothing has to be cleaned up there.
    """
    reruns = state_dir() / "reruns"
    reruns.mkdir(exist_ok=True)
    remove_left_over(reruns)
    folder = reruns / str(os.getpid())
    with folder.with_suffix(".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        try:
            _git("clone", "--quiet", "--shared", "--no-checkout", str(project_root()), str(folder))
            _git("-C", str(folder), "checkout", "--quiet", "--detach", commit, "--")
            if patch:
                _git("-C", str(folder), "apply", "--whitespace=nowarn", "-", stdin=patch)
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


def _git(*arguments: str, stdin: bytes | None = None) -> None:
    command = ["git", *_NO_HOOKS, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, env=without_git_variables(), check=False)
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip() or "no reason given").splitlines()[-1]
        raise EnvironmentFault(f"git {arguments[0]} for the rerun: {reason}; `git fsck`, or fetch the commit")
