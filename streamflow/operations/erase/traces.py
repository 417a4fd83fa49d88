"""Whether bytes hold a user: as they are, in the columns of Parquet, in archives and in what is compressed."""

import gzip
import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamflow.core.schema import ENTITY_KEY

SHORTEST = 6
"""Characters of an id that is searched as raw bytes; a shorter one would be found in anything."""
_PARQUET, _ZIP, _GZIP = b"PAR1", b"PK\x03\x04", b"\x1f\x8b"
_DEEPEST = 3  # an archive in an archive in an archive


class Traces:
    """Looks for users in bytes."""

    def __init__(self, users: Sequence[str]) -> None:
        self._users = pa.array(sorted(users), pa.string())
        spellings = {text for user in users if len(user) >= SHORTEST for text in (user, json.dumps(user)[1:-1])}
        self.needles = sorted(text.encode() for text in spellings)

    def in_bytes(self, content: bytes, depth: int = 0) -> bool:
        """Whether a file's bytes hold any of the users, read as what they are."""
        if any(needle in content for needle in self.needles):
            return True
        if content.startswith(_PARQUET) and content.endswith(_PARQUET):
            return self.in_parquet(content)
        return depth < _DEEPEST and any(self.in_bytes(each, depth + 1) for each in _members(content))

    def in_parquet(self, content: bytes) -> bool:
        """Whether a text column of a Parquet file has any of the users as a value."""
        try:
            file = pq.ParquetFile(io.BytesIO(content))
            texts = [field.name for field in file.schema_arrow if _is_text(field.type)]
            return any(
                pc.any(pc.is_in(column.cast(pa.string()), self._users)).as_py()
                for batch in file.iter_batches(columns=texts)
                for column in batch.columns
            )
        except (pa.ArrowException, OSError):
            return False  # no Parquet after all; its bytes were searched


def parquet_rows(content: bytes) -> pa.Table | None:
    """The rows of a Parquet file that has users; None for anything else."""
    if not (content.startswith(_PARQUET) and content.endswith(_PARQUET)):
        return None
    try:
        rows = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError):
        return None
    return rows if ENTITY_KEY in rows.column_names else None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _members(content: bytes) -> Iterator[bytes]:
    try:
        if content.startswith(_GZIP):
            yield gzip.decompress(content)
        elif content.startswith(_ZIP):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                yield from (archive.read(name) for name in archive.namelist())
        elif content[257:262] == b"ustar":
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                yield from (file.read() for member in archive if (file := archive.extractfile(member)))
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile, tarfile.TarError):
        return
