"""`streamflow evidence` and `verify`: what is signed about a model in one archive, and its check by a stranger."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamflow.cli.endings import SAYS_NO, print_error
from streamflow.cli.examples import examples
from streamflow.core.errors import ConfigError, ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.project import project_root, replacing
from streamflow.pipeline.reporting import say

if TYPE_CHECKING:
    from streamflow.trust.chain import Chain
    from streamflow.trust.trusted import TrustedKeys

_WHOSE = "whoever made the archive chose its keys: compare their ids by another way, then use --key"


@click.command(epilog=examples("streamflow evidence Production --out evidence.zip"))
@click.argument("ref")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.zip to write.")
@click.pass_obj
def evidence(started_in: Path, ref: str, out: Path) -> None:
    """Pack all that is signed about REF (v3, Production, a tag or a commit) into one archive for a stranger.

    The model, its report, its configuration and packages, the receipts of its commit, provenance, verdicts, the moves of
    Production, the public keys, a bill of materials (CycloneDX 1.6), a signature for `model_signing`, and a README that
    says how to check it. The same evidence gives the same bytes. A model that is not accepted here gives no archive.
    """
    from streamflow.operations.evidence.export import export
    from streamflow.registry.references import find_target, registry_if_any

    place = started_in / out
    if place.suffix != ".zip" or not place.parent.is_dir():
        raise ConfigError(f"--out {out} is no .zip in a folder that exists; for example --out evidence.zip")
    with registry_if_any() as registry:
        target = find_target(ref, registry)
        made = export(target, registry, _chain(with_ledger=registry is not None))
    with replacing(place) as partial:
        partial.write_bytes(made.content)
    claim, model = made.subject.claim, f"version {made.version} of {MODEL_NAME}" if made.version else MODEL_NAME
    say(f"{out}: {model}, model {claim.files['model.onnx'][:12]}, commit {claim.commit[:12]}")
    say(f"  holds       {len(made.subject.files)} files, {made.claims} claims, each checked")
    say(f"  size        {len(made.content) / 1e6:.1f} MB")
    say(f"  next        streamflow verify {out}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, type=click.Path(path_type=Path), help="Only this public key counts.")
@click.option("--rerun", "derive", is_flag=True, help="Derive the model again, in a clone that has its commit.")
@click.pass_obj
def verify(started_in: Path, file: Path, keys: tuple[Path, ...], derive: bool) -> None:
    """Check the archive FILE that `streamflow evidence` made: every signature, every digest, every golden row.

    \b
    streamflow verify evidence.zip                    does it agree with itself?
    streamflow verify evidence.zip --key public.pem   did they sign it whose key I have? --key may be repeated
    streamflow verify evidence.zip --rerun            does the commit give this model here too?

    Needs no database, no network and no git, and runs in any folder. Nothing is written. Exit code 0 if every claim holds;
    1, with the first that does not; 2 if there is no such file or key.
    """
    from streamflow.operations.evidence.keys import NAMED_BY_ARCHIVE
    from streamflow.operations.evidence.verify import check, derive_again, open_archive, reason_in_one_line

    started, inside = time.monotonic(), inside_project()
    if derive and not inside:
        raise ConfigError("--rerun needs a clone of the project that has the commit; cd into it, or leave --rerun out")
    try:
        with reason_in_one_line():
            subject, counted = open_archive(
                started_in / file, [started_in / each for each in keys], _clone_keys(inside)
            )
            for keyid in sorted(counted.trusted.keys):
                say(f"key {counted.trusted.described(keyid)}: {counted.chosen_by[keyid]}")
            for line in check(subject):
                say(line)
            if derive:
                say(derive_again(subject, lambda line: say(f"  {line}")))
    except ModelError as error:
        sys.exit(print_error(f"streamflow: {error}", SAYS_NO))
    own = [keyid for keyid, why in counted.chosen_by.items() if why == NAMED_BY_ARCHIVE]
    say("every claim holds" + (f"; but {_WHOSE}" if own else ""))
    say(f"  time        {time.monotonic() - started:.1f} s")


def inside_project() -> bool:
    """Whether the current folder is in a StreamFlow project."""
    try:
        project_root()
    except ConfigError:
        return False
    return True


def _clone_keys(inside: bool) -> "TrustedKeys | None":
    from streamflow.trust.keys import trusted_keys

    return trusted_keys() if inside else None


def _chain(with_ledger: bool) -> "Chain":
    """The moves of Production: those in git, and those that only the ledger has if there is one."""
    from streamflow.postgres.server import database
    from streamflow.promotion.ledger import read_ledger
    from streamflow.trust.chain import chain_of
    from streamflow.trust.keys import trusted_keys
    from streamflow.trust.store import moves_in_git

    if not with_ledger:
        return chain_of(moves_in_git(), [], trusted_keys())
    with database() as url:
        return read_ledger(url).chain
