"""Ways to break a good month of extracts: of a field, by the kind of its column, and of a whole file."""

import gzip
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from streamflow.core.schema import ENTITY_KEY, TABLES, Column, Kind

_OF_ANY_KIND = ("\x00", "\x1b[31m", "a\rb", "x" * 2_000_000, "é" * 70_000, "0x1F", "NaN", "١٢", "=1+1")
_OF_A_KIND: dict[Kind, tuple[str, ...]] = {
    "text": ("", " ", "month-to-month", "Month-to-month ", "None"),
    "boolean": ("", "yes", "1", "TRUE ", "tRuE"),
    "integer": ("", "1.0", "1e3", "-1", "9" * 18, "9" * 19, "1_000", "+1", " 1"),
    "real": ("", "1e39", "-1", "Infinity", "-inf", "1e309", "1,5", "1.5.1", "1e+308", " 1.5", "--1"),
    "date": (
        "",
        "0000-01-01",
        "infinity",
        "0044-03-15 BC",
        "12024-01-01",
        "2023-02-30",
        "1899-12-31",
        "9999-12-31",
        "01.02.2023",
    ),
}
_OF_THE_KEY = (
    "",
    " ",
    " 7590-VHVEG",
    "7590-VHVEG\t",
    "a\x1b[2Jb",
    "a\u200bb",
    "e\u0301",
    "u" * 65,
    "\ufeffu",
    "a\u2028b",
)
_NULL_IS_GOOD = {(column.name, "") for table in TABLES for column in table.columns if column.nullable}

Break = Callable[[Path], None]


def broken_fields() -> Iterator[tuple[str, str, str]]:
    """Table, column and the value that one of its fields gets; each must be refused."""
    for table in TABLES:
        for column in (Column(ENTITY_KEY, "text", ""), *table.columns):
            own = _OF_THE_KEY if column.name == ENTITY_KEY else _OF_A_KIND[column.kind]
            for value in (*own, *_OF_ANY_KIND):
                if (column.name, value) not in _NULL_IS_GOOD:
                    yield table.name, column.name, value


def broken_files() -> dict[str, Break]:
    """What may lie where a file should, by name."""
    return {
        "nothing": lambda path: path.unlink(),
        "empty": lambda path: path.write_bytes(b""),
        "line feeds": lambda path: path.write_bytes(b"\n\n\n"),
        "header alone": lambda path: path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n"),
        "no header": lambda path: path.write_bytes(path.read_bytes().split(b"\n", 1)[1]),
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
        "utf-16": lambda path: path.write_bytes(path.read_text().encode("utf-16")),
        "utf-16 without a mark": lambda path: path.write_bytes(path.read_text().encode("utf-16-le")),
        "latin 1": lambda path: path.write_bytes(path.read_bytes().replace(b"7590", b"7590\xe9", 1)),
        "gzip": lambda path: path.write_bytes(gzip.compress(path.read_bytes())),
        "zip": lambda path: path.write_bytes(b"PK\x03\x04" + path.read_bytes()),
        "parquet": lambda path: path.write_bytes(b"PAR1" + path.read_bytes()),
        "NUL": lambda path: path.write_bytes(path.read_bytes().replace(b"7590", b"75\x0090", 1)),
        "lone CR": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r")),
        "lone CR in the header": lambda path: path.write_bytes(path.read_bytes().replace(b"user_id", b"user\rid", 1)),
        "10 MB in the header": lambda path: path.write_bytes(b"x" * 10_000_000 + path.read_bytes()),
        "10 MB in a field": lambda path: path.write_bytes(path.read_bytes().replace(b"7590", b"x" * 10_000_000, 1)),
        "open quote": lambda path: path.write_bytes(path.read_bytes().replace(b"\n7590", b'\n"7590', 1)),
        "a field too many": lambda path: path.write_bytes(path.read_bytes().rstrip(b"\n") + b",1\n"),
        "a field too few": lambda path: path.write_bytes(path.read_bytes() + b"7590-VHVEG\n"),
        "semicolons": lambda path: path.write_bytes(path.read_bytes().replace(b",", b";")),
        "tabs": lambda path: path.write_bytes(path.read_bytes().replace(b",", b"\t")),
        "a column twice": lambda path: path.write_bytes(path.read_bytes().replace(b"user_id", b"user_id,user_id", 1)),
        "a user twice": lambda path: path.write_bytes(path.read_bytes() + path.read_bytes().split(b"\n")[1] + b"\n"),
        "a line feed in an id": lambda path: path.write_bytes(
            path.read_bytes().replace(b"\n7590-VHVEG", b'\n"7590\n-"', 1)
        ),
        "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "a loop": lambda path: (path.unlink(), path.symlink_to(path.name)),
        "a link to nothing": lambda path: (path.unlink(), path.symlink_to("nothing")),
        "a device": lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
        "a socket": lambda path: (path.unlink(), _socket(path)),
    }


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's address is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)
