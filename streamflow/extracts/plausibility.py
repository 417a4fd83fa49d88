"""Whether a month as a whole is plausible beside the month before: each row can be right and the month still be wrong.

The scale of a column is the median of its values that are not 0: half of the users have to be off before it moves, and
counts that are mostly 0 keep a scale. With fewer than FEWEST rows, shares and medians say nothing and are not asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.schema import ENTITY_KEY, LABEL, LABEL_TABLE, TABLES, USERS, Column

FEWEST = 50
REFUSE, WARN = "refuse", "warn"

Month = Mapping[str, pa.Table]


@dataclass(frozen=True)
class Limit:
    """The figure from which on a month is not plausible, and what is done then: refuse or warn."""

    limit: float
    action: str


@dataclass(frozen=True)
class Implausible:
    """What is not plausible: the limit's name, what is found, in words and figures, and what is done about it."""

    name: str
    what: str
    action: str


def implausible(
    month: Month, before: Month | None, before_as_of: str, same: Mapping[str, int], limits: Mapping[str, Limit]
) -> list[Implausible]:
    """What the limits say of a month, in their order; limits that are not given are not asked.

    `before` are the tables of the month before (None: there is none), of the date `before_as_of`; `same` is the date of each
    other recorded month to how many of the tables with facts have the same rows as this month's.
    """
    found = []
    for name, check in _CHECKS.items():
        if name in limits:
            limit = limits[name]
            found += [
                Implausible(name, what, limit.action) for what in check(month, before, before_as_of, same, limit.limit)
            ]
    return found


def tables_with_facts(month: Month) -> list[str]:
    """The tables that say something of the users, of those that the source delivers; not `users` itself."""
    return [table.name for table in TABLES if table is not USERS and month[table.name].num_columns > 1]


def _row_growth(month: Month, before: Month | None, as_of: str, _: object, limit: float) -> Iterator[str]:
    for name in _in_both(month, before):
        now, then = month[name].num_rows, _rows(before, name).num_rows
        if then >= FEWEST and now > limit * then:
            yield f"{name} has {now:,} rows, {now / then:.1f} times the {then:,} of {as_of} (at most {limit:g} times)"


def _turnover(month: Month, before: Month | None, as_of: str, _: object, limit: float) -> Iterator[str]:
    if before is None or before[USERS.name].num_rows < FEWEST:
        return
    then = before[USERS.name][ENTITY_KEY]
    gone = pc.sum(pc.invert(pc.is_in(then, month[USERS.name][ENTITY_KEY].combine_chunks()))).as_py()
    if gone > limit * len(then):
        yield f"{gone:,} of the {len(then):,} users of {as_of} are gone, {gone / len(then):.0%} (at most {limit:.0%})"


def _same_month(month: Month, __: object, ___: str, same: Mapping[str, int], limit: float) -> Iterator[str]:
    facts = len(tables_with_facts(month))
    for as_of, count in sorted(same.items()):
        if count > limit * facts:
            yield f"{count} of {facts} tables with facts have the same rows as {as_of} (at most {limit:.0%})"


def _constant(month: Month, before: Month | None, as_of: str, _: object, limit: float) -> Iterator[str]:
    for table, column in _columns(month, before):
        now, then = month[table][column.name], _rows(before, table)[column.name]
        if len(now) >= limit and _values(now) == 1 and _values(then) > 1:
            value = now[0].as_py()
            words = "NULL" if value is None else value
            yield f"{table}.{column.name} is {words} for all {len(now):,} users, it had several values in {as_of}"


def _scale(month: Month, before: Month | None, as_of: str, _: object, limit: float) -> Iterator[str]:
    for table, column in _columns(month, before):
        if column.kind not in ("integer", "real"):
            continue
        now, then = (_median(rows[column.name]) for rows in (month[table], _rows(before, table)))
        if now is not None and then is not None and not then / limit <= now <= then * limit:
            times = f"{now / then:.3g} times" if now > then else f"1/{then / now:.3g} of"
            yield (
                f"the median of {table}.{column.name} is {now:g}, {times} the {then:g} of {as_of} (at most {limit:g} times)"
            )


def _label_rate_min(month: Month, _: object, __: str, ___: object, limit: float) -> Iterator[str]:
    rate, users = _label_rate(month)
    if users >= FEWEST and rate < limit:
        yield f"{rate:.2%} of {users:,} users churned (at least {limit:.2%})"


def _label_rate_max(month: Month, _: object, __: str, ___: object, limit: float) -> Iterator[str]:
    rate, users = _label_rate(month)
    if users >= FEWEST and rate > limit:
        yield f"{rate:.2%} of {users:,} users churned (at most {limit:.2%})"


_CHECKS = {
    "row_growth": _row_growth,
    "turnover": _turnover,
    "same_month": _same_month,
    "constant": _constant,
    "scale": _scale,
    "label_rate_min": _label_rate_min,
    "label_rate_max": _label_rate_max,
}


def _in_both(month: Month, before: Month | None) -> Iterator[str]:
    return (table.name for table in TABLES if before is not None and table.name in month and table.name in before)


def _columns(month: Month, before: Month | None) -> Iterator[tuple[str, Column]]:
    names = set(_in_both(month, before))
    for table in TABLES:
        for column in table.columns if table.name in names else ():
            if column.name in _rows(before, table.name).column_names and column.name in month[table.name].column_names:
                yield table.name, column


def _rows(before: Month | None, name: str) -> pa.Table:
    assert before is not None
    return before[name]


def _values(values: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(values, mode="all").as_py())


def _median(values: pa.ChunkedArray) -> float | None:
    some = values.filter(pc.fill_null(pc.not_equal(values, 0), False))
    if len(some) < FEWEST:
        return None
    return float(pc.quantile(some, 0.5, interpolation="lower")[0].as_py())


def _label_rate(month: Month) -> tuple[float, int]:
    labels = month[LABEL_TABLE][LABEL]
    return (pc.sum(labels).as_py() or 0) / max(len(labels), 1), len(labels)
