"""The mapping of a source: which file, column and text of a team's own data become which column of the schema.

A mapping is data, in a file of conf/source: nothing in it is run. Every column of the schema is either mapped or declared
absent, so that nothing is left out by an oversight.
"""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from streamflow.core.errors import ConfigError, did_you_mean, shown
from streamflow.core.schema import ENTITY_KEY, LABEL_TABLE, TABLES, USERS, Column, Table

COMPUTED: Mapping[str, str] = {
    "sum": "the sum of columns and numbers",
    "difference": "the first less the others",
    "product": "the product of columns and numbers",
    "ratio": "the first divided by the second; NULL where that is 0",
    "months_before": "the date that many months before the month's date",
    "months_since": "whole months from a date to the month's date",
    "days_since": "days from a date to the month's date",
    "is_empty": "whether a column is empty",
    "is_not_empty": "whether a column is not empty",
}
"""What a column may be computed by, and what that is; NULL if an operand is NULL, but for the last two."""
_PAIRS = ("ratio",)
_NUMBERS_TOO = ("sum", "difference", "product", "ratio")
_YAML_TRUE = ("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_YAML_FALSE = ("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")


@dataclass(frozen=True)
class Reading:
    """How a table's text is read: from a CSV `file` below source.dir, or from the answer to a `query`.

    `{month}` in a file's name, and `{as_of}` in a query, stand for the month's date. `key` is the column of the user's id;
    `dates` is a format of strptime. `null_values` are texts that mean NULL, `true_values` and `false_values` are those of
    boolean columns.
    """

    file: str = ""
    query: str = ""
    key: str = ENTITY_KEY
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: str = "."
    dates: str = "%Y-%m-%d"
    null_values: tuple[str, ...] = ("",)
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rule:
    """Where a column's values come from: a column of the source, a constant, or `compute` over `operands`.

    `values` replaces texts of the source by others (None: NULL); `empty` is taken where there is NULL then.
    """

    column: str = ""
    constant: str | None = None
    compute: str = ""
    operands: tuple[str | float, ...] = ()
    values: Mapping[str, str | None] = field(default_factory=dict)
    empty: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns of the source that are read."""
        named = tuple(each for each in self.operands if isinstance(each, str))
        return (self.column, *named) if self.column else named


@dataclass(frozen=True)
class MappedTable:
    """A table with the columns that the source delivers, and how it is read; an absent table has no columns and no rules."""

    table: Table
    reading: Reading
    rules: Mapping[str, tuple[Reading, Rule]]

    @property
    def is_absent(self) -> bool:
        """Whether the source says nothing of this table; its users are those of the table `users`."""
        return not self.table.columns


def mapped_tables(
    kind: str, reading: Mapping[str, Any], tables: Mapping[str, Any], absent: Iterable[str]
) -> list[MappedTable]:
    """The mapping of a source in schema order. Raises ConfigError naming the key of conf/source and what it may be."""
    left_out = _absent(list(absent))
    by_name = {table.name: table for table in TABLES}
    for name in tables:
        _known(f"source.tables.{name}", name, by_name)
        if name in left_out:
            raise ConfigError(
                f"source.tables.{name} is mapped, and source.absent names it too; take it out of one of them"
            )
    usual = _reading("source.reading", reading, _DEFAULTS[kind])
    found = []
    for table in TABLES:
        delivered = Table(table.name, _delivered(table, left_out))
        where = f"source.tables.{table.name}"
        if table.name not in tables:
            if table.name not in left_out:
                raise ConfigError(
                    f"{where} is not mapped; map it, or say that nobody has it: source.absent=[{table.name}]"
                )
            found.append(MappedTable(delivered, usual, {}))
        else:
            found.append(_mapped(where, delivered, table, tables[table.name], usual, kind))
    return found


_DEFAULTS = {
    "csv": Reading(true_values=("True", "true"), false_values=("False", "false")),
    "postgres": Reading(true_values=("t",), false_values=("f",)),
}
_OF_A_COLUMN = ("dates", "decimal", "null_values", "true_values", "false_values")
KINDS = tuple(_DEFAULTS)
"""What a mapped source can be read from."""


def _absent(names: list[str]) -> set[str]:
    allowed = [each for table in TABLES for each in (table.name, *(f"{table.name}.{c.name}" for c in table.columns))]
    for name in names:
        _known("source.absent", name, allowed)
        if name in (USERS.name, LABEL_TABLE) or name.startswith(f"{LABEL_TABLE}."):
            raise ConfigError(f"source.absent={name}: a month without its users or labels can't be trained on; map it")
    return set(names)


def _delivered(table: Table, left_out: set[str]) -> tuple[Column, ...]:
    if table.name in left_out:
        return ()
    return tuple(column for column in table.columns if f"{table.name}.{column.name}" not in left_out)


def _mapped(where: str, delivered: Table, table: Table, given: Any, usual: Reading, kind: str) -> MappedTable:
    content = _section(where, given)
    columns = _section(f"{where}.columns", content.pop("columns", None) or {})
    reading = _reading(where, content, usual)
    _check_origin(where, reading, kind)
    for name in columns:
        _known(f"{where}.columns", name, table.header[1:])
        if name not in delivered.header:
            raise ConfigError(
                f"{where}.columns.{name} is mapped, and source.absent names it too; take it out of one of them"
            )
    rules = {}
    for column in delivered.columns:
        if column.name not in columns:
            raise ConfigError(
                f"{where}.columns.{column.name} is not mapped ({column.meaning}); map it, or say that nobody has it:"
                f" source.absent=[{table.name}.{column.name}]"
            )
        rules[column.name] = _rule(f"{where}.columns.{column.name}", column, columns[column.name], reading)
    return MappedTable(delivered, reading, rules)


def _check_origin(where: str, reading: Reading, kind: str) -> None:
    wanted, other = ("file", "query") if kind == "csv" else ("query", "file")
    if not getattr(reading, wanted) or getattr(reading, other):
        raise ConfigError(f"{where} needs a {wanted}, and no {other}: source.kind is {kind}; give it in source.reading")
    if ".." in reading.file.split("/") or reading.file.startswith("/"):
        raise ConfigError(f"{where}.file={shown(reading.file)} must lie below source.dir")


def _reading(where: str, given: Any, usual: Reading) -> Reading:
    allowed = [each.name for each in fields(Reading)]
    found: dict[str, Any] = {}
    for name, value in _section(where, given).items():
        _known(where, name, [*allowed, *(["columns"] if "tables" in where else [])])
        found[name] = _texts(f"{where}.{name}", value) if name.endswith("_values") else _text(f"{where}.{name}", value)
    reading = Reading(**{name: found.get(name, getattr(usual, name)) for name in allowed})
    if len(reading.delimiter) != 1:
        raise ConfigError(f"{where}.delimiter={shown(reading.delimiter)} must be one character")
    if reading.decimal not in (".", ","):
        raise ConfigError(f"{where}.decimal={shown(reading.decimal)} must be '.' or ','")
    try:
        codecs.lookup(reading.encoding)
    except LookupError:
        raise ConfigError(f"{where}.encoding={shown(reading.encoding)} is no encoding that Python knows") from None
    return reading


def _rule(where: str, column: Column, given: Any, reading: Reading) -> tuple[Reading, Rule]:
    if isinstance(given, str):
        return reading, Rule(column=given)
    content = _section(where, given)
    texts = {each: content.pop(each) for each in _OF_A_COLUMN if each in content}
    own = _reading(where, texts, reading)
    ways = [each for each in ("column", "constant", *COMPUTED) if each in content]
    others = [each for each in content if each not in (*ways, "values", "empty")]
    if others or len(ways) != 1:
        what = f"{others[0]} is none of them" if others else f"there are {len(ways)}"
        raise ConfigError(f"{where} needs one of column, constant, {', '.join(COMPUTED)}: {what}")
    (way,) = ways
    values = {
        _key(f"{where}.values", name): _value(value)
        for name, value in _section(f"{where}.values", content.get("values") or {}).items()
    }
    empty = _value(content.get("empty"))
    if way == "column":
        return own, Rule(column=_text(f"{where}.column", content[way]), values=values, empty=empty)
    if way == "constant":
        return own, Rule(constant=_value(content[way]) or "", empty=empty)
    return own, Rule(compute=way, operands=_operands(f"{where}.{way}", way, content[way]), empty=empty)


def _operands(where: str, way: str, given: Any) -> tuple[str | float, ...]:
    items = given if isinstance(given, list) else [given]
    numbers_too = way in _NUMBERS_TOO
    ok = all(isinstance(each, str) or (numbers_too and _is_number(each)) for each in items)
    count = len(items) == 2 if way in _PAIRS else len(items) >= 2 if numbers_too else len(items) == 1
    if not ok or not count or not any(isinstance(each, str) for each in items):
        what = "two columns or numbers" if way in _PAIRS else "columns and numbers" if numbers_too else "one column"
        raise ConfigError(f"{where}={shown(given)} must be {what} ({COMPUTED[way]})")
    return tuple(items)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _section(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}={shown(given)} must be a section of keys and values")
    return dict(given)


def _known(where: str, name: Any, allowed: Iterable[str]) -> None:
    names = list(allowed)
    if name not in names:
        hint = did_you_mean(str(name), names) or f"; one of {', '.join(names)}"
        raise ConfigError(f"{where}: {shown(name)} is not known{hint}")


def _key(where: str, given: Any) -> str:
    if not isinstance(given, str):
        raise ConfigError(f"{where}: YAML reads {given} as {type(given).__name__}, not as text; write it in quotes")
    return given


def _text(where: str, given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise ConfigError(f"{where}={shown(given)} must be text; in YAML some texts need quotes")
    return given


def _texts(where: str, given: Any) -> tuple[str, ...]:
    """The texts of a list; what YAML reads as a truth value stands for all its spellings (Yes is true in YAML)."""
    found: list[str] = []
    for each in given if isinstance(given, list) else [given]:
        if isinstance(each, bool):
            found += _YAML_TRUE if each else _YAML_FALSE
        elif each is None or isinstance(each, str | int | float):
            found.append("" if each is None else str(each))
        else:
            raise ConfigError(f"{where}={shown(given)} must be a list of texts")
    return tuple(dict.fromkeys(found))


def _value(given: Any) -> str | None:
    if isinstance(given, bool):
        return "true" if given else "false"
    return None if given is None else str(given)
