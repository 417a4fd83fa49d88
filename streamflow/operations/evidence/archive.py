"""The archive as a zip: the same files give the same bytes, and a hostile one is refused. Nothing is ever extracted.

Files are stored, not compressed: how zlib compresses differs from machine to machine. A compressed archive is read too.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from streamflow.core.errors import ConfigError, ModelError, first_line

LARGEST_ARCHIVE = 512 << 20
"""Bytes of the archive, and of all its files together."""
MOST_FILES = 2000
_LONGEST_NAME = 200
_DATE = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[A-Za-z0-9_@.-]+(/[A-Za-z0-9_@.-]+)*")
_REGULAR, _MODE, _UNIX = 0o100644, 0o170000, 3
_DAMAGE = (BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, LookupError, RuntimeError)


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of some files by name."""
    place = io.BytesIO()
    with ZipFile(place, "w", ZIP_STORED) as archive:
        for name in sorted(files):
            entry = ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = _UNIX, _REGULAR << 16
            archive.writestr(entry, files[name])
    return place.getvalue()


def read_archive(path: Path) -> dict[str, bytes]:
    """The files of an archive by name. Raises ConfigError if there is no such file, ModelError if it is refused."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_ARCHIVE + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} can't be read: {error.strerror}; name a file that `streamflow evidence` wrote"
        ) from error
    return unpack(content)


def unpack(content: bytes) -> dict[str, bytes]:
    """The files of an archive by name. Raises ModelError if it is no zip, too large, or has a name that leads outside."""
    if len(content) > LARGEST_ARCHIVE:
        raise ModelError(f"the archive is larger than {LARGEST_ARCHIVE >> 20} MB; ask who made it for another")
    try:
        with ZipFile(io.BytesIO(content)) as archive:
            return dict(_files(archive))
    except _DAMAGE as error:
        raise ModelError(
            f"it is no archive that can be read ({first_line(error)[:80]}); ask who made it for another"
        ) from error


def _files(archive: ZipFile) -> Iterator[tuple[str, bytes]]:
    entries = [entry for entry in archive.infolist() if not _is_folder(entry)]
    if len(entries) > MOST_FILES:
        raise ModelError(f"the archive has {len(entries)} files; at most {MOST_FILES} are read")
    left, seen = LARGEST_ARCHIVE, set()
    for entry in entries:
        name = _safe(entry)
        if name in seen:
            raise ModelError(f"the archive has {name} twice; who reads it would not know which one counts")
        seen.add(name)
        # The size in its header may be a lie, so no more than what is left is read.
        with archive.open(entry) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise ModelError(f"the files of the archive are larger than {LARGEST_ARCHIVE >> 20} MB, at {name}")
        yield name, content


def _is_folder(entry: ZipInfo) -> bool:
    return entry.filename.endswith("/") and not entry.file_size


def _safe(entry: ZipInfo) -> str:
    # `orig_filename`: zipfile cuts a name at a NUL.
    name = entry.orig_filename
    if not _NAME.fullmatch(name) or {".", ".."} & set(name.split("/")) or len(name) > _LONGEST_NAME:
        raise ModelError(f"the archive has a file with the name {name[:80]!a}, which may lead outside of it")
    if entry.external_attr >> 16 & _MODE not in (0, _REGULAR & _MODE):
        raise ModelError(f"{name} in the archive is no plain file")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or entry.flag_bits & 1:
        raise ModelError(f"{name} in the archive is encrypted or compressed by other means than deflate")
    return name
