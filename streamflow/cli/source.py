"""`streamflow source`: a team's own extracts, before anything of them is loaded."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.json_output import json_option, say_json
from streamflow.core.errors import ConfigError
from streamflow.pipeline.layout import CONF
from streamflow.pipeline.project import replacing
from streamflow.pipeline.reporting import say

if TYPE_CHECKING:
    from streamflow.core.config import Config
    from streamflow.operations.source.check import Loaded

_ROWS = 10
_WIDEST = 18


@click.group()
def source() -> None:
    """Bring your own data: propose a mapping, and see what it would load. Nothing of them writes to the database."""


@source.command()
@click.option("--month", metavar="DATE", help="The month to look at; default: as_of.")
@click.option(
    "--rows", type=click.IntRange(0, 1000), default=_ROWS, show_default=True, help="Rows of each table to show."
)
@json_option
@click.argument("overrides", nargs=-1, metavar="[OVERRIDE]...")
def check(month: str | None, rows: int, as_json: bool, overrides: tuple[str, ...]) -> None:
    """Show what a source would load of a month: rows, counts, and what is refused and why.

    \b
    streamflow source check source=telephone source.dir=PATH
    streamflow source check source=csv source.dir=PATH --month 2024-02-29

    OVERRIDES are those of `streamflow repro`. Nothing is written. Exit code 0 if the month would be loaded, 1 if it would be
    refused, 2 if it can't be looked at.
    """
    from streamflow.operations.repro.compose import compose_config
    from streamflow.operations.source.check import loaded

    config, _ = compose_config(overrides)
    found = loaded(config, month or config.as_of)
    if as_json:
        say_json(_to_json(config, found))
    else:
        for line in _in_words(config, found, rows):
            say(line)
    sys.exit(SAYS_NO if found.refused else 0)


@source.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--name", metavar="NAME", default="own", show_default=True, help="Name of the source: lower case, digits, _."
)
@click.option("--write", is_flag=True, help="Write conf/source/NAME.yaml, if there is none, instead of printing it.")
@click.pass_obj
def init(here: Path, files: tuple[str, ...], name: str, write: bool) -> None:
    """Propose a mapping from the headers and values of your CSV files (a date in a file's name becomes {month}).

    \b
    streamflow source init 2024-01-31.csv --name telephone --write
    streamflow source check source=telephone source.dir=PATH

    It is a proposal: read every line of it.
    """
    from streamflow.operations.source.propose import propose
    from streamflow.operations.source.sample import sample_of

    if not name.replace("_", "a").isalnum() or not name.isascii() or name != name.lower():
        raise ConfigError(f"--name {name[:80]}: use lower case letters, digits and _")
    text = propose(name, [sample_of(here / each) for each in files])
    if not write:
        click.echo(text, nl=False)
        return
    path = CONF / "source" / f"{name}.yaml"
    if path.exists():
        raise ConfigError(f"{path} exists already; choose another --name, or remove it")
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    say(f"wrote {path}: read every line, then `streamflow source check source={name} source.dir=PATH`")


def _to_json(config: "Config", found: "Loaded") -> dict[str, Any]:
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


def _in_words(config: "Config", found: "Loaded", rows: int) -> list[str]:
    from streamflow.core.schema import LABEL_TABLE, TABLES, features_of

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
    from streamflow.core.errors import printable

    return "NULL" if value is None else printable(str(value))
