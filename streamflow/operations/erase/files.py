"""Files of the project that hold users: frozen months are rewritten, the server's log is masked, all others are removed."""

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamflow.core.arrow import without_users
from streamflow.operations.erase.frozen import parquet_bytes
from streamflow.operations.erase.traces import SHORTEST, Traces, parquet_rows
from streamflow.pipeline.layout import SNAPSHOTS
from streamflow.pipeline.project import replacing, state_dir

_OURS = (Path("data"), Path("artifacts"))
_SERVER = "postgres"
_BACKUPS = "backups"  # SQL text, in which a short id can't be told from anything else
_SKIPPED = {".git", ".venv", "node_modules", "__pycache__"}


@dataclass(frozen=True)
class Cleaned:
    """A file that held a user, and what became of it: rewritten, removed or masked."""

    path: Path
    became: str


def clean_files(users: Sequence[str], spared: Sequence[Path]) -> list[Cleaned]:
    """Take users out of the outputs in the working tree and of the files under var/, except those `spared`."""
    traces, done = Traces(users), []
    for root in _OURS:
        for path in _files(root):
            if traces.in_bytes(path.read_bytes()):
                done.append(_clean_output(path, set(users)))
    state = state_dir()
    for path in _files(state):
        below = path.relative_to(state).parts
        if path in spared or (below[0] == _SERVER and below[1] != "log"):
            continue
        is_dump = below[0] == _BACKUPS and any(len(user) < SHORTEST for user in users)
        if is_dump or traces.in_bytes(path.read_bytes()):
            if below[0] == _SERVER:
                _mask(path, traces.needles)
                done.append(Cleaned(path, "masked"))
            else:
                path.unlink()
                done.append(Cleaned(path, "removed"))
    return done


def files_with_traces(users: Sequence[str], roots: Sequence[Path], spared: Sequence[Path]) -> Iterator[Path]:
    """Every file below some folders that holds a user, whatever it is; the server's own files too."""
    traces = Traces(users)
    for root in roots:
        for path in _files(root):
            if path not in spared and traces.in_bytes(_content(path)):
                yield path


def _clean_output(path: Path, users: set[str]) -> Cleaned:
    rows = parquet_rows(path.read_bytes()) if SNAPSHOTS in path.parents else None
    if rows is None:
        path.unlink()
        return Cleaned(path, "removed")
    with replacing(path) as partial:
        partial.write_bytes(parquet_bytes(without_users(rows, users)))
    return Cleaned(path, "rewritten")


def _mask(path: Path, needles: Sequence[bytes]) -> None:
    """Write asterisks over what is found, in place: the server goes on appending to the same file."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as content:
        for needle in needles:
            at = content.find(needle)
            while at >= 0:
                content[at : at + len(needle)] = b"*" * len(needle)
                at = content.find(needle, at + len(needle))


def _files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in _SKIPPED)
        yield from (path for name in sorted(names) if not (path := Path(folder, name)).is_symlink() and path.is_file())


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # the server removed it meanwhile
        return b""
