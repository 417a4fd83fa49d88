"""The truth table of a run: new, known, superseded, contradicted or reopened, row by row."""

from dataclasses import dataclass, field, replace

import pytest

from streamflow.promotion.standing import Registered, Standing, decision_stands, standing

NEW, KNOWN, REOPENED = Standing.NEW, Standing.KNOWN, Standing.REOPENED
SUPERSEDED, CONTRADICTED = Standing.SUPERSEDED, Standing.CONTRADICTED


@dataclass
class Run:
    """A run in a clean tree whose registered version is whole; `asked` says which costly facts were looked at."""

    model_sha256: str = "m"
    derivation: str = "d"
    policy: str = "auto"
    production: str | None = "1"
    committed: bool = True
    locked: bool = True
    gates_open: bool = True
    whole: bool = True
    asked: list[str] = field(default_factory=list)

    @property
    def is_committed(self):
        return self._look("is_committed", self.committed)

    @property
    def as_locked(self):
        return self._look("as_locked", self.locked)

    @property
    def gates_pass(self):
        return self._look("gates_pass", self.gates_open)

    @property
    def registered_files_are_intact(self):
        return self._look("registered_files_are_intact", self.whole)

    def _look(self, name, value):
        self.asked.append(name)
        return value


REGISTERED = Registered("m", "promoted: better", is_committed=True, as_locked=True, derivation="d")


def test_inputs_that_nobody_registered_are_new_and_nothing_is_looked_at():
    run = Run()
    assert standing(None, run) is NEW
    assert run.asked == []


@pytest.mark.parametrize(
    ("known_as_locked", "run_as_locked", "expected"),
    [(True, True, CONTRADICTED), (True, False, CONTRADICTED), (False, False, CONTRADICTED), (False, True, SUPERSEDED)],
)
def test_another_model_of_the_same_inputs_supersedes_only_what_other_packages_made(
    known_as_locked, run_as_locked, expected
):
    known = replace(REGISTERED, model_sha256="other", as_locked=known_as_locked)
    assert standing(known, Run(locked=run_as_locked)) is expected
    assert standing(known, Run(locked=run_as_locked, whole=False)) is expected, "damaged files are no excuse"


@pytest.mark.parametrize(
    ("known_is_committed", "run_is_committed", "derivation", "expected"),
    [
        (False, True, "another", SUPERSEDED),
        (False, True, "d", KNOWN),
        (False, False, "another", KNOWN),
        (True, True, "another", KNOWN),
        (True, False, "another", KNOWN),
    ],
)
def test_the_same_model_supersedes_only_what_no_commit_derives(
    known_is_committed, run_is_committed, derivation, expected
):
    known = replace(REGISTERED, is_committed=known_is_committed, derivation=derivation)
    assert standing(known, Run(committed=run_is_committed)) is expected


def test_a_version_whose_files_are_damaged_is_registered_again():
    assert standing(REGISTERED, Run(whole=False)) is NEW
    superseded = replace(REGISTERED, is_committed=False, derivation="another")
    assert standing(superseded, Run(whole=False)) is SUPERSEDED


POLICY = "promotion.policy is "
COMPARED = "roc_auc 0.79 against the champion's 0.80"


@pytest.mark.parametrize(
    ("decision", "run", "stands"),
    [
        (None, Run(), False),
        (f"{POLICY}never", Run(policy="never"), True),
        (f"{POLICY}never", Run(policy="auto"), False),
        (f"{POLICY}manual, `streamflow promote vN` decides; x", Run(policy="manual", production=None), True),
        (f"{POLICY}manual, `streamflow promote vN` decides; x", Run(policy="never"), False),
        ("gate clean git tree: params.yaml changed", Run(gates_open=False), True),
        ("gate clean git tree: params.yaml changed", Run(gates_open=True), False),
        (COMPARED, Run(production="1"), True),
        (COMPARED, Run(production=None), False),
        ("promoted: there was no Production version", Run(production="2", policy="never"), True),
    ],
)
def test_a_decision_stands_until_the_policy_the_gate_or_production_is_another(decision, run, stands):
    assert decision_stands(decision, run) is stands
    assert standing(replace(REGISTERED, decision=decision), run) is (KNOWN if stands else REOPENED)


def test_costly_facts_are_asked_only_where_the_table_needs_them():
    run = Run()
    assert standing(REGISTERED, run) is KNOWN
    assert run.asked == ["registered_files_are_intact"]
    run = Run()
    assert standing(replace(REGISTERED, model_sha256="other"), run) is CONTRADICTED
    assert run.asked == []
