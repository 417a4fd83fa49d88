"""The checks of a month of extracts; all of them run before anything is written."""

import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.arrow import FIRST_DATA_ROW, field_error
from streamflow.core.errors import ExtractError
from streamflow.core.schema import EARLIEST_DATE, ENTITY_KEY, LONGEST_ID, NO_INTERNET, TABLES, USERS, Column, Table

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

_PLANS = ("plan_stream_tv", "plan_stream_movies")
_ID_RULE = "is not an id: printable characters in normal form NFC, no white space around them"


def check_month(extracts: Mapping[str, pa.Table], origins: Mapping[str, str], as_of: date) -> None:
    """Check ranges, domains, keys and the rules between columns of a month's extracts.

    `extracts` and `origins` (file or table names for messages) are keyed by table name; rows are in file order.
    Raises ExtractError for the first violation, tables in schema order.
    """
    for table in TABLES:
        rows = extracts[table.name]
        known = Table(table.name, tuple(column for column in table.columns if column.name in rows.column_names))
        _check_table(known, rows, origins[table.name])
    _check_keys(extracts, origins)
    if {"net_service", *_PLANS} <= set(extracts["subscriptions"].column_names):  # a mapped source may lack them
        _check_plans(extracts["subscriptions"], origins["subscriptions"])
    if "signup_date" in extracts["users"].column_names:
        _check_signup(extracts["users"], origins["users"], as_of)


def check_row_count(rows: int, before: int, before_name: str, max_drop: float, origin: str) -> None:
    """Check that there are at least (1 - max_drop) times the rows before. Raises ExtractError."""
    if rows < (1 - max_drop) * before:
        raise ExtractError(
            f"{origin}: {rows} rows, {1 - rows / before:.0%} fewer than the {before} of {before_name}"
            f" (source.max_row_drop={max_drop}); fix the extract, or accept the drop:"
            f" `streamflow repro … source.max_row_drop=1`; nothing was written"
        )


def extract_schema(table: Table) -> "DataFrameSchema":
    """The pandera schema of an extract, derived from the project's schema."""
    import pandera.pandas as pandera

    key = pandera.Column(
        checks=[
            pandera.Check.str_length(1, LONGEST_ID, error=f"is longer than {LONGEST_ID} characters"),
            pandera.Check(_is_plain, element_wise=True, error=_ID_RULE),
        ],
        unique=True,
    )
    columns = {
        column.name: pandera.Column(checks=_checks(column), nullable=column.nullable) for column in table.columns
    }
    return pandera.DataFrameSchema({ENTITY_KEY: key, **columns}, strict=True, ordered=True, name=table.name)


def _is_plain(user: str) -> bool:
    return user.isprintable() and user == user.strip() and unicodedata.is_normalized("NFC", user)


def _checks(column: Column) -> list[Any]:
    from pandera.pandas import Check

    checks = []
    if column.minimum is not None:
        checks.append(Check.ge(column.minimum, error=f"is below {column.minimum:g}"))
    if column.maximum is not None:
        checks.append(Check.le(column.maximum, error=f"is above {column.maximum:g}"))
    if column.allowed:
        checks.append(Check.isin(column.allowed, error=f"is not one of {', '.join(column.allowed)}"))
    return checks


def _check_table(table: Table, rows: pa.Table, origin: str) -> None:
    from pandera.errors import SchemaErrors

    if rows.num_rows == 0:
        raise ExtractError(f"{origin}: no rows below the header; deliver the extract again; nothing was written")
    for column in table.columns:
        if column.kind == "date":
            _check_dates(column, rows, origin)
    try:
        extract_schema(table).validate(rows.to_pandas(date_as_object=True), lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.sort_values(["index", "column"], kind="stable")
        case = cases.iloc[0]
        row = int(case["index"])
        raise field_error(
            origin,
            case["column"],
            row + FIRST_DATA_ROW,
            rows[ENTITY_KEY][row].as_py(),
            rows[case["column"]][row].as_py(),
            _rule(str(case["check"])),
            len(cases.drop_duplicates(["index", "column"])) - 1,
        ) from errors


def _check_dates(column: Column, rows: pa.Table, origin: str) -> None:
    # Before anything makes Python's dates of them, which have no year 0.
    early = pc.less(rows[column.name], pa.scalar(EARLIEST_DATE))
    row = pc.index(early, True).as_py()
    if row >= 0:
        value = rows[column.name][row].cast(pa.string()).as_py()
        user, rule = rows[ENTITY_KEY][row].as_py(), f"is before {EARLIEST_DATE}"
        raise field_error(origin, column.name, row + FIRST_DATA_ROW, user, value, rule, pc.sum(early).as_py() - 1)


def _rule(check: str) -> str:
    return "is there twice; a user has one row" if check == "field_uniqueness" else check


def _check_keys(extracts: Mapping[str, pa.Table], origins: Mapping[str, str]) -> None:
    known = extracts[USERS.name][ENTITY_KEY]
    for table in TABLES:
        users = extracts[table.name][ENTITY_KEY]
        stranger = pc.index(pc.is_in(users, value_set=known.combine_chunks()), False).as_py()
        if stranger >= 0:
            user = users[stranger].as_py()
            raise field_error(
                origins[table.name],
                ENTITY_KEY,
                stranger + FIRST_DATA_ROW,
                user,
                user,
                f"is not in {origins[USERS.name]}",
            )
        absent = pc.index(pc.is_in(known, value_set=users.combine_chunks()), False).as_py()
        if absent >= 0:
            raise ExtractError(
                f"{origins[table.name]}: column {ENTITY_KEY}: user {known[absent].as_py()!r} of"
                f" {origins[USERS.name]} (row {absent + FIRST_DATA_ROW}) has no row here"
                f" ({users.length()} rows for {known.length()} users); deliver the extract again; nothing was written"
            )


def _check_plans(rows: pa.Table, origin: str) -> None:
    offline = pc.equal(rows["net_service"], NO_INTERNET)
    for name in _PLANS:
        breach = pc.not_equal(pc.is_null(rows[name]), offline)
        row = pc.index(breach, True).as_py()
        if row >= 0:
            net, value = rows["net_service"][row].as_py(), rows[name][row].as_py()
            rule = f"contradicts net_service {net!r} (a plan is empty exactly where net_service is {NO_INTERNET!r})"
            raise field_error(
                origin,
                name,
                row + FIRST_DATA_ROW,
                rows[ENTITY_KEY][row].as_py(),
                value,
                rule,
                pc.sum(breach).as_py() - 1,
            )


def _check_signup(rows: pa.Table, origin: str, as_of: date) -> None:
    late = pc.greater(rows["signup_date"], pa.scalar(as_of))
    row = pc.index(late, True).as_py()
    if row >= 0:
        user, value = rows[ENTITY_KEY][row].as_py(), rows["signup_date"][row].as_py()
        rule = f"is after the month's date {as_of}"
        raise field_error(origin, "signup_date", row + FIRST_DATA_ROW, user, value, rule, pc.sum(late).as_py() - 1)
