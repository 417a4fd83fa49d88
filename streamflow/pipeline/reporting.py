"""Output of commands and stages: lines, progress on a terminal, one line for a failure."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from streamflow.core.errors import StreamFlowError

USER_ERROR = 2
_T = TypeVar("_T")


@contextmanager
def one_line_errors(where: str) -> Iterator[None]:
    """Turn a StreamFlowError into one line on stderr that starts with `where`, and exit code 2."""
    try:
        yield
    except StreamFlowError as error:
        print(f"{where}: {error}", file=sys.stderr)
        sys.exit(USER_ERROR)


def say(line: str) -> None:
    """Print one line about what was done."""
    print(line, flush=True)


def progress(items: Iterable[_T], description: str, total: int | None = None) -> Iterable[_T]:
    """The items, with a progress bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, description=description, total=total, console=Console(stderr=True), transient=True)
