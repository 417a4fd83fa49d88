"""`streamflow rollback` and `streamflow history`: the previous Production version, and every move of Production."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.examples import examples
from streamflow.cli.json_output import json_option, lines_on_stderr, say_json
from streamflow.core.errors import RegistryError
from streamflow.pipeline.reporting import say
from streamflow.postgres.server import database

if TYPE_CHECKING:
    from streamflow.promotion.entries import Entry


@click.command(epilog=examples("streamflow rollback", 'streamflow rollback --reason "scores too high since Monday"'))
@click.option("--reason", default="rolled back", show_default=True, help="Why, for the ledger.")
@json_option
def rollback(reason: str, as_json: bool) -> None:
    """Make the previous Production version Production again; serving follows within seconds.

    A second rollback goes two versions back. The version must be intact and signed for: its files are downloaded and
    verified first. Doctor and the gates are not checked. `streamflow promote` goes forward again.
    """
    with lines_on_stderr(as_json):
        entry = _roll_back(reason)
    if as_json:
        say_json({**asdict(entry), "at": entry.at.isoformat()})
    else:
        say(f"version {entry.to_version} is Production again, version {entry.from_version} before: {reason}")


def _roll_back(reason: str) -> "Entry":
    from streamflow.promotion.entries import rollback_target
    from streamflow.promotion.ledger import move, read_ledger
    from streamflow.promotion.users_online import publish_users
    from streamflow.registry.registry import open_registry

    with database() as url:
        registry = open_registry(url)
        champion = registry.production()
        now = str(champion.version) if champion else None
        ledger = read_ledger(url)
        target = rollback_target(ledger.counted, now)
        if target is None:
            raise RegistryError(
                f"nothing to roll back to: the ledger has no version before {now or 'none'};"
                " `streamflow models`, then `streamflow promote V`"
            )
        model = registry.load(registry.version(target))
        if other := ledger.chain.other_model(target, model.model_sha256):
            raise RegistryError(other)
        entry = move(url, registry, "rollback", model, reason)
        publish_users(url, model, say)
        registry.record_decision(target, f"promoted: {reason}")
    return entry


@click.command(epilog=examples("streamflow history", "streamflow history --json"))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, oldest first.")
def history(as_json: bool) -> None:
    """List every move of Production: when, who, from and to which version, why, and whose key signed it.

    The moves are a chain in git (tags production/N) and in the ledger of the database. What contradicts it is named below
    the table, and the exit code is then 1.
    """
    from rich.console import Console
    from rich.table import Column, Table

    from streamflow.promotion.ledger import read_ledger
    from streamflow.registry.registry import open_registry, unrecorded_move

    with database() as url:
        ledger = read_ledger(url)
        champion = open_registry(url).production()
    lines = ledger.entries
    if as_json:
        say_json([{**asdict(line), "at": line.at.isoformat()} for line in lines])
        sys.exit(SAYS_NO if ledger.chain.problems else 0)
    names = ("when (UTC)", "who", "move", "from", "to", "why", "failed gates overridden", "signed by")
    table = Table(*(Column(name, overflow="fold") for name in names), box=None)  # folded on a terminal, never cut
    for line in lines:
        table.add_row(
            f"{line.at:%Y-%m-%d %H:%M:%S}",
            line.who,
            line.action,
            line.from_version or "none",
            line.to_version,
            line.why,
            ", ".join(line.gates),
            line.signer or "nobody: from before signatures",
        )
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table if lines else "Production was never moved; run `make repro`")
    now = str(champion.version) if champion else None
    if unrecorded := unrecorded_move(now, ledger.last):
        click.echo(unrecorded)
    for problem in ledger.chain.problems:
        click.echo(problem)
    sys.exit(SAYS_NO if ledger.chain.problems else 0)
