"""SHA-256 of files and folders, from their bytes."""

import hashlib
from pathlib import Path

from streamflow.core.digest import mapping_sha256

_COMPILED = "__pycache__"


def file_sha256(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(root: Path) -> str:
    """Digest of the names and bytes of all files under `root`, compiled files aside."""
    listing = {
        path.relative_to(root).as_posix(): file_sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and _COMPILED not in path.parts
    }
    return mapping_sha256(listing)
