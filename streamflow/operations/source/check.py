"""What a source would load of a month: every table's rows, and what is refused and why; nothing is written."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from streamflow.core.calendar import parse_date
from streamflow.core.config import Config, SourceConfig
from streamflow.core.errors import ConfigError, ExtractError
from streamflow.core.schema import LABEL, LABEL_TABLE, TABLES
from streamflow.extracts.csv_files import month_folder, read_extract
from streamflow.extracts.mapped import Query, mapped_readers
from streamflow.extracts.synthetic import generate_month
from streamflow.extracts.validation import check_month
from streamflow.postgres.connection import connect
from streamflow.postgres.query import answer
from streamflow.postgres.server import database


@dataclass(frozen=True)
class Loaded:
    """A month as it would be loaded: the rows of each table that could be read, where they are from, and what is refused."""

    month: str
    rows: Mapping[str, pa.Table]
    origins: Mapping[str, str]
    refused: tuple[str, ...]

    @property
    def churners(self) -> int:
        """Users whose label says that they churned."""
        labels = self.rows.get(LABEL_TABLE)
        return sum(labels[LABEL].to_pylist()) if labels is not None else 0


def loaded(config: Config, month: str) -> Loaded:
    """A month of the source of a configuration. Raises ConfigError if it can't be checked before it is loaded."""
    rows: dict[str, pa.Table] = {}
    origins: dict[str, str] = {}
    refused: list[str] = []
    with _queries(config.source) as query:
        for name, origin, read in _readers(config.source, month, query):
            try:
                rows[name], origins[name] = read(), origin
            except ExtractError as error:
                refused.append(str(error))
    if not refused:
        try:
            _check(rows, origins, month)
        except ExtractError as error:
            refused.append(str(error))
    return Loaded(month, rows, origins, tuple(dict.fromkeys(refused)))


def _check(rows: Mapping[str, pa.Table], origins: Mapping[str, str], month: str) -> None:
    users = next(iter(rows.values())).select([0])
    whole = {table.name: rows.get(table.name, users) for table in TABLES}
    check_month(whole, {table.name: origins.get(table.name, "") for table in TABLES}, parse_date(month, "months"))


def _readers(source: SourceConfig, month: str, query: Query) -> Iterator[tuple[str, str, Callable[[], pa.Table]]]:
    if source.tables:
        yield from mapped_readers(source, month, query)
    elif source.name == "csv":
        folder = month_folder(Path(str(source.dir)), month, source.folders, str(source.first_month))
        for table in TABLES:
            path = folder / f"{table.name}.csv"
            yield table.name, str(path), lambda path=path, table=table: read_extract(path, table)  # type: ignore[misc]
    elif source.name == "synthetic":
        made = generate_month(int(source.users or 0), month, int(source.seed or 0))
        for name, rows in made.items():
            yield name, f"synthetic {name}", lambda rows=rows: rows  # type: ignore[misc]
    else:
        raise ConfigError(
            f"source={source.name} reads the rows that others wrote into schema live; `streamflow repro` checks them"
            " before it records anything"
        )


@contextmanager
def _queries(source: SourceConfig) -> Iterator[Query]:
    """A connection for the queries of a mapped source; none is opened for files."""
    if not source.tables or source.kind != "postgres":
        yield _no_query
        return
    with database() as url:
        connection = connect(url)
        try:
            yield lambda query: answer(connection, query)
        finally:
            with suppress(Exception):
                connection.close()


def _no_query(query: str) -> bytes:
    raise ConfigError(f"a source of files has no query: {query[:80]}")
