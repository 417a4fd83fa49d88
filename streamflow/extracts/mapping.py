"""A mapping applied: from the text of a team's own columns to the text that the schema's columns have in an extract."""

import calendar
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.arrow import FIRST_DATA_ROW, field_error, typed_rows
from streamflow.core.schema import ENTITY_KEY, Column
from streamflow.core.source_mapping import MappedTable, Reading, Rule

_NUMBER = r"^-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,3})?$"
_ISO = "%Y-%m-%d"

Texts: TypeAlias = Any
"""A column of an Arrow table: text, or what is computed of it."""


def mapped_rows(mapped: MappedTable, text: pa.Table, as_of: date, origin: str) -> pa.Table:
    """The typed rows of a mapped table in the order of `text`, whose columns are all text.

    Raises ExtractError naming `origin`, the source's column, row, user and value of the first that has no meaning.
    """
    users = _users(mapped, text, origin)
    columns, names = {ENTITY_KEY: users}, {ENTITY_KEY: mapped.reading.key}
    for column in mapped.table.columns:
        reading, rule = mapped.rules[column.name]
        columns[column.name] = _Values(text, users, reading, as_of, origin).of(column, rule)
        read = ", ".join(rule.reads)
        names[column.name] = f"{read} ({column.name})" if read else column.name
    return typed_rows(mapped.table, pa.table(columns), origin, names)


def _users(mapped: MappedTable, text: pa.Table, origin: str) -> Texts:
    users = text[mapped.reading.key]
    empty = pc.is_in(users, pa.array([*mapped.reading.null_values, None], pa.string()))
    row = pc.index(empty, True).as_py()
    if row >= 0:
        raise field_error(
            origin, mapped.reading.key, row + FIRST_DATA_ROW, None, users[row].as_py(), "where an id must be"
        )
    return users


class _Values:
    """The values of one column of the schema, as text in the notation of an extract; NULL where there is nothing."""

    def __init__(self, text: pa.Table, users: Texts, reading: Reading, as_of: date, origin: str) -> None:
        self._text, self._users, self._reading = text, users, reading
        self._as_of, self._origin = as_of, origin

    def of(self, column: Column, rule: Rule) -> Texts:
        if rule.constant is not None:
            return _repeated(rule.constant, self._text.num_rows)
        found = self._computed(column, rule) if rule.compute else self._renamed(column, rule)
        return found if rule.empty is None else pc.fill_null(found, rule.empty)

    def _renamed(self, column: Column, rule: Rule) -> Texts:
        texts = self._source(rule.column)
        if rule.values:
            known, put = list(rule.values), pa.array(list(rule.values.values()), pa.string())
            at = pc.index_in(texts, pa.array(known, pa.string()))
            replaced = pa.chunked_array([put.take(_one(at))])
            texts = pc.if_else(pc.is_valid(at), replaced, texts)
        if column.kind == "boolean":
            for spelled, means in ((self._reading.true_values, "true"), (self._reading.false_values, "false")):
                texts = pc.if_else(pc.fill_null(pc.is_in(texts, pa.array(spelled, pa.string())), False), means, texts)
        elif column.kind in ("integer", "real"):
            texts = self._point(rule.column, texts)
        elif column.kind == "date" and self._reading.dates != _ISO:
            texts = self._dates(rule.column, texts).cast(pa.string())
        return texts

    def _computed(self, column: Column, rule: Rule) -> Texts:
        found = _COMPUTE[rule.compute](self, rule.operands)
        if column.kind == "integer" and pa.types.is_floating(found.type):
            whole = pc.all(pc.equal(found, pc.trunc(found)), skip_nulls=True).as_py() in (True, None)
            found = found.cast(pa.int64()) if whole and not _beyond(found) else found
        return found.cast(pa.string())

    def _source(self, name: str) -> Texts:
        """A column of the source with NULL for the texts that mean it."""
        texts = self._text[name]
        is_null = pc.is_in(texts, pa.array(self._reading.null_values, pa.string()))
        return pc.if_else(pc.fill_null(is_null, True), pa.scalar(None, pa.string()), texts)

    def _point(self, name: str, texts: Texts) -> Texts:
        """Numbers with a decimal point."""
        if self._reading.decimal == ".":
            return texts
        self._refuse(pc.match_substring(texts, "."), name, texts, "has a point, and the decimal sign is a comma")
        return pc.replace_substring(texts, ",", ".")

    def numbers(self, operand: str | float) -> Texts:
        """An operand as numbers, a constant for each row."""
        if not isinstance(operand, str):
            return _repeated(float(operand), self._text.num_rows)
        given = self._source(operand)
        texts = self._point(operand, given)
        self._refuse(pc.invert(pc.match_substring_regex(texts, _NUMBER)), operand, given, "is not a number")
        return texts.cast(pa.float64())

    def whole(self, operand: str) -> Texts:
        """An operand as whole numbers."""
        found = self.numbers(operand)
        self._refuse(
            pc.or_(pc.not_equal(found, pc.trunc(found)), pc.greater(pc.abs(found), 12_000)),
            operand, self._source(operand), "is not a whole number of months, 12000 at most",
        )  # fmt: skip
        return found.cast(pa.int64())

    def dates(self, operand: str) -> Texts:
        """An operand as dates."""
        return self._dates(operand, self._source(operand))

    def empty(self, operand: str) -> Texts:
        """Whether an operand is empty."""
        return pc.is_null(self._source(operand))

    def _dates(self, name: str, texts: Texts) -> Texts:
        # Arrow's strptime takes 31 February for 2 March.
        known = _one(texts.unique())
        read = pa.array([_date_of(each, self._reading.dates) for each in known.to_pylist()], pa.date32())
        found = pa.chunked_array([read.take(_one(pc.index_in(texts, known)))])
        self._refuse(
            pc.and_(pc.is_null(found), pc.is_valid(texts)), name, texts, f"is not a date as {self._reading.dates}"
        )
        return found

    def _refuse(self, bad: Texts, name: str, texts: Texts, rule: str) -> None:
        bad = pc.fill_null(bad, False)
        row = pc.index(bad, True).as_py()
        if row >= 0:
            more = pc.sum(bad).as_py() - 1
            user = self._users[row].as_py()
            raise field_error(self._origin, name, row + FIRST_DATA_ROW, user, texts[row].as_py(), rule, more)

    @property
    def as_of(self) -> date:
        """The month's date."""
        return self._as_of


