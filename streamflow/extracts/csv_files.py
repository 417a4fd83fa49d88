"""Monthly extracts as CSV files: the month's folder, and strict reading."""

import csv
import io
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv

from streamflow.core.arrow import typed_rows
from streamflow.core.calendar import months_between
from streamflow.core.errors import LONGEST_VALUE, ExtractError, first_line
from streamflow.core.schema import TABLES, Table

LONGEST_LINE = 100_000
"""Characters of a line of a CSV file."""
_OTHER_FORMATS = {
    b"\x1f\x8b": "compressed with gzip",
    b"PK\x03\x04": "a zip archive or a workbook",
    b"PAR1": "Parquet",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
}


def month_folder(root: Path, month: str, folders: Mapping[str, str], first_month: str) -> Path:
    """The folder of a month's six files: the one that `folders` names, a dated one, or month_NNN counted from `first_month`.

    Raises ExtractError naming the missing folder.
    """
    if not root.is_dir():
        raise ExtractError(f"source.dir={root} is not a folder; name the one that holds the months")
    numbered = f"month_{months_between(first_month, month):03d}"
    candidates = [folders[month]] if month in folders else [month, numbered]
    for name in candidates:
        if (root / name).is_dir():
            return root / name
    raise ExtractError(
        f"{root}: no folder {' or '.join(candidates)} for month {month};"
        f" deliver it, or map it: `streamflow repro source=csv source.dir={root} '+source.folders={{{month}: FOLDER}}'`"
    )


def read_month(folder: Path, older: Mapping[str, Table] | None = None) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """The typed rows of the six files in file order, and the file name of each, both keyed by table name.

    `older` maps a table to the columns that the month was recorded with; a file may still have just these.
    Raises ExtractError for a missing, empty, truncated or malformed file; ranges and keys are not checked here.
    """
    files = {table.name: folder / f"{table.name}.csv" for table in TABLES}
    return (
        {table.name: read_extract(files[table.name], table, (older or {}).get(table.name)) for table in TABLES},
        {name: str(path) for name, path in files.items()},
    )


def read_extract(path: Path, table: Table, older: Table | None = None) -> pa.Table:
    """The typed rows of one CSV file (UTF-8, comma, header, newline at the end). Raises ExtractError.

    `older`: the table as it was recorded before; a file with just these columns, in these types, is read as that.
    """
    text = _text(path)
    _check_lines(path, text)
    header = next(_records(path, csv.reader(io.StringIO(text))), [])
    if older is not None and sorted(header) == sorted(older.header):
        columns = _string_columns(path, text, header)
        with suppress(ExtractError):
            return typed_rows(older, columns, str(path))
    _check_header(path, header, table)
    return typed_rows(table, _string_columns(path, text, header), str(path))


def file_columns(path: Path, encoding: str, delimiter: str, wanted: Collection[str]) -> pa.Table:
    """The columns of a team's own CSV file as text, NULL for an empty field; others than `wanted` may be there twice.

    Raises ExtractError for a missing, empty, truncated or malformed file.
    """
    return _own_columns(path, _text(path, encoding, delimiter), delimiter, wanted)


def query_columns(origin: str, answer: bytes, wanted: Collection[str]) -> pa.Table:
    """`file_columns` of the answer to a query. Raises ExtractError."""
    return _own_columns(Path(origin), answer.decode(), ",", wanted)


def _own_columns(path: Path, text: str, delimiter: str, wanted: Collection[str]) -> pa.Table:
    _check_lines(path, text)
    header = next(_records(path, csv.reader(io.StringIO(text), delimiter=delimiter)), [])
    for name in header:
        if name in wanted and header.count(name) > 1:
            raise ExtractError(f"{path}: column {name[:LONGEST_VALUE]}, row 1: is there twice; nothing was written")
    # Names of columns that nobody reads may be there twice, or be empty.
    unique = [name if header.count(name) == 1 else f"{name} #{number}" for number, name in enumerate(header, 1)]
    rows = _string_columns(path, text, unique, delimiter)
    if rows.num_rows == 0:
        raise ExtractError(f"{path}: no rows below the header; deliver the extract again; nothing was written")
    return rows


