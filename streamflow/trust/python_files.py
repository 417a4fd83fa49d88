"""Every file that the Python of an environment could load, and the digests of their bytes and of their facts.

Only __pycache__ is left out: the processes of a rerun read byte code from a folder of the environment that is covered, see
`BYTECODE`, or from an empty one, and never from beside the sources.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BYTECODE = "bytecode"
"""Folder of an environment with compiled modules by the absolute path of their source, for PYTHONPYCACHEPREFIX."""

_FOLDERS = ("bin", "lib", "lib64", BYTECODE)
_CONFIGURATION = "pyvenv.cfg"
# Read beside the interpreter's file, before it looks for a module.
_BESIDE_THE_INTERPRETER = (_CONFIGURATION, "pybuilddir.txt", "python._pth")
_IN_NO_ENVIRONMENT = ("site-packages", "dist-packages")
_COMPILED = "__pycache__"
_AT_ONCE = 4


def python_files(prefix: Path) -> dict[str, str]:
    """Path of each such file, by a name that does not change when the environment moves: folder in it, or python:PATH.

    The standard library is that of the Python which the environment was made from.
    """
    found: dict[str, str] = {}
    for name in _FOLDERS:
        found.update(_below(str(prefix / name), name))
    base = base_of(prefix)
    for path in (prefix / _CONFIGURATION, *(base / "bin" / name for name in _BESIDE_THE_INTERPRETER)):
        if path.is_file():
            found[_CONFIGURATION if path.parent == prefix else f"python:bin/{path.name}"] = str(path)
    for path in _standard_library(base):
        found.update(_below(str(path), f"python:lib/{path.name}", leave_out=_IN_NO_ENVIRONMENT))
    return found


def configuration(prefix: Path) -> dict[str, str]:
    """The settings in pyvenv.cfg; empty for a Python that is no virtual environment."""
    path = prefix / _CONFIGURATION
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}


def base_of(prefix: Path) -> Path:
    """The installation of Python that an environment was made from."""
    home = configuration(prefix).get("home")
    return Path(home).parent if home else prefix


def python_of(prefix: Path) -> Path:
    """The interpreter of an environment."""
    return prefix / "bin" / "python"


def site_packages(prefix: Path) -> Path:
    """The folder of the packages."""
    return next(iter(sorted((prefix / "lib").glob("python3*/site-packages"))), prefix / "lib")


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """Name to SHA-256; a link has its target before it. A file that can't be read has an empty digest."""
    names = list(files)
    parts = [names[start::_AT_ONCE] for start in range(_AT_ONCE)]
    found: dict[str, str] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for part, values in zip(
            parts, pool.map(lambda part: [_digest(files[name]) for name in part], parts), strict=True
        ):
            found.update(zip(part, values, strict=True))
    return found


def facts_sha256(files: Mapping[str, str]) -> tuple[str, int]:
    """Digest of name, size, times and inode of each file, without a look at its bytes, and the newest change (ns).

    Whoever writes into a file or puts another in its place changes ctime or inode, and no program can set ctime.
    """
    digest, newest = hashlib.sha256(), 0
    for name in sorted(files):
        for facts in _facts(files[name]):
            newest = max(newest, facts.st_ctime_ns)
            numbers = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_dev)
            digest.update(f"{name}\0{numbers}\n".encode(errors="surrogateescape"))
    return digest.hexdigest(), newest


def _standard_library(base: Path) -> list[Path]:
    """Folders, archives and the library of the interpreter."""
    patterns = ("lib/python3*", "lib64/python3*", "lib/libpython3*", "lib64/libpython3*")
    return sorted(path for pattern in patterns for path in base.glob(pattern) if not path.parent.is_symlink())


def _below(folder: str, name: str, leave_out: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Name and path of every file and link at or below a path."""
    if os.path.islink(folder) or not os.path.isdir(folder):  # noqa: PTH112, PTH114  # 50,000 times
        if os.path.lexists(folder):
            yield name, folder
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == _COMPILED or entry.name in leave_out:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, f"{name}/{entry.name}", leave_out)
            else:
                yield f"{name}/{entry.name}", entry.path


def _facts(path: str) -> list[os.stat_result]:
    try:
        facts = os.lstat(path)
        return [facts, os.stat(path)] if stat.S_ISLNK(facts.st_mode) else [facts]  # noqa: PTH116
    except OSError:
        return []


def _digest(path: str) -> str:
    try:
        link = f"{os.readlink(path)} " if stat.S_ISLNK(os.lstat(path).st_mode) else ""  # noqa: PTH115
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            return f"{link}is no file"
        with open(path, "rb") as file:  # noqa: PTH123
            return link + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
