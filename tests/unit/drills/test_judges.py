"""The judges of the drills: each can say no."""

import pytest

import drills  # noqa: F401  # puts tests/support on the path
from drills.bit_flips import named
from drills.concurrency import SAID, faults
from drills.determinism import LOCALE, SURROUNDINGS, has_locale, locale_made
from drills.kills import held_of, verdict

WORKED, REFUSED = (0, ""), (2, f"streamflow: {SAID}; wait for it\n")
LATE = "SHA-256 of data/x.parquet differs from the receipt of stage snapshot"


def test_a_flip_is_named_if_every_line_names_its_file():
    assert named("snapshot", "data/x.parquet", [LATE])
    assert not named("snapshot", "data/x.parquet", [])
    assert not named("snapshot", "data/x.parquet", ["SHA-256 of data/y.parquet differs"])
    assert not named("snapshot", "data/x.parquet", [LATE, "SHA-256 of data/y.parquet differs"])


def test_a_line_about_the_lock_is_no_name_of_another_file():
    about_lock = "MD5 of data/y is 0, stage dataset wrote 1 (dvc.lock)"
    assert not named("snapshot", "data/x.parquet", [LATE, about_lock])
    assert not named("snapshot", "data/x.parquet", ["dvc.lock differs from HEAD"])


def test_a_damaged_lock_is_named_as_itself_and_makes_outputs_look_wrong():
    about_lock = "MD5 of data/y is 0, stage dataset wrote 1 (dvc.lock)"
    assert named("dvc.lock", "dvc.lock", ["dvc.lock differs from HEAD", about_lock])
    assert not named("dvc.lock", "dvc.lock", [about_lock])
    assert not named("dvc.lock", "dvc.lock", ["dvc.lock differs from HEAD", LATE])


@pytest.mark.parametrize(
    ("killed", "found", "held"), [(True, [], True), (False, [], None), (True, ["x"], False), (False, ["x"], False)]
)
def test_a_run_that_ended_by_itself_is_no_kill(killed, found, held):
    assert verdict(killed, found) is held


@pytest.mark.parametrize(
    ("ends", "held"),
    [
        ([True] * 4, 4),
        ([None, True, None, True, True, True], 4),
        ([True, False, True, True], 3),
        ([None] * 12, 0),
        ([None] * 9 + [True] * 3, 3),
    ],
)
def test_ends_that_were_none_are_tried_again_and_never_counted(ends, held):
    waiting = list(ends)
    assert held_of(4, lambda: waiting.pop(0)) == held
    assert waiting == []


@pytest.mark.parametrize(
    ("answers", "locks", "found"),
    [
        ([WORKED, REFUSED, REFUSED], ("a", "b", "b"), []),
        ([WORKED, WORKED, REFUSED], ("a", "b", "b"), ["2 worked, not 1"]),
        ([REFUSED, REFUSED, REFUSED], ("a", "b", "b"), ["0 worked, not 1"]),
        ([WORKED, (2, "x\ny\n"), (1, SAID)], ("a", "b", "b"), ["2 neither worked nor said so in one line"]),
        ([WORKED, REFUSED], ("a", "a", "a"), ["the change of code changed nothing"]),
        ([WORKED, REFUSED], ("a", "c", "b"), ["dvc.lock has other bytes than after a run alone"]),
    ],
)
def test_calls_at_once_are_judged_by_who_worked_and_by_the_lock_of_a_run_alone(answers, locks, found):
    assert faults(answers, *locks) == found


def test_the_matrix_asks_for_a_locale_that_processes_get(tmp_path):
    asked = {variables["LC_ALL"] for variables in SURROUNDINGS.values() if "LC_ALL" in variables}
    assert asked == {LOCALE, "POSIX"}
    assert not has_locale("xx_XX.UTF-8")
    try:
        made = locale_made(LOCALE, tmp_path / "locales")
    except SystemExit as refused:
        pytest.skip(str(refused))
    assert has_locale(LOCALE, **made)


def test_a_locale_that_cannot_be_made_is_an_end_that_says_so(tmp_path):
    with pytest.raises(
        SystemExit, match=r"^determinism: locale xx_XX.UTF-8 is not there \(.*\); apt-get install locales"
    ):
        locale_made("xx_XX.UTF-8", tmp_path / "locales")