def _folded(combine: Callable[[Any, Any], Any]) -> Callable[[_Values, tuple[Any, ...]], Texts]:
    def compute(values: _Values, operands: tuple[Any, ...]) -> Texts:
        found = values.numbers(operands[0])
        for operand in operands[1:]:
            found = combine(found, values.numbers(operand))
        return found

    return compute


def _ratio(values: _Values, operands: tuple[Any, ...]) -> Texts:
    above, below = (values.numbers(each) for each in operands)
    return pc.divide(above, pc.if_else(pc.equal(below, 0), pa.scalar(None, pa.float64()), below))


def _months_before(values: _Values, operands: tuple[Any, ...]) -> Texts:
    months = values.whole(operands[0])
    return pa.chunked_array(
        [[None if each is None else _earlier(values.as_of, each) for each in months.to_pylist()]], pa.date32()
    )


def _months_since(values: _Values, operands: tuple[Any, ...]) -> Texts:
    dates, end = values.dates(operands[0]), values.as_of
    months = pc.subtract(end.year * 12 + end.month, pc.add(pc.multiply(pc.year(dates), 12), pc.month(dates)))
    not_over = pa.scalar(False) if _is_last(end) else pc.greater(pc.day(dates), end.day)
    return pc.subtract(months, pc.if_else(pc.and_(not_over, pc.is_valid(dates)), 1, 0))


def _days_since(values: _Values, operands: tuple[Any, ...]) -> Texts:
    return pc.days_between(values.dates(operands[0]), pa.scalar(values.as_of))


_COMPUTE: Mapping[str, Callable[[_Values, tuple[Any, ...]], Texts]] = {
    "sum": _folded(pc.add),
    "difference": _folded(pc.subtract),
    "product": _folded(pc.multiply),
    "ratio": _ratio,
    "months_before": _months_before,
    "months_since": _months_since,
    "days_since": _days_since,
    "is_empty": lambda values, operands: values.empty(operands[0]),
    "is_not_empty": lambda values, operands: pc.invert(values.empty(operands[0])),
}


def _earlier(as_of: date, months: int) -> date:
    """The date some months before; the last day of a month stays the last day, as with `month_later`."""
    year, month = divmod(as_of.year * 12 + as_of.month - 1 - months, 12)
    if not 1 <= year <= 9999:
        return date.min if year < 1 else date.max
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, last if _is_last(as_of) else min(as_of.day, last))


def _is_last(day: date) -> bool:
    return day.day == calendar.monthrange(day.year, day.month)[1]


def _date_of(text: str | None, how: str) -> date | None:
    try:
        return None if text is None else datetime.strptime(text, how).date()
    except ValueError:
        return None


def _beyond(values: Texts) -> bool:
    return bool(pc.any(pc.greater(pc.abs(values), 2.0**53)).as_py())


def _repeated(value: Any, rows: int) -> Texts:
    return pa.chunked_array([pa.array([value] * rows)])


def _one(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
