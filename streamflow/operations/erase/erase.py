"""Erase users from everything that this project keeps: planned, recorded, carried out and looked for again.

The call is written down first. Whenever it is stopped, the next call goes on: what was recorded in the database is carried
out again, and each step may be repeated.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from streamflow.core.config import source_identity
from streamflow.core.errors import HistoryError, StreamFlowError, shown
from streamflow.core.schema import ENTITY_KEY
from streamflow.online.forget import forget_users
from streamflow.operations.erase.commits import objects_with
from streamflow.operations.erase.files import Cleaned, clean_files, files_with_traces
from streamflow.operations.erase.frozen import Plan, Planner
from streamflow.operations.erase.pages import rewrite_pages
from streamflow.operations.erase.stores import Store, stores
from streamflow.operations.erase.traces import Traces
from streamflow.operations.erase.versions import mark_versions
from streamflow.operations.repro.compose import single_run
from streamflow.pipeline.params import read_all_params
from streamflow.pipeline.project import replacing, state_dir
from streamflow.postgres.connection import connect
from streamflow.postgres.server import database
from streamflow.provenance.erasure_files import erasures
from streamflow.provenance.erasures import Erasure, Erasures, merged, read_erasure
from streamflow.provenance.git import tree
from streamflow.registry.connection import TRACKING_VARIABLE
from streamflow.trust.erasure_records import last_record, write_records
from streamflow.warehouse.erased import (
    erase_rows,
    erasure_records,
    forgotten,
    ingest_stopped,
    present,
    recorded_contents,
)
from streamflow.warehouse.history import warehouse

Say = Callable[[str], None]


@dataclass(frozen=True)
class Call:
    """An erasure that was asked for, as it is written down until it is done."""

    id: str
    users: tuple[str, ...]
    reason: str


@dataclass
class Outcome:
    """What an erasure did.

    `left`: what others have to do. `traces`: files that still hold a user. `commits`: objects of git that do.
    """

    number: int
    rows: int = 0
    objects: int = 0
    cleaned: list[Cleaned] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    traces: list[Path | str] = field(default_factory=list)
    commits: int = 0


def pending() -> Call | None:
    """The erasure that was asked for and is not done; None if there is none. Raises HistoryError if its file is damaged."""
    path = _journal()
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Call(found["id"], tuple(found["users"]), found["reason"])
    except (ValueError, KeyError, TypeError) as error:
        raise HistoryError(f"{path} is damaged; remove it and call `streamflow erase` again") from error


def ask(users: Sequence[str], reason: str) -> Call:
    """Write down that users are to be erased. Raises HistoryError, and writes nothing, if the reason names one of them."""
    for user in users:
        if user in reason:
            raise HistoryError(f"the reason names {shown(user)}, and it is kept for ever; say it without the user")
    call = Call(secrets.token_hex(8), tuple(sorted(set(users))), reason)
    path = _journal()
    with replacing(path) as partial:
        partial.touch(0o600)
        partial.write_text(json.dumps(asdict(call)), encoding="utf-8")
    return call


def erase(call: Call, say: Say) -> Outcome:
    """Carry out an erasure, from wherever an earlier call stopped. Raises a StreamFlowError if a step is not possible.

    A call that can't be recorded is forgotten; from its record on it stays open until it is done.
    """
    identity = source_identity(read_all_params().source)
    with (
        single_run(),
        stores() as places,
        database() as url,
        warehouse(url, identity),
        closing(connect(url)) as connection,
    ):
        _write_known(connection)
        with ingest_stopped(connection):
            outcome = _recorded(connection, call, places, say)
        known = _write_known(connection)
        outcome.objects = _remove_objects(places, call)
        say(f"objects: {outcome.objects} removed from {', '.join(place.name for place in places)}")
        outcome.cleaned = clean_files(call.users, [_journal()])
        outcome.left = [*rewrite_pages(url), *_elsewhere()]
        say("Postgres: tables, statistics and write-ahead log are written anew")
        outcome.versions = mark_versions(url, known, read_all_params().erasure.serving)
        outcome.traces = [*_traces(call, places)]
        outcome.commits = objects_with([user.encode() for user in call.users])
    _journal().unlink()
    return outcome


def already_gone(users: Sequence[str]) -> list[str]:
    """Those of the users who were erased before. Raises HistoryError naming others whom nothing here knows."""
    identity = source_identity(read_all_params().source)
    with database() as url, warehouse(url, identity) as store, store.transaction() as cursor:
        gone = forgotten(cursor, users)
        unknown = sorted(set(users) - set(gone) - present(cursor, users))
    if unknown:
        with stores() as places:
            unknown = [user for user in unknown if not _is_stored(user, places)]
    if unknown:
        more = f" and {len(unknown) - 1} others" if unknown[1:] else ""
        raise HistoryError(
            f"{shown(unknown[0])}{more} had no row here, and no frozen file has one; check the id; nothing was erased"
        )
    return gone


def _is_stored(user: str, places: Sequence[Store]) -> bool:
    traces = Traces([user])
    return any(traces.in_bytes(place.read(md5)) for place in places for md5 in place.objects())


def _recorded(connection: Any, call: Call, places: Sequence[Store], say: Say) -> Outcome:
    with connection, connection.cursor() as cursor:
        records = erasure_records(cursor)
    if call.id in records:
        return Outcome(_number(records[call.id]))
    known = merged(tuple(read_erasure(text.encode(), "history.erasures") for text in records.values()))
    try:
        plan = _plan(connection, call, places, known)
    except StreamFlowError:
        _journal().unlink()  # nothing was changed, and the same call would fail again
        raise
    if not plan.contents and not _is_in_database(connection, call.users):
        return Outcome(
            last_record()[0]
        )  # nothing is known of them any more; what is left over is looked for all the same
    number, previous = last_record()
    record = Erasure(
        number=number + 1,
        previous_sha256=previous,
        at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        reason=call.reason,
        users=len(call.users),
        contents=plan.contents,
        snapshots=plan.snapshots,
    )
    with connection, connection.cursor() as cursor:
        rows = erase_rows(cursor, call.users, merged((*known.records, record)), call.id, record.text())
        rows += forget_users(cursor, call.users)
    say(f"Postgres: {rows} rows of {len(call.users)} users removed, {len(plan.contents)} recorded contents rewritten")
    return Outcome(record.number, rows)


def _is_in_database(connection: Any, users: Sequence[str]) -> bool:
    with connection, connection.cursor() as cursor:
        return bool(present(cursor, users)) or len(forgotten(cursor, users)) < len(users)


def _plan(connection: Any, call: Call, places: Sequence[Store], known: Erasures) -> Plan:
    users = set(call.users)
    planner = Planner(places, users, known)
    for content in recorded_contents(connection, call.users):
        if users & set(content.rows[ENTITY_KEY].to_pylist()):
            planner.add(content.table.name, content.month, content.rows, content.sha256)
    planner.look_into_stores()
    return planner.plan


def _write_known(connection: Any) -> Erasures:
    with connection, connection.cursor() as cursor:
        texts = erasure_records(cursor).values()
    write_records({_number(text): text for text in texts})
    return erasures()


def _number(record: str) -> int:
    return read_erasure(record.encode(), "history.erasures").number


def _remove_objects(places: Sequence[Store], call: Call) -> int:
    traces, removed = Traces(call.users), set()
    for place in places:
        for md5 in place.objects():
            if traces.in_bytes(place.read(md5)):
                place.remove(md5)
                removed.add(md5)
    return len(removed)


def _elsewhere() -> Iterator[str]:
    if os.environ.get(TRACKING_VARIABLE):
        yield (
            f"the files of MLflow's server ({TRACKING_VARIABLE}) were not searched; versions from before golden rows were"
            " nobody's have rows of users in golden.json"
        )


def _traces(call: Call, places: Sequence[Store]) -> Iterator[Path | str]:
    roots = [Path(), state_dir()] if state_dir().parent != Path().resolve() else [Path()]
    tracked = set(tree("HEAD"))
    for path in files_with_traces(call.users, roots, [_journal(), Path(os.path.relpath(_journal()))]):
        if path.as_posix() not in tracked:
            yield path
    traces = Traces(call.users)
    for place in places[1:]:
        yield from (f"object {md5} of {place.name}" for md5 in place.objects() if traces.in_bytes(place.read(md5)))


def _journal() -> Path:
    return state_dir() / "erasing.json"
