"""Processes that end with the command that started them, even after kill -9.

The command has an exclusive flock on a file of its own. Each process that it starts waits for that lock in a thread and ends
as soon as it gets the lock. It needs no signal and no polling, and a grandchild behind a shell ends as well.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "STREAMFLOW_LIFELINE"
_SUFFIX = ".lifeline"


@contextmanager
def lifeline(folder: Path) -> Iterator[Path]:
    """A lifeline for what the block starts: pass its path in the environment variable STREAMFLOW_LIFELINE."""
    for left in folder.glob(f"*{_SUFFIX}"):
        _remove_if_free(left)
    path = folder / f"{os.getpid()}{_SUFFIX}"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def follow(end: Callable[[], object] = lambda: os._exit(1)) -> None:
    """End this process as soon as the command whose lifeline the environment names has ended; no effect without one."""
    named = os.environ.get(VARIABLE)
    if not named or not Path(named).exists():
        return
    file = Path(named).open("a")  # noqa: SIM115  # open until the process ends

    def wait() -> None:
        fcntl.flock(file, fcntl.LOCK_SH)
        end()

    threading.Thread(target=wait, daemon=True, name="lifeline").start()


def _remove_if_free(path: Path) -> None:
    with suppress(OSError), path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
