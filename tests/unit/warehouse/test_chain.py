"""The chain of recorded versions: computed as documented, and any change of a version but a newer one is a difference."""

import subprocess

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streamflow.core.digest import bytes_sha256
from streamflow.warehouse.chain import (
    ADDED,
    CHANGED,
    LOST,
    MISSING,
    Fault,
    chain,
    chained,
    contradicts_itself,
    differences,
    is_version,
    versions_in,
)

A, B, C, X = (bytes_sha256(name.encode()) for name in "abcx")
# Few digests, so that versions come back, as those of a correction that was taken back.
versions = st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=6)
edits = st.sampled_from(["change", "remove", "swap", "insert"])


def edited(recorded, edit, one, other):
    """The versions after one edit; `one` and `other` choose where."""
    found = list(recorded)
    i, j = one % len(found), other % len(found)
    if edit == "change":
        found[i] = X
    elif edit == "remove":
        del found[i]
    elif edit == "swap":
        found[i], found[j] = found[j], found[i]
    else:
        found.insert(i, X)
    return found


def received(recorded):
    return {"source": "csv", "tables": {"users": {"content_sha256": recorded[-1], **chained(recorded)}}}


@given(versions, edits, st.integers(0, 5), st.integers(0, 5), st.lists(st.sampled_from([A, B, C]), max_size=2))
def test_any_single_change_removal_swap_or_insertion_is_a_difference(recorded, edit, one, other, newer):
    found = edited(recorded, edit, one, other) + newer
    assume(found[: len(recorded)] != recorded)  # versions of the same content were swapped, or one of them removed
    faults = differences(recorded, found)
    assert faults
    assert all(1 <= number <= len(recorded) == fault.of for fault in faults for number in fault.versions)
    assert chain(found[: len(recorded)]) != chain(recorded)
    assert contradicts_itself(
        {"tables": {"users": {**received(recorded)["tables"]["users"], "versions": found}}}, "users"
    )


@given(versions, st.lists(st.sampled_from([A, B, C]), max_size=3))
def test_versions_that_were_added_to_the_end_are_no_difference(recorded, newer):
    assert differences(recorded, recorded + newer) == ()
    assert not contradicts_itself(received(recorded), "users")


@given(versions, st.lists(st.sampled_from([A, B, C]), max_size=3))
def test_each_version_of_an_honest_history_can_be_frozen(recorded, newer):
    for number in range(1, len(recorded + newer) + 1):
        assert is_version(recorded, recorded + newer, number)


def test_the_chain_is_what_a_shell_computes():
    script = (
        'chain=; for version; do chain=$(printf %s "$chain$version" | sha256sum | cut -c-64); done; printf %s "$chain"'
    )
    done = subprocess.run(["sh", "-c", script, "sh", A, B, C], capture_output=True, text=True, check=True)
    assert done.stdout == chain([A, B, C])
    assert chain([]) == ""
    assert chain([A]) == bytes_sha256(A.encode())


@pytest.mark.parametrize(
    ("recorded", "found", "faults"),
    [
        ([A, B], [X, B], (Fault(CHANGED, (1,), 2),)),
        ([A, B, C], [X, B, X], (Fault(CHANGED, (1, 3), 3),)),
        ([A, B, C], [B, A, C], (Fault(CHANGED, (1, 2), 3),)),
        ([A, B], [B], (Fault(LOST, (1,), 2),)),
        ([A, B, A], [A], (Fault(LOST, (1, 2), 3),)),
        ([A, B, C], [A, C], (Fault(MISSING, (2,), 3),)),
        ([A, B, C], [A], (Fault(MISSING, (2, 3), 3),)),
        ([A, B], [], (Fault(MISSING, (1, 2), 2),)),
        ([A, B], [A, X, B], (Fault(ADDED, (2,), 2),)),
        ([A, B, C], [A, X], (Fault(CHANGED, (2,), 3), Fault(MISSING, (3,), 3))),
        ([A], [X], (Fault(CHANGED, (1,), 1),)),
    ],
)
def test_what_a_difference_is_called(recorded, found, faults):
    assert differences(recorded, found) == faults


def test_a_fault_without_the_version_that_was_named_already():
    assert Fault(CHANGED, (1, 2), 2).without(2) == Fault(CHANGED, (1,), 2)
    assert Fault(CHANGED, (2,), 2).without(2) is None
    assert Fault(LOST, (1,), 2).without(1) == Fault(LOST, (1,), 2)
    assert Fault(CHANGED, (1, 3), 3).named == "versions 1, 3 of 3"
    assert Fault(CHANGED, (1,), 2).named == "version 1 of 2"


def test_a_receipt_of_another_source_or_without_versions_says_nothing():
    receipt = received([A, B])
    assert versions_in(receipt, "users", "csv") == (A, B)
    assert versions_in(receipt, "users", "synthetic users=1 seed=1") is None
    assert versions_in(receipt, "labels", "csv") is None
    assert versions_in({"tables": {"users": {"content_sha256": A, "corrections": 0}}}, "users", "csv") is None
    assert not contradicts_itself({"tables": {"users": {"content_sha256": A, "corrections": 0}}}, "users")


@pytest.mark.parametrize(
    ("recorded", "number", "allowed"),
    [
        ([A, B], 1, True),
        ([A], 1, True),  # a correction that is not recorded here
        ([X, B], 1, False),
        ([X, B], 2, True),
        ([A, B, C], 3, True),
        ([X, B, C], 3, False),  # newer than the receipt, after a version that is not the receipt's
        ([B], 1, True),  # filled again
        ([B, C], 1, True),  # filled again and corrected
        ([B, B], 1, False),  # the first version was made the last
        ([X], 1, False),
    ],
)
def test_which_versions_may_be_frozen_under_a_receipt_of_two(recorded, number, allowed):
    assert is_version([A, B], recorded, number) is allowed
    assert is_version(None, recorded, number)
