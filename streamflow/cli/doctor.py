"""`streamflow doctor` and `streamflow fsck`: every precondition, and every stored byte against its hash."""

import sys

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.cli.examples import examples
from streamflow.cli.json_output import json_option, say_json
from streamflow.pipeline.reporting import say
from streamflow.provenance.problems import Check


@click.command(epilog=examples("streamflow doctor", "streamflow doctor --json | jq .ok"))
@json_option
def doctor(as_json: bool) -> None:
    """Check every precondition of training, promoting and rerunning.

    Shows each with its state and, if it failed, the command that fixes it. Changes nothing. Exit code 0 if all checks pass,
    else 1.
    """
    from streamflow.operations.health.doctor import all_checks

    report_checks(all_checks(), as_json)


@click.command(epilog=examples("streamflow fsck", "streamflow fsck --repair"))
@click.option("--repair", is_flag=True, help="Restore damaged files from intact outputs, the cache or the remote.")
@json_option
def fsck(repair: bool, as_json: bool) -> None:
    """Hash every stored byte: tracked results, outputs, DVC's cache, the files of every registered version.

    DVC trusts the name of a cache object and the time of a file; fsck reads every byte. Exit code 0 if nothing is damaged,
    else 1.
    """
    from streamflow.operations.health.fsck import integrity
    from streamflow.operations.health.fsck import repair as repair_files
    from streamflow.operations.repro.compose import single_run

    if repair:
        with single_run():  # not while a pipeline runs
            for line in repair_files():
                say(line)
    report_checks(integrity(), as_json)


def report_checks(checks: list[Check], as_json: bool) -> None:
    """Print checks, and exit with code 1 if one failed."""
    healthy = all(check.ok for check in checks)
    if as_json:
        say_json({"ok": healthy, "checks": [check.to_json() for check in checks]})
    else:
        for check in checks:
            _show(check)
    sys.exit(0 if healthy else SAYS_NO)


def _show(check: Check, most: int = 5) -> None:
    say(f"{'ok    ' if check.ok else 'FAILED'}  {check.name:<14} {check.note}".rstrip())
    for problem in check.problems[:most]:
        say(f"          {problem.what}")
        say(f"            {problem.fix}")
    if len(check.problems) > most:
        say(f"          … and {len(check.problems) - most} more (--json shows all)")
