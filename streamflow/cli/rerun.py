"""`streamflow rerun`: derive a result again, and compare every output."""

import sys

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.json_output import json_option, say_json
from streamflow.core.errors import StreamFlowError
from streamflow.pipeline.reporting import say
from streamflow.provenance.record import IDENTICAL
from streamflow.rerun.verdict import Rederivation


@click.command()
@click.argument("ref")
@click.option("--fresh-env", is_flag=True, help="Install a new environment, even if a matching one exists.")
@click.option("--from-source", is_flag=True, help="Freeze the snapshots again from Postgres history.")
@click.option("--sign", is_flag=True, help="Sign also where the model comes from, if it is identical.")
@json_option
def rerun(ref: str, fresh_env: bool, from_source: bool, sign: bool, as_json: bool) -> None:
    """Derive REF again, byte for byte: a git tag, a commit, a model version (v3) or Production.

    \b
    streamflow rerun Production              the frozen snapshots; this environment if it matches the lock
    streamflow rerun exp/spring --fresh-env  the packages installed again, every file checked by hash
    streamflow rerun v3 --from-source        the snapshots frozen again from Postgres

    Works in a clone of its own: your files, index, branches and Production stay as they are. The verdict is identical,
    equivalent (bytes differ, every golden prediction is equal), diverged, or derivable but for users who were erased since
    (then the rest of its rows is proven by the commitments of their ingest). It is signed with this machine's key and kept
    as a note of the commit, with the model version, and in a file for `streamflow attest import` elsewhere. --sign is for a
    version without a signature, and for a rebuilder on another machine. Exit code 0 only for identical, 1 for another
    verdict, 2 if the rerun was not possible.
    """
    from streamflow.registry.references import find_target, registry_if_any
    from streamflow.rerun.attestation import keep_verdict
    from streamflow.rerun.rerun import rerun as derive

    tell = _to_stderr if as_json else say
    with registry_if_any() as registry:
        target = find_target(ref, registry)
        done = derive(target, fresh_env, from_source, tell)
        try:
            kept = keep_verdict(done.found, done.result, target, registry, with_provenance=sign)
        except StreamFlowError as error:
            kept = f"not kept: {error}"
    if as_json:
        say_json(done.found.to_json())
    else:
        say(_in_words(done.found, kept))
    sys.exit(0 if done.found.verdict == IDENTICAL else SAYS_NO)


def _in_words(found: Rederivation, kept: str) -> str:
    if found.erased_users:
        return _but_erased(found)
    width = max(len(out.path) for out in found.outs)
    same = sum(out.same for out in found.outs)
    lines = [
        "",
        *(
            f"  {'same  ' if out.same else 'OTHER '} {out.path:<{width}}  {out.expected[:12]}"
            + ("" if out.same else f"  now {out.actual[:12] or 'nothing'}")
            for out in found.outs
        ),
        "",
        f"{found.ref} ({found.commit[:12]}) is {found.verdict.upper()}: {same} of {len(found.outs)} outputs are the same,"
        f" model {found.model_actual[:12]}",
    ]
    if first := found.first_divergence:
        lines.append(f"  first       {first.stage}: {first.cause}: {first.detail}")
    lines.append(f"  attested    {kept}")
    lines.append(f"  time        {found.seconds:.0f} s")
    return "\n".join(lines)


def _but_erased(found: Rederivation) -> str:
    users = f"{found.erased_users} ERASED USER{'' if found.erased_users == 1 else 'S'}"
    lines = ["", *(f"  proven      {each}" for each in found.proven), ""]
    if first := found.first_divergence:
        lines += [
            f"{found.ref} ({found.commit[:12]}) is DIVERGED: what is left of its rows can't be proven",
            f"  first       {first.stage}: {first.cause}: {first.detail}",
        ]
    else:
        lines += [
            f"{found.ref} ({found.commit[:12]}) is DERIVABLE BUT FOR {users}: every other row of its months is proven",
            "  next        `streamflow repro` trains on what is left and registers a new version",
        ]
    return "\n".join([*lines, f"  time        {found.seconds:.0f} s"])


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)
