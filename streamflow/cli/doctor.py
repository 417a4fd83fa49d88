"""`streamflow doctor` and `streamflow fsck`: what must hold, and every stored byte against its hash."""

import json
import sys

import click

from streamflow.pipeline.reporting import USER_ERROR, say
from streamflow.provenance.problems import Check


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def doctor(as_json: bool) -> None:
    """Look at every precondition of training, promoting and deriving again.

    Each is shown with its state and, if it does not hold, the command that mends it. Nothing of yours is changed. Exit code
    0 if all hold, else 2.
    """
    from streamflow.operations.health.doctor import all_checks

    conclude(all_checks(), as_json)


@click.command()
@click.option("--repair", is_flag=True, help="Put back what can be had from intact outputs, the cache or the remote.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for machines.")
def fsck(repair: bool, as_json: bool) -> None:
    """Hash every stored byte: tracked results, outputs, DVC's cache, the files of every registered version.

    DVC trusts the name of a cache object and the time of a file; this does not. Exit code 0 if all is whole, else 2.
    """
    from streamflow.operations.health.fsck import integrity
    from streamflow.operations.health.fsck import repair as put_back
    from streamflow.operations.repro.compose import single_run

    if repair:
        with single_run():  # not under a pipeline that works
            for line in put_back():
                say(line)
    conclude(integrity(), as_json)


def conclude(checks: list[Check], as_json: bool) -> None:
    """Show checks, and end with exit code 2 if one does not hold."""
    healthy = all(check.ok for check in checks)
    if as_json:
        say(json.dumps({"ok": healthy, "checks": [check.to_json() for check in checks]}, indent=2))
    else:
        for check in checks:
            _show(check)
    sys.exit(0 if healthy else USER_ERROR)


def _show(check: Check, most: int = 5) -> None:
    say(f"{'ok    ' if check.ok else 'FAILED'}  {check.name:<14} {check.note}".rstrip())
    for problem in check.problems[:most]:
        say(f"          {problem.what}")
        say(f"            {problem.fix}")
    if len(check.problems) > most:
        say(f"          … and {len(check.problems) - most} more (--json shows all)")
