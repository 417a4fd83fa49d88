"""The months of a mapped source: its files, or the answers to its queries, read once each and mapped to the tables."""

import io
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa

from streamflow.core.calendar import parse_date
from streamflow.core.config import SourceConfig, plain
from streamflow.core.errors import ExtractError, did_you_mean
from streamflow.core.schema import ENTITY_KEY, TABLES, USERS
from streamflow.core.source_mapping import MappedTable, Reading, mapped_tables
from streamflow.extracts.csv_files import file_columns, query_columns
from streamflow.extracts.mapping import mapped_rows

Query = Callable[[str], bytes]
"""Answers a query with CSV: a header, UTF-8, dates as ISO text, truth as t and f. Raises ExtractError."""


def mapping_of(source: SourceConfig) -> list[MappedTable]:
    """The mapping of a source. Raises ConfigError."""
    return mapped_tables(
        str(source.kind or source.name), plain(source.reading), plain(source.tables), list(source.absent)
    )


def delivered_files(source: SourceConfig, month: str) -> list[Path]:
    """The files that a month of a mapped source is read from, each once, in the order of the tables."""
    readings = [each.reading for each in mapping_of(source) if not each.is_absent and each.reading.file]
    return list(dict.fromkeys(_path(source, month, each) for each in readings))


def read_mapped(source: SourceConfig, month: str, query: Query) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """The typed rows of a month and where each table came from, both keyed by table name.

    A table that the source does not deliver has a row without values for each of its users. Raises ExtractError.
    """
    rows: dict[str, pa.Table] = {}
    origins: dict[str, str] = {}
    for name, origin, read in mapped_readers(source, month, query):
        rows[name], origins[name] = read(), origin
    users = rows[USERS.name].select([ENTITY_KEY])
    return (
        {table.name: rows.get(table.name, users) for table in TABLES},
        {table.name: origins.get(table.name, origins[USERS.name]) for table in TABLES},
    )


def mapped_readers(source: SourceConfig, month: str, query: Query) -> Iterator[tuple[str, str, Callable[[], pa.Table]]]:
    """Name, origin and reader of each table that the source delivers, in schema order; a reader raises ExtractError.

    A file or query that several tables come out of is read once.
    """
    tables = mapping_of(source)
    texts: dict[tuple[str, Reading], pa.Table] = {}

    def rows_of(each: MappedTable, origin: str) -> pa.Table:
        as_read = (origin, _without_meaning(each.reading))
        if as_read not in texts:
            texts[as_read] = _read(source, month, each.reading, query, tables)
        _check_columns(each, texts[as_read].column_names, origin)
        return mapped_rows(each, texts[as_read], parse_date(month, "months"), origin)

    for each in tables:
        if not each.is_absent:
            origin = _origin(source, month, each.reading)
            yield each.table.name, origin, partial(rows_of, each, origin)


def _without_meaning(reading: Reading) -> Reading:
    """What of a reading matters before its texts get a meaning."""
    return Reading(reading.file, reading.query, delimiter=reading.delimiter, encoding=reading.encoding)


def _read(source: SourceConfig, month: str, reading: Reading, query: Query, tables: list[MappedTable]) -> pa.Table:
    origin = _origin(source, month, reading)
    wanted = {
        name
        for each in tables
        if not each.is_absent and _without_meaning(each.reading) == _without_meaning(reading)
        for name in _reads(each)
    }
    if reading.query:
        return query_columns(origin, query(_asked(reading, month)), wanted)
    return file_columns(_path(source, month, reading), reading.encoding, reading.delimiter, wanted)


def _reads(mapped: MappedTable) -> list[str]:
    return [mapped.reading.key, *(name for _, rule in mapped.rules.values() for name in rule.reads)]


def _check_columns(mapped: MappedTable, names: list[str], origin: str) -> None:
    for target, name in [
        (ENTITY_KEY, mapped.reading.key),
        *((target, name) for target, (_, rule) in mapped.rules.items() for name in rule.reads),
    ]:
        if name not in names:
            raise ExtractError(
                f"{origin}: column {name}, row 1: is missing, and {mapped.table.name}.{target} is read from it"
                f"{did_you_mean(name, names) or _listed(names)}; nothing was written"
            )


def _listed(names: list[str]) -> str:
    listed = ", ".join(names)
    return f"; there are {listed if len(listed) < 200 else listed[:200] + '…'}"


def _path(source: SourceConfig, month: str, reading: Reading) -> Path:
    folder: Mapping[str, str] = source.folders
    return Path(str(source.dir)) / reading.file.replace("{month}", folder.get(month, month))


def _asked(reading: Reading, month: str) -> str:
    return reading.query.replace("{as_of}", f"DATE '{parse_date(month, 'months').isoformat()}'")


def _origin(source: SourceConfig, month: str, reading: Reading) -> str:
    if reading.file:
        return str(_path(source, month, reading))
    return f"query of {month}: {io.StringIO(reading.query).readline().strip()[:60]}"
