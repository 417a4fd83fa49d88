"""What every replica's process does first, and how it holds a thing that may not be there yet."""

import os
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from streamflow.adapters.environment import silence_telemetry
from streamflow.adapters.postgres import hold_database
from streamflow.errors import StreamFlowError

RETRY_SECONDS = 5.0
_T = TypeVar("_T")


def prepare(root: str) -> str:
    """Work in the project's root as the stages do; returns the URL of the database, up while this process lives."""
    os.chdir(root)
    silence_telemetry()
    return hold_database()


class Held(Generic[_T]):
    """A thing that is loaded once; as long as it can't be, asking for it raises why, and every five seconds tries again."""

    def __init__(self, load: Callable[[], _T], clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._thing: _T | None = None
        self._problem: StreamFlowError | None = None
        self._next_try = clock()

    def get(self) -> _T:
        """The thing. Raises the StreamFlowError of the last try if there is none."""
        if self._thing is not None:
            return self._thing
        if self._problem is None or self._clock() >= self._next_try:
            try:
                self._thing = self._load()
                return self._thing
            except StreamFlowError as problem:
                self._problem = problem
                self._next_try = self._clock() + RETRY_SECONDS
        raise self._problem
