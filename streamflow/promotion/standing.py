"""Whether a run's model is registered: the truth table over the registered version of the same inputs and the run."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streamflow.promotion.decisions import GATE, POLICY


class Standing(Enum):
    """What to do with the model of a run."""

    NEW = "no usable version of these inputs is registered: register it"
    KNOWN = "it is registered and the decision on it is valid: change nothing"
    REOPENED = "it is registered, and Production must be decided again"
    SUPERSEDED = (
        "the registered version was made from uncommitted files or other packages: register it as another version"
    )
    CONTRADICTED = "the same inputs gave another model before: refuse"


@dataclass(frozen=True)
class Registered:
    """The newest registered version of the same inputs.

    `decision` is None if there is none yet. `is_committed` is False if its run used files that are not in its commit,
    `as_locked` if it had other packages than requirements.lock; `derivation` is the digest of its part of dvc.lock.
    """

    model_sha256: str
    decision: str | None
    is_committed: bool
    as_locked: bool
    derivation: str


class Run(Protocol):
    """The facts about a run; the slow ones are computed only where the table needs them."""

    model_sha256: str
    derivation: str
    policy: str
    production: str | None

    @property
    def is_committed(self) -> bool:
        """Whether every file that the run used and made is in HEAD."""

    @property
    def as_locked(self) -> bool:
        """Whether the packages are those of requirements.lock."""

    @property
    def gates_pass(self) -> bool:
        """Whether the gates on git, packages and data pass."""

    @property
    def registered_files_are_intact(self) -> bool:
        """Whether the files of the registered version exist and have the registered digests."""


def standing(known: Registered | None, run: Run) -> Standing:
    """The standing of a run; `known` is None if no version was made from the same inputs."""
    if known is None:
        return Standing.NEW
    if known.model_sha256 != run.model_sha256:
        return Standing.SUPERSEDED if not known.as_locked and run.as_locked else Standing.CONTRADICTED
    if not known.is_committed and run.is_committed and known.derivation != run.derivation:
        return Standing.SUPERSEDED
    if not run.registered_files_are_intact:
        return Standing.NEW
    return Standing.KNOWN if decision_stands(known.decision, run) else Standing.REOPENED


def decision_stands(decision: str | None, run: Run) -> bool:
    """Whether a decision is still valid: the policy is the same, and the gate that failed still fails.

    A comparison is not repeated as long as there is a Production version.
    """
    if decision is None:
        return False
    if decision.startswith(POLICY):
        return decision.startswith(f"{POLICY}{run.policy}")
    if decision.startswith(GATE):
        return not run.gates_pass
    return run.production is not None
