"""What `streamflow source check` says of a month."""

from typing import Any

from streamflow.core.config import Config
from streamflow.core.errors import printable
from streamflow.core.schema import LABEL_TABLE, TABLES, features_of
from streamflow.operations.source.check import Loaded

_WIDEST = 18


def to_json(config: Config, found: Loaded) -> dict[str, Any]:
    """A month as it would be loaded, without its rows, for machines."""
    return {
        "source": config.source.name,
        "month": found.month,
        "feature_service": config.features.service,
        "absent": list(config.source.absent),
        "tables": {
            name: {"rows": rows.num_rows, "from": found.origins[name], "columns": rows.column_names}
            for name, rows in found.rows.items()
        },
        "churners": found.churners,
        "refused": list(found.refused),
    }


def in_words(config: Config, found: Loaded, rows: int) -> list[str]:
    """A month as it would be loaded, for people: counts, what is absent, the first rows, what is refused."""
    lines = [f"{config.source.name}, month {found.month}"]
    for table in TABLES:
        if table.name in found.rows:
            count = f"{found.rows[table.name].num_rows:,}"
            nulls = [
                f"{name} {found.rows[table.name][name].null_count:,}"
                for name in found.rows[table.name].column_names
                if found.rows[table.name][name].null_count
            ]
            lines.append(f"  {table.name:<17} {count:>9} rows from {found.origins[table.name]}")
            lines += [f"  {'':<17} {'':>9} NULL: {', '.join(nulls)}"] if nulls else []
        elif table.name in config.source.absent:
            lines.append(f"  {table.name:<17} {'absent':>9}")
        else:
            lines.append(f"  {table.name:<17} {'refused':>9}")
    features = features_of(config.features.service)
    lines.append(f"  {'features':<17} {len(features):>9} of {config.features.service}")
    lines += [f"  {'':<17} {'':>9} {', '.join(features[at : at + 5])}" for at in range(0, len(features), 5)]
    if LABEL_TABLE in found.rows:
        users = found.rows[LABEL_TABLE].num_rows
        lines.append(f"  {'churned':<17} {found.churners:>9,} of {users:,} users, {found.churners / max(users, 1):.1%}")
    for name, table_rows in found.rows.items() if rows else ():
        if table_rows.num_columns > 1:
            lines += ["", f"{name}, the first {min(rows, table_rows.num_rows)} rows", *_grid(table_rows, rows)]
    if found.refused:
        return [*lines, "", *(f"REFUSED: {each}" for each in found.refused)]
    return [*lines, "", "the month would be loaded; nothing was written"]


def _grid(table: Any, rows: int) -> list[str]:
    """The first rows, aligned; a long value is cut."""
    shown = [
        table.column_names,
        *([_shown(value) for value in row.values()] for row in table.slice(0, rows).to_pylist()),
    ]
    cut = [[text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…" for text in row] for row in shown]
    widths = [max(len(row[at]) for row in cut) for at in range(len(table.column_names))]
    return [
        "  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cut
    ]


def _shown(value: object) -> str:
    return "NULL" if value is None else printable(str(value))
