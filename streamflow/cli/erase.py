"""`streamflow erase`: take users out of everything that the project keeps."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamflow.cli.endings import SAYS_NO
from streamflow.core.errors import ConfigError, HistoryError, shown
from streamflow.pipeline.reporting import say

if TYPE_CHECKING:
    from streamflow.operations.erase.erase import Outcome

_SHOWN = 10


@click.command()
@click.argument("users", nargs=-1, metavar="[USER]…")
@click.option(
    "--from", "listed", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file, one id a line."
)
@click.option("--reason", help="Why; it is kept for ever, so it must not say who.")
@click.option("--yes", is_flag=True, help="Don't ask before erasing.")
def erase(users: tuple[str, ...], listed: Path | None, reason: str | None, yes: bool) -> None:
    """Erase users for good: their rows, what was frozen, computed and logged of them, and every copy that DVC keeps.

    \b
    streamflow erase 7590-VHVEG --reason "asked for on 2024-03-04, ticket 4711"
    streamflow erase --from ids.txt --reason "contract ended"
    streamflow erase                         goes on with a call that was stopped

    Live tables, history, online store, frozen months, training sets, predictions, DVC's cache and remotes, MLflow's files
    and the embedded server's own pages and log are searched, also for what is compressed. artifacts/erasures keeps a record
    without names, signed if this machine has a key: it proves that all other rows are as they were. A later extract brings
    nobody back. `streamflow rerun` of a version that was trained with them says so and proves the rest; `erasure.serving`
    of conf/config.yaml says whether serving goes on. Exit code 0 only if no trace is left, 1 if one is, 2 if it could not.
    """
    from streamflow.operations.erase.erase import already_gone, ask, pending
    from streamflow.operations.erase.erase import erase as carry_out

    call = pending()
    if call is not None:
        say(f"going on with the erasure of {_people(len(call.users))} that was stopped")
        if _finish(carry_out(call, say)) and not users and listed is None:
            return
    wanted = _wanted(users, listed)
    if not wanted:
        if call is not None:
            sys.exit(SAYS_NO)
        raise ConfigError("no user is named; `streamflow erase USER --reason TEXT`, or --from FILE")
    if not reason or not reason.strip():
        raise ConfigError("an erasure needs a reason: `streamflow erase USER --reason TEXT`")
    if gone := already_gone(wanted):
        say(f"{_people(len(gone))} of these were erased before")
    if not yes:
        click.confirm(f"Erase {_people(len(wanted))} for good? What is erased can't be restored", abort=True)
    if not _finish(carry_out(ask(wanted, reason.strip()), say)):
        sys.exit(SAYS_NO)


def _wanted(users: tuple[str, ...], listed: Path | None) -> list[str]:
    lines = listed.read_text(encoding="utf-8").splitlines() if listed else []
    wanted = sorted({*users, *(line.strip() for line in lines if line.strip())})
    for user in wanted:
        if not user.isprintable() or user != user.strip():
            raise HistoryError(f"{shown(user)} is no user's id; name one as it is in the extracts")
    return wanted


def _finish(outcome: "Outcome") -> bool:
    """Say what was done and what is left; returns whether no trace is."""
    counts = {
        became: sum(each.became == became for each in outcome.cleaned) for became in ("rewritten", "removed", "masked")
    }
    say(f"files: {', '.join(f'{count} {became}' for became, count in counts.items())}")
    _list(str(each.path) for each in outcome.cleaned if each.became == "removed")
    for line in outcome.versions:
        say(line)
    for line in outcome.left:
        say(f"not done: {line}")
    if outcome.commits:
        say(
            f"git: {outcome.commits} objects of the repository hold one of the ids, e.g. in its documentation; they are not"
            " changed (`git log --all -S ID` finds them, `git filter-repo` rewrites history)"
        )
    if outcome.traces:
        say(f"{len(outcome.traces)} traces are left; remove them, then `streamflow erase` again:")
        _list(str(each) for each in outcome.traces)
        return False
    say(
        f"no trace is left (erasure {outcome.number}); commit artifacts/erasures; `streamflow repro` trains without them"
    )
    return True


def _list(lines: Iterable[str]) -> None:
    found = list(lines)
    for line in found[:_SHOWN]:
        say(f"  {line}")
    if len(found) > _SHOWN:
        say(f"  … and {len(found) - _SHOWN} more")


def _people(count: int) -> str:
    return f"{count} user{'' if count == 1 else 's'}"
