"""`streamflow source`: a team's own extracts, before anything of them is loaded."""

import sys
from pathlib import Path

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.json_output import json_option, say_json
from streamflow.core.errors import ConfigError
from streamflow.pipeline.layout import CONF
from streamflow.pipeline.project import replacing
from streamflow.pipeline.reporting import say

_ROWS = 10


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
    from streamflow.cli.source_words import in_words, to_json
    from streamflow.operations.repro.compose import compose_config
    from streamflow.operations.source.check import loaded

    config, _ = compose_config(overrides)
    found = loaded(config, month or config.as_of)
    if as_json:
        say_json(to_json(config, found))
    else:
        for line in in_words(config, found, rows):
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
    from streamflow.operations.source.reading import sample_of

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
