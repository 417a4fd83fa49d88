"""The files of the installed packages against the SHA-256 that each package's RECORD names."""

import base64
import csv
import hashlib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path


def recorded_files() -> Iterator[tuple[Path, str]]:
    """Every installed file whose digest its package names, with that digest; compiled files have none."""
    for package in distributions():
        root = Path(str(package.locate_file("")))
        for name, digest, _ in csv.reader((package.read_text("RECORD") or "").splitlines()):
            if digest.startswith("sha256="):
                yield root / name, digest.removeprefix("sha256=")


def altered_files() -> tuple[int, list[Path]]:
    """How many files were read, and those that are gone or have other bytes than their package came with."""
    count, altered = 0, []
    for path, digest in recorded_files():
        count += 1
        if _digest(path) != digest:
            altered.append(path)
    return count, altered


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return ""
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()
