"""Digests of values in memory: SHA-256, lower-case hex."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.csv


def bytes_sha256(content: bytes) -> str:
    """Digest of bytes."""
    return hashlib.sha256(content).hexdigest()


def mapping_sha256(mapping: Mapping[str, Any]) -> str:
    """Digest of the canonical JSON of a mapping; the order of its keys does not matter."""
    text = json.dumps(mapping, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def folder_sha256(files: Mapping[str, str]) -> str:
    """Digest of a folder from the SHA-256 of each file by its path within: in-toto's `dirHash`.

    The same as `find . -type f | cut -c3- | LC_ALL=C sort | xargs sha256sum | sha256sum` in the folder.
    Source: in-toto attestation, digest_set.md, after Hash1 of golang.org/x/mod/sumdb/dirhash.
    """
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files, key=str.encode))
    return hashlib.sha256(lines.encode()).hexdigest()


def rows_sha256(rows: pa.Table) -> str:
    """Digest of the rows of a table that is sorted by its key, whatever file or server they came from.

    The canonical form is CSV with a header, text quoted, NULL an empty unquoted field and numbers in their shortest
    exact notation, so NULL and "" differ and so do 0.1 and its neighbours.
    """
    digest = RowsDigest(rows.schema)
    for _ in digest.through(rows.to_batches()):
        pass
    return digest.hexdigest()


class RowsDigest:
    """`rows_sha256` of a stream of batches; how the rows are cut into batches does not matter."""

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Hasher()
        self._writer = pyarrow.csv.CSVWriter(pa.PythonFile(self._sink, mode="w"), schema)

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield each batch after taking it into the digest."""
        for batch in batches:
            self._writer.write_batch(batch)
            yield batch

    def hexdigest(self) -> str:
        """Digest of all rows that went through; nothing can be added afterwards."""
        self._writer.close()
        return self._sink.hash.hexdigest()


class _Hasher(io.RawIOBase):
    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)
