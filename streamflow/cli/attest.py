"""`streamflow attest`: signed statements from and to other clones."""

from pathlib import Path

import click

from streamflow.cli.examples import examples
from streamflow.pipeline.reporting import say


@click.group()
def attest() -> None:
    """Exchange signed statements with other clones: provenances, verdicts, moves of Production."""


@attest.command(
    name="import",
    epilog=examples("streamflow attest import verdict-of-ben.jsonl"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def import_file(started_in: Path, file: Path) -> None:
    """Take the statements of FILE (one DSSE envelope a line), as `streamflow rerun` writes it on another machine.

    Each must be signed by a trusted key and be about a commit that is here. All are taken, or none.
    """
    from streamflow.operations.attest.exchange import import_envelopes

    for line in import_envelopes(started_in / file):
        say(line)


@attest.command(epilog=examples("streamflow attest push", "streamflow attest push backup"))
@click.argument("remote", default="origin")
def push(remote: str) -> None:
    """Push the statements to a git remote: notes of commits, results beside the branches, tags of Production."""
    from streamflow.operations.attest.exchange import push as push_all

    push_all(remote)
    say(f"notes, results and tags of Production are at {remote}")


@attest.command(epilog=examples("streamflow attest pull"))
@click.argument("remote", default="origin")
def pull(remote: str) -> None:
    """Fetch the statements of a git remote, and merge them with those here."""
    from streamflow.operations.attest.exchange import pull as pull_all

    for line in pull_all(remote):
        say(line)
