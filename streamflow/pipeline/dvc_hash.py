"""Hashes of files and folders as DVC computes them (MD5) and as this project checks them (SHA-256), always from the bytes.

DVC believes its own table of inode, time and size, and the name of a cache object; nothing here does (dvc#5978).
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamflow.core.digest import folder_sha256

# What .dvcignore leaves out.
_IGNORED_FOLDER = "__pycache__"
_IGNORED_SUFFIX = ".pyc"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Content:
    """A file's or folder's MD5 as dvc.lock writes it, and the digests of its files by path within it ("" for a file)."""

    md5: str
    files_md5: Mapping[str, str]
    files_sha256: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, or the `dirHash` of the folder."""
        return self.files_sha256[""] if "" in self.files_sha256 else folder_sha256(self.files_sha256)


def content_of(path: Path) -> Content | None:
    """Read and hash a file or folder; None if it does not exist."""
    if path.is_dir():
        pairs = {
            file.relative_to(path).as_posix(): file_digests(file)
            for file in (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
            if _IGNORED_FOLDER not in file.relative_to(path).parts and file.suffix != _IGNORED_SUFFIX
        }
        md5s = {name: pair[0] for name, pair in sorted(pairs.items())}
        return Content(folder_md5(md5s), md5s, {name: pair[1] for name, pair in sorted(pairs.items())})
    if path.is_file():
        md5, sha256 = file_digests(path)
        return Content(md5, {"": md5}, {"": sha256})
    return None


def folder_md5(files: Mapping[str, str]) -> str:
    """The MD5 that DVC gives a folder, from the MD5 of each file by its path within."""
    return hashlib.md5(folder_manifest(files)).hexdigest() + ".dir"


def folder_manifest(files: Mapping[str, str]) -> bytes:
    """The `.dir` object of a folder, byte for byte as DVC stores it."""
    return json.dumps([{"md5": files[name], "relpath": name} for name in sorted(files)]).encode()


def file_digests(path: Path) -> tuple[str, str]:
    """MD5 and SHA-256 of a file, read once."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            md5.update(chunk)
            sha256.update(chunk)
    return md5.hexdigest(), sha256.hexdigest()
