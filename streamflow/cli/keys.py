"""`streamflow keys`: the key of this machine, and the public keys whose signatures count."""

from pathlib import Path

import click

from streamflow.cli.examples import examples
from streamflow.core.errors import ConfigError
from streamflow.pipeline.reporting import say


@click.group()
def keys() -> None:
    """Make, list, trust and revoke the keys that sign models, verdicts and moves of Production."""


@keys.command(epilog=examples("streamflow keys init", "streamflow keys init --replace"))
@click.option("--replace", is_flag=True, help="Keep the old key under another name, and make a new one.")
def init(replace: bool) -> None:
    """Make the Ed25519 key of this machine, if it has none.

    The private half is var/keys/private.pem (mode 0600, never in git), or the file that STREAMFLOW_SIGNING_KEY names; the
    public half is var/keys/public.pem. `streamflow repro` does it too. This machine trusts its own key; others do after
    `streamflow keys trust FILE --name NAME` there.
    """
    from streamflow.trust.keys import machine_signer, make_key, private_path, public_path, retire_key

    if replace and private_path().exists():
        say(f"the old private key is kept as {retire_key()}; delete it if nobody needs it")
    made = not private_path().exists()
    path = make_key() if made else private_path()
    say(f"{'made' if made else 'there is already'} a key: {machine_signer().public_key.keyid}")
    say(f"  private     {path}")
    say(f"  public      {public_path()}: give it to those who should trust this machine")


@keys.command(name="list", epilog=examples("streamflow keys list"))
def list_keys() -> None:
    """List the public keys of the project and of this machine, and whether their signatures count."""
    from rich.console import Console
    from rich.table import Table

    from streamflow.trust.keys import listed_keys

    table = Table("name", "key id", "state", box=None)
    for key in listed_keys():
        table.add_row(key.name, key.keyid, key.state)
    Console(width=200).print(table if table.row_count else "no key is known; `streamflow keys init` makes one")


@keys.command(epilog=examples("streamflow keys trust anna.pem --name anna"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Whose key it is: letters, digits, - and _.")
@click.pass_obj
def trust(started_in: Path, file: Path, name: str) -> None:
    """Put the public key FILE into keys/NAME.pem; it counts when that is committed.

    Whoever can commit to the branch that a machine runs decides which keys it believes: review changes of keys/.
    """
    from streamflow.trust.keys import trust_key

    path = trust_key(started_in / file, name)
    say(f"{path} is written; it counts when it is committed: git add {path} && git commit -m 'Trust key {name}' {path}")


@keys.command(epilog=examples("streamflow keys revoke anna"))
@click.argument("name")
def revoke(name: str) -> None:
    """Move keys/NAME.pem to keys/revoked/: none of its signatures counts any more, here at once, elsewhere when committed.

    For a key that others may have. A key that is only out of use needs no revocation: delete its private half. What it
    alone signed must be signed again before, or `streamflow rerun vN --sign` does it afterwards.
    """
    from streamflow.trust.keys import OWN_NAME, revoke_key

    if name == OWN_NAME:
        raise ConfigError(
            "name a key of keys/; this machine's own goes there by `streamflow keys trust var/keys/public.pem --name NAME`"
        )
    path = revoke_key(name)
    say(f"{path} is written, {name} does not count here any more; for the others: git add --all keys && git commit")
