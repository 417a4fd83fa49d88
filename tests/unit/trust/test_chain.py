"""The chain of moves: in git, continued by the ledger; what was taken away, put in or changed is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signers import key, trusting

from streamflow.core.digest import bytes_sha256
from streamflow.trust.chain import PROMOTION, Move, chain_of, move_statement, read_move
from streamflow.trust.envelope import canonical, open_envelope, sign_statement

ANNA, EVE = key("anna"), key("eve")
TRUSTED = trusting(ANNA)


def moved(number, to, previous="", by=ANNA, gates=None):
    move = Move(
        number, previous, "promote", None if number == 1 else "1", to, f"{int(to):064x}", "c" * 40, "anna", "why",
        gates or {}, ("e" * 64,), "2024-01-31T00:00:00Z",
    )  # fmt: skip
    statement = move_statement(move, "f" * 64)
    return sign_statement(statement, by.signer), bytes_sha256(canonical(statement))


def chain(*versions, by=ANNA, after=""):
    lines, previous, first = [], after, 1
    for number, version in enumerate(versions, first):
        line, previous = moved(number, version, previous, by)
        lines.append(line)
    return lines


LINES = chain("1", "2", "3", "4")


def versions(found):
    return [each.move.to_version for each in found.moves]


def test_the_chain_in_git_is_read_in_order_and_its_head_is_the_last_move():
    found = chain_of(LINES, LINES, TRUSTED)
    assert (versions(found), found.problems) == (["1", "2", "3", "4"], ())
    head = found.head.move
    assert (head.number, head.to_version, head.model_sha256, head.commit) == (4, "4", f"{4:064x}", "c" * 40)
    assert (head.who, head.why, head.at, tuple(head.evidence)) == ("anna", "why", "2024-01-31T00:00:00Z", ("e" * 64,))
    assert chain_of([], [], TRUSTED).head is None


def test_moves_that_only_the_ledger_has_continue_the_chain():
    assert versions(chain_of(LINES[:2], LINES, TRUSTED)) == ["1", "2", "3", "4"]
    assert versions(chain_of([], LINES, TRUSTED)) == ["1", "2", "3", "4"]


def test_a_row_that_was_taken_from_the_ledger_is_named_and_git_still_has_the_move():
    found = chain_of(LINES, LINES[:-1], TRUSTED)
    assert (versions(found), found.problems) == (
        ["1", "2", "3", "4"],
        ("the ledger lacks move 4 of Production, which git has",),
    )


def test_a_row_that_nobody_signed_or_a_stranger_did_is_named_and_not_followed():
    for forged, reason in (("", "nobody signed it"), (chain("9", by=EVE)[0], "is unknown")):
        found = chain_of(LINES, [*LINES, forged], TRUSTED)
        assert versions(found) == ["1", "2", "3", "4"]
        assert "the last row of the ledger does not count" in found.problems[0]
        assert reason in found.problems[0]


def test_a_later_signed_move_settles_a_row_that_does_not_count():
    assert chain_of(LINES[:3], [*LINES[:3], "", LINES[3]], TRUSTED).problems == ()


def test_rows_from_before_signatures_are_no_problem():
    assert chain_of([], ["", ""], TRUSTED).problems == ()
    assert chain_of(LINES, ["", "", *LINES], TRUSTED).problems == ()


def test_another_move_of_the_same_number_does_not_replace_the_one_in_git():
    other = chain("1", "2", "7")
    found = chain_of(LINES[:3], [*LINES[:2], other[2]], TRUSTED)
    assert versions(found) == ["1", "2", "3"]
    assert "move 3 of the ledger is to version 7, git says to version 3" in found.problems


def test_a_move_that_names_another_one_before_it_ends_the_chain():
    line, _ = moved(3, "9", previous="0" * 64)
    found = chain_of([*LINES[:2], line], [], TRUSTED)
    assert versions(found) == ["1", "2"]
    assert "move 3 of Production follows 000000000000, the move before is" in found.problems[0]


def test_a_tag_without_a_move_is_named():
    found = chain_of(["production/1", *LINES], [], TRUSTED)
    assert versions(found) == ["1", "2", "3", "4"]
    assert found.problems == ("a move does not count: production/1 holds no statement",)


@settings(max_examples=60)
@given(st.lists(st.sampled_from([*LINES, "", chain("9", by=EVE)[0], *chain("5", "6")]), max_size=8))
def test_whatever_the_owner_of_the_database_writes_the_head_is_what_git_says(rows):
    assert chain_of(LINES, rows, TRUSTED).head == chain_of(LINES, [], TRUSTED).head


@settings(max_examples=60)
@given(st.permutations(LINES), st.sets(st.integers(0, 3)))
def test_without_git_a_ledger_gives_a_true_beginning_of_the_chain_and_nothing_else(order, dropped):
    kept = [line for place, line in enumerate(order) if place not in dropped]
    found = versions(chain_of([], kept, TRUSTED))
    assert found == ["1", "2", "3", "4"][: len(found)]


def test_a_move_with_overridden_gates_did_not_pass_its_verification():
    from google.protobuf.json_format import ParseDict
    from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary

    for gates, result in (({}, "PASSED"), ({"champion": "worse"}, "FAILED")):
        line, _ = moved(1, "1", gates=gates)
        signed = open_envelope(line, TRUSTED)
        content = signed.content()
        assert content["predicateType"] == PROMOTION
        assert read_move(signed).gates == gates
        # The library's message has one text where the specification has the list verifiedLevels.
        known = {name: value for name, value in content["predicate"].items() if name != "verifiedLevels"}
        parsed = ParseDict(known, VerificationSummary(), ignore_unknown_fields=True)
        assert (parsed.verification_result, parsed.resource_uri) == (result, "streamflow_churn@Production")


def test_a_version_that_was_moved_to_must_still_be_that_model():
    found = chain_of(LINES, [], TRUSTED)
    assert found.other_model("2", f"{2:064x}") == found.other_model("9", "0" * 64) == ""
    assert found.other_model("2", "f" * 64) == (
        "version 2 holds model ffffffffffff, the signed move of Production is to model 000000000000: the registry was"
        " changed; `streamflow history`"
    )
    twice = chain_of(chain("1", "2", "1"), [], TRUSTED)
    assert twice.other_model("1", f"{1:064x}") == ""


def test_a_statement_that_is_no_move_is_refused():
    content = open_envelope(LINES[0], TRUSTED).content()
    for change, reason in (({"predicateType": "x"}, "not a promotion"), ({"predicate": {"a": 1}}, "lacks")):
        signed = open_envelope(sign_statement({**content, **change}, ANNA.signer), TRUSTED)
        with pytest.raises(Exception, match=reason):
            read_move(signed)
