"""Where a rollback goes, and what a version says of its last move."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamflow.promotion.entries import Entry, Ledger, rollback_target
from streamflow.registry.registry import headline, with_last_line
from streamflow.trust.chain import Chain, Move, SignedMove
from streamflow.trust.envelope import Signed


def moves(*steps):
    """Entries for steps: a number promotes that version, None rolls back as the ledger says."""
    entries, production = [], None
    for step in steps:
        target = str(step) if step is not None else rollback_target(entries, production)
        if target is None:
            continue
        action = "rollback" if step is None else "promote"
        entries.append(Entry(datetime.now(UTC), "me", action, production, target, "why"))
        production = target
    return entries, production


@pytest.mark.parametrize(
    ("steps", "target"),
    [
        ((), None),
        ((1,), None),
        ((1, 2), "1"),
        ((1, 2, 3), "2"),
        ((1, 2, 3, None), "1"),
        ((1, 2, 3, None, None), None),
        ((1, 2, None, 3), "1"),
        ((1, 2, 1), "2"),
        ((1, 2, 2), "1"),
        ((3, 1, 3, None), "3"),
        ((1, 2, 1, 3, None), "2"),
    ],
)
def test_a_rollback_goes_to_what_was_production_before(steps, target):
    assert rollback_target(*moves(*steps)) == target


def test_a_move_by_other_means_is_rolled_back_to_what_the_ledger_knew():
    entries, _ = moves(1, 2)
    assert rollback_target(entries, "7") == "2"
    entries.append(Entry(datetime.now(UTC), "me", "promote", "7", "8", "why"))
    assert rollback_target(entries, "8") == "7"


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12))
def test_as_many_rollbacks_as_promotions_of_distinct_versions_lead_through_all_of_them(versions):
    distinct = list(dict.fromkeys(versions))
    entries, production = moves(*distinct)
    seen = [production]
    while (target := rollback_target(entries, production)) is not None:
        entries.append(Entry(datetime.now(UTC), "me", "rollback", production, target, "why"))
        production = target
        seen.append(target)
    assert seen == [str(each) for each in reversed(distinct)]


def test_a_description_keeps_its_first_line_and_ends_with_the_last_move():
    at = datetime(2024, 2, 1, 13, 5, 7, tzinfo=timezone(timedelta(hours=1)))
    forced = Entry(at, "ada", "promote", None, "2", "by policy:\nbetter", {"environment": "numpy is another"})
    line = "2024-02-01 12:05:07 UTC, ada: promote none to 2: by policy: better; failed gates overridden: environment"
    assert forced.in_one_line() == line
    once = with_last_line("random_forest on churn_v1", line)
    assert once == f"random_forest on churn_v1\n\n{line}"
    assert with_last_line(once, "another line") == "random_forest on churn_v1\n\nanother line"
    assert headline(once) == "random_forest on churn_v1"
    assert headline(with_last_line(with_last_line("", "a"), "b")) == ""
    assert len(Entry(at, "ada", "rollback", "2", "1", "x" * 9000).in_one_line()) == 1000


def test_once_there_are_signed_moves_a_row_without_a_signature_is_no_place_to_go_back_to():
    unsigned = Entry(datetime(2024, 1, 1, tzinfo=UTC), "me", "promote", None, "9", "mine")
    signed = [SignedMove(move(number, to), Signed(b"", "k", "anna", "")) for number, to in ((1, "1"), (2, "2"))]
    ledger = Ledger((unsigned,), Chain(tuple(signed)))
    assert [each.to_version for each in ledger.entries] == ["9", "1", "2"]
    assert (ledger.last, rollback_target(ledger.counted, "2")) == ("2", "1")
    assert rollback_target(Ledger((unsigned,), Chain(tuple(signed[:1]))).counted, "1") is None
    assert Ledger((unsigned,), Chain()).counted == [unsigned]


def move(number, to):
    before = None if number == 1 else str(number - 1)
    return Move(number, "", "promote", before, to, "0" * 64, "c" * 40, "anna", "why", {}, (), "2024-01-02T00:00:00Z")
