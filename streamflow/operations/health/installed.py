"""The files of the installed packages against the SHA-256 that each package's RECORD names."""

import base64
import csv
import hashlib
import os
import sysconfig
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

_LOADED = (".py", ".pth", ".so")


def recorded_files() -> Iterator[tuple[Path, str]]:
    """Every installed file that has a digest in RECORD, with that digest; compiled files have none."""
    for package in distributions():
        root = Path(str(package.locate_file("")))
        for name, digest, _ in csv.reader((package.read_text("RECORD") or "").splitlines()):
            if digest.startswith("sha256="):
                yield root / name, digest.removeprefix("sha256=")


def altered_files() -> tuple[int, list[Path]]:
    """The number of files read, and the files that are missing, differ from RECORD, or are in no package.

    Of the last kind only files that Python can load by a bare name: modules and .pth files beside the packages.
    """
    recorded = {Path(os.path.normpath(path)): digest for path, digest in recorded_files()}
    altered = [path for path, digest in recorded.items() if _digest(path) != digest]
    place = Path(sysconfig.get_path("purelib"))
    unknown = [path for path in place.iterdir() if path.suffix in _LOADED and path not in recorded]
    return len(recorded), sorted(altered + unknown)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return ""
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()
