"""Whether a month as a whole is plausible beside the months next to it: each row can be right and the month still be wrong.

The scale of a column is the median of its values that are not 0: half of the users have to be off before it moves, and
counts that are mostly 0 keep a scale. With fewer than FEWEST rows, shares and medians say nothing and are not asked.
Beyond a limit is not enough: a share, a median or a constant counts only if chance alone brings it less than once in a
million months, so that a small team with a rare value is not refused for its size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.config_checks import LIMITS
from streamflow.core.schema import ENTITY_KEY, LABEL, LABEL_TABLE, TABLES, USERS, Column
from streamflow.extracts.chance import is_constant, is_larger, is_more, is_rate_higher

FEWEST = 50
REFUSE, WARN = "refuse", "warn"
_CHURN = f"{LABEL_TABLE}.{LABEL}"


@dataclass(frozen=True)
class Limit:
    """The figure from which on a month is not plausible, and what is done then: refuse or warn."""

    limit: float
    action: str


@dataclass(frozen=True)
class Month:
    """The tables of one month, as delivered or as recorded, and the content digest of each."""

    as_of: str
    tables: Mapping[str, pa.Table]
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Implausible:
    """What is not plausible, in words and figures, by which limit, and what is done about it.

    `of` is the table or column; `contents` are the digests of the tables that were compared, sorted: the same finding about
    the same rows has the same `key`, whichever of two months is asked about the other.
    """

    name: str
    of: str
    what: str
    action: str
    contents: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, tuple[str, ...]]:
        """What makes it the same finding about the same rows."""
        return self.name, self.of, self.contents


def implausible(
    month: Month, others: Sequence[Month], same: Mapping[str, Sequence[str]], limits: Mapping[str, Limit]
) -> list[Implausible]:
    """What the limits say of a month, in their order; limits that are not given are not asked.

    `others` are the recorded months next to it, and the version before of a month that is corrected (it has the same date);
    `same` is the date of each other recorded month to the digests of the tables with facts that it shares with this month.
    """
    found = []
    for name in LIMITS:
        if name in limits:
            alone = _ALONE[name](month, same, limits[name]) if name in _ALONE else ()
            found += [*alone, *(_beside(name, month, others, limits[name]) if name in _BESIDE else ())]
    return found


def tables_with_facts(tables: Mapping[str, pa.Table]) -> list[str]:
    """The tables that say something of the users, of those that the source delivers; not `users` itself."""
    return [table.name for table in TABLES if table is not USERS and tables[table.name].num_columns > 1]


def _beside(name: str, month: Month, others: Sequence[Month], limit: Limit) -> Iterator[Implausible]:
    neighbours = [each for each in others if each.as_of != month.as_of]
    by_neighbour = list(_compared(name, month, neighbours, limit))
    yield from by_neighbour
    for version in others:
        if version.as_of == month.as_of:
            # A correction mends what was not plausible of the version before, and is itself, beside a neighbour.
            wrong = {each.of for each in _compared(name, version, neighbours, limit)} - {
                each.of for each in by_neighbour
            }
            yield from (each for each in _compared(name, month, [version], limit) if each.of not in wrong)


def _compared(name: str, month: Month, others: Sequence[Month], limit: Limit) -> Iterator[Implausible]:
    for other in others:
        for of, what in _BESIDE[name](month, other, limit.limit):
            yield Implausible(name, of, what, limit.action, _contents(of, month, other))


def _contents(of: str, *months: Month) -> tuple[str, ...]:
    table = of.partition(".")[0]
    return tuple(sorted(month.digests[table] for month in months if table in month.digests))


def _row_growth(month: Month, other: Month, limit: float) -> Iterator[tuple[str, str]]:
    for table in _in_both(month, other):
        now, then = month.tables[table].num_rows, other.tables[table].num_rows
        is_fewer = other.as_of > month.as_of and then > limit * now  # beside an earlier month: source.max_row_drop
        if then >= FEWEST and (now > limit * then or is_fewer):
            yield table, f"{table} has {now:,} rows, {_times(now, then, f'{then:,}', month, other, limit)}"


def _turnover(month: Month, other: Month, limit: float) -> Iterator[tuple[str, str]]:
    earlier, later = _in_order(month, other)
    gone, users = _absent(earlier, later)
    if users >= FEWEST and gone > limit * users and is_more(gone, users, limit):
        whose, where = ("", f" in {_named(other, month)}") if earlier is month else (f" of {_named(other, month)}", "")
        yield USERS.name, f"{gone:,} of the {users:,} users{whose} are gone{where}, {_share(gone / users, limit)}"


def _share_new(month: Month, other: Month, limit: float) -> Iterator[tuple[str, str]]:
    earlier, later = _in_order(month, other)
    new, users = _absent(later, earlier)
    if min(users, earlier.tables[USERS.name].num_rows) >= FEWEST and new > limit * users and is_more(new, users, limit):
        whose, where = ("", _named(other, month)) if later is month else (f" of {_named(other, month)}", "it")
        yield USERS.name, f"{new:,} of the {users:,} users{whose} are not in {where}, {_share(new / users, limit)}"


def _same_month(month: Month, same: Mapping[str, Sequence[str]], limit: Limit) -> Iterator[Implausible]:
    facts = len(tables_with_facts(month.tables))
    for as_of, shared in sorted(same.items()):
        if len(shared) > limit.limit * facts:
            most = _digits(limit.limit * 100, 12)
            what = f"{len(shared)} of {facts} tables with facts have the same rows as {as_of} (at most {most}%)"
            yield Implausible("same_month", "facts", what, limit.action, tuple(sorted(shared)))


def _constant(month: Month, other: Month, limit: float) -> Iterator[tuple[str, str]]:
    for table, column in _columns(month, other):
        now, then = month.tables[table][column.name], other.tables[table][column.name]
        if len(now) < limit or _values(now) != 1 or _values(then) < 2:
            continue
        with_it = (pc.sum(pc.equal(then, now[0])).as_py() or 0) if now[0].is_valid else then.null_count
        if is_constant(len(now), len(then), len(then) - with_it):
            name, value = f"{table}.{column.name}", now[0].as_py()
            words = "NULL" if value is None else _digits(value) if column.kind == "real" else value
            yield name, f"{name} is {words} for all {len(now):,} users, it had several values in {_named(other, month)}"


def _scale(month: Month, other: Month, limit: float) -> Iterator[tuple[str, str]]:
    for table, column in _columns(month, other):
        if column.kind not in ("integer", "real"):
            continue
        now, then = (_not_zero(each.tables[table][column.name]) for each in (month, other))
        if min(len(now), len(then)) < FEWEST:
            continue
        middle, before = _median(now), _median(then)
        if (middle > before * limit and is_larger(now, then, limit)) or (
            middle < before / limit and is_larger(then, now, limit)
        ):
            name = f"{table}.{column.name}"
            times = _times(middle, before, _digits(before), month, other, limit)
            yield name, f"the median of {name} is {_digits(middle)}, {times}"


def _label_change(month: Month, other: Month, limit: float) -> Iterator[tuple[str, str]]:
    now, then = _churned(month), _churned(other)
    if min(now[1], then[1]) >= FEWEST and (is_rate_higher(*now, *then, limit) or is_rate_higher(*then, *now, limit)):
        rate, before = now[0] / now[1], then[0] / then[1]
        times = _times(rate, before, f"{_digits(before * 100, 3)}%", month, other, limit)
        yield _CHURN, f"{_digits(rate * 100, 3)}% of {now[1]:,} users churned, {times}"


def _label_rate_min(month: Month, _: object, limit: Limit) -> Iterator[Implausible]:
    churned, users = _churned(month)
    if users >= FEWEST and churned < limit.limit * users and is_more(users - churned, users, 1 - limit.limit):
        yield _label_rate("label_rate_min", month, limit, "at least")


def _label_rate_max(month: Month, _: object, limit: Limit) -> Iterator[Implausible]:
    churned, users = _churned(month)
    if users >= FEWEST and churned > limit.limit * users and is_more(churned, users, limit.limit):
        yield _label_rate("label_rate_max", month, limit, "at most")


def _label_rate(name: str, month: Month, limit: Limit, bound: str) -> Implausible:
    churned, users = _churned(month)
    what = f"of {users:,} users churned"
    words = f"{_beyond(churned / users * 100, limit.limit * 100)}% {what} ({bound} {_digits(limit.limit * 100, 12)}%)"
    return Implausible(name, _CHURN, words, limit.action, _contents(_CHURN, month))


_BESIDE = {
    "row_growth": _row_growth,
    "turnover": _turnover,
    "share_new": _share_new,
    "constant": _constant,
    "scale": _scale,
    "label_change": _label_change,
}
_ALONE = {"same_month": _same_month, "label_rate_min": _label_rate_min, "label_rate_max": _label_rate_max}


def _named(other: Month, month: Month) -> str:
    return "the version before" if other.as_of == month.as_of else other.as_of


def _in_order(month: Month, other: Month) -> tuple[Month, Month]:
    return (month, other) if other.as_of > month.as_of else (other, month)


def _absent(month: Month, other: Month) -> tuple[int, int]:
    users, others = (each.tables[USERS.name][ENTITY_KEY] for each in (month, other))
    absent = pc.sum(pc.invert(pc.is_in(users, others.combine_chunks()))).as_py() or 0
    return absent, len(users)


def _in_both(month: Month, other: Month) -> Iterator[str]:
    return (table.name for table in TABLES if table.name in month.tables and table.name in other.tables)


def _columns(month: Month, other: Month) -> Iterator[tuple[str, Column]]:
    names = set(_in_both(month, other))
    for table in TABLES:
        for column in table.columns if table.name in names else ():
            if all(column.name in each.tables[table.name].column_names for each in (month, other)):
                yield table.name, column


def _values(values: pa.ChunkedArray) -> int:
    return int(pc.count_distinct(values, mode="all").as_py())


def _not_zero(values: pa.ChunkedArray) -> pa.Array:
    return values.filter(pc.fill_null(pc.not_equal(values, 0), False)).combine_chunks()


def _median(values: pa.Array) -> float:
    return float(pc.quantile(values, 0.5, interpolation="lower")[0].as_py())


def _churned(month: Month) -> tuple[int, int]:
    labels = month.tables[LABEL_TABLE][LABEL]
    return pc.sum(labels).as_py() or 0, len(labels)


def _times(now: float, then: float, then_in_words: str, month: Month, other: Month, limit: float) -> str:
    what = f"the {then_in_words} of {_named(other, month)} (at most {_digits(limit, 12)} times)"
    if not then:
        return f"more than {what}"
    if now >= then:
        return f"{_beyond(now / then, limit)} times {what}"
    return f"1/{_beyond(then / now, limit)} of {what}" if now else f"0 times {what}"


def _share(share: float, limit: float) -> str:
    return f"{_beyond(share * 100, limit * 100)}% (at most {_digits(limit * 100, 12)}%)"


def _beyond(value: float, limit: float) -> str:
    """A figure beyond a limit with 3 digits, or as many as it takes to see that it is."""
    for digits in range(3, 18):
        rounded = float(f"{value:.{digits}g}")
        if (rounded < limit) == (value < limit) and _digits(rounded, 17) != _digits(limit, 12):
            break
    return _digits(rounded, 17)


def _digits(value: float, digits: int = 6) -> str:
    """A number with so many digits that count, and with no exponent for large ones: 5,588 and 0.02."""
    return f"{float(f'{value:.{digits}g}'):,.15g}"
