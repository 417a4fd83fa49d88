"""What doctor says: a condition holds, or it does not and says what is wrong."""

from streamflow.provenance.problems import Check, Problem, problems_of

FIRST, SECOND = Problem("numpy is missing", "`make environment`"), Problem("git is dirty", "commit")


def test_a_condition_holds_without_problems():
    assert Check("git", "clean").to_json() == {"name": "git", "state": "ok", "note": "clean", "problems": []}


def test_a_condition_that_does_not_hold_names_problem_and_way_out():
    assert str(FIRST) == "numpy is missing; `make environment`"
    check = Check("packages", "118 looked at", (FIRST, SECOND))
    assert not check.ok
    assert check.to_json() == {
        "name": "packages",
        "state": "failed",
        "note": "118 looked at",
        "problems": [
            {"what": "numpy is missing", "fix": "`make environment`"},
            {"what": "git is dirty", "fix": "commit"},
        ],
    }


def test_problems_in_short_are_those_of_conditions_that_do_not_hold():
    checks = [Check("git", ""), Check("packages", "", (FIRST, SECOND, SECOND)), Check("disk", "", (SECOND,))]
    assert problems_of(checks) == [
        "packages: numpy is missing; `make environment` (and 2 more)",
        "disk: git is dirty; commit",
    ]