def _text(path: Path, encoding: str = "utf-8", delimiter: str = ",") -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ExtractError(f"{path}: is not a regular file; deliver it as one; nothing was written")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ExtractError(f"{path}: no such file; a month needs all of {', '.join(t.name for t in TABLES)}") from None
    except OSError as error:
        raise ExtractError(f"{path}: {error.strerror}; make it a readable file") from error
    for magic, what in _OTHER_FORMATS.items():
        if content.startswith(magic) and not (
            encoding.lower().replace("-", "").startswith("utf16") and "UTF-16" in what
        ):
            raise ExtractError(f"{path}: row 1: it is {what}; deliver it as CSV in UTF-8; nothing was written")
    if not content.strip():
        raise ExtractError(f"{path}: the file is empty ({len(content)} bytes); deliver it again; nothing was written")
    try:
        text = content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line_start = content.rfind(b"\n", 0, error.start) + 1
        names = content.split(b"\n", 1)[0].decode("ascii", "replace").strip().split(delimiter)
        column = names[min(content.count(delimiter.encode(), line_start, error.start), len(names) - 1)][:LONGEST_VALUE]
        raise ExtractError(
            f"{path}: column {column}, row {content.count(10, 0, error.start) + 1}: byte 0x{content[error.start]:02x} is"
            f" not {encoding.upper()}; save the extract as {encoding.upper()}; nothing was written"
        ) from error
    if not text.endswith("\n"):
        last = text.rsplit("\n", 1)[-1]
        raise ExtractError(
            f"{path}: row {text.count(chr(10)) + 1} ends without a newline ({last[-40:]!r}): the file looks truncated;"
            " deliver it again; nothing was written"
        )
    return text


def _check_lines(path: Path, text: str) -> None:
    for row, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        for what, is_bad in (
            ("a NUL character", "\0" in line),
            ("a carriage return without a line feed", "\r" in line),
            (f"{len(line)} characters, more than {LONGEST_LINE}", len(line) > LONGEST_LINE),
        ):
            if is_bad:
                raise ExtractError(f"{path}: row {row}: has {what}; fix the extract; nothing was written")


def _check_header(path: Path, header: list[str], table: Table) -> None:
    missing = [name for name in table.header if name not in header]
    extra = [name for name in header if name not in table.header]
    repeated = [name for name in header if header.count(name) > 1]
    for names, what in ((missing, "is missing"), (extra, "is not in the schema"), (repeated, "is there twice")):
        if names:
            raise ExtractError(
                f"{path}: column {names[0][:LONGEST_VALUE]}, row 1: {what}; expected {', '.join(table.header)};"
                " nothing was written"
            )


def _string_columns(path: Path, text: str, header: list[str], delimiter: str = ",") -> pa.Table:
    columns = _parsed(path, text, header, delimiter)
    if columns.num_rows + 1 != text.count("\n"):
        _refuse_other_lines(path, text, delimiter)
    return columns


def _refuse_other_lines(path: Path, text: str, delimiter: str) -> None:
    """Name the first line that is not one record: messages count rows as an editor does."""
    reader, before = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), 0
    for record in _records(path, reader):
        what = "is empty" if not record else "has a field with a line feed" if reader.line_num > before + 1 else ""
        if what:
            raise ExtractError(f"{path}: row {before + 1}: {what}; fix the extract; nothing was written")
        before = reader.line_num


def _records(path: Path, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise ExtractError(f"{path}: row {reader.line_num}: {error}; fix the extract; nothing was written") from error


def _parsed(path: Path, text: str, header: list[str], delimiter: str) -> pa.Table:
    try:
        return pyarrow.csv.read_csv(
            pa.BufferReader(text.encode()),
            read_options=pyarrow.csv.ReadOptions(use_threads=False, column_names=header, skip_rows=1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), null_values=[""], strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        detail = first_line(error).removeprefix("CSV parse error: ").replace("Row #", "row ")[:200]
        raise ExtractError(f"{path}: {detail}; fix the extract; nothing was written") from error
