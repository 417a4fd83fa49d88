"""What a run is to the registry: the truth table over what the registry holds of the same inputs and what the run made."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from streamflow.promotion.decisions import GATE, POLICY


class Standing(Enum):
    """What to do with the model of a run."""

    NEW = "nothing usable of these inputs is registered: register it"
    KNOWN = "it is registered and the decision on it stands: change nothing"
    REOPENED = "it is registered, and Production must be decided on again"
    SUPERSEDED = "what is registered was made otherwise than the commit and the lock say: register it beside that"
    CONTRADICTED = "the same inputs gave another model before: refuse"


@dataclass(frozen=True)
class Registered:
    """What the registry holds of the newest version made of the same inputs.

    `decision` is None if nobody has decided on it. `is_committed` is False if its run used files that its commit does not
    hold, `as_locked` if it had other packages than requirements.lock; `derivation` is the digest of its part of dvc.lock.
    """

    model_sha256: str
    decision: str | None
    is_committed: bool
    as_locked: bool
    derivation: str


class Run(Protocol):
    """What a run knows of itself; the costly facts are asked only where the table needs them."""

    model_sha256: str
    derivation: str
    policy: str
    production: str | None

    @property
    def is_committed(self) -> bool:
        """Whether HEAD holds every file that the run used and made."""

    @property
    def as_locked(self) -> bool:
        """Whether the packages are those of requirements.lock."""

    @property
    def gates_are_open(self) -> bool:
        """Whether nothing in git, packages or data speaks against a promotion."""

    @property
    def registered_files_are_whole(self) -> bool:
        """Whether the files of the registered version are there and the registered ones."""


def standing(known: Registered | None, run: Run) -> Standing:
    """What the run is to the registry; `known` is None if no version was made of the same inputs."""
    if known is None:
        return Standing.NEW
    if known.model_sha256 != run.model_sha256:
        return Standing.SUPERSEDED if not known.as_locked and run.as_locked else Standing.CONTRADICTED
    if not known.is_committed and run.is_committed and known.derivation != run.derivation:
        return Standing.SUPERSEDED
    if not run.registered_files_are_whole:
        return Standing.NEW
    return Standing.KNOWN if decision_stands(known.decision, run) else Standing.REOPENED


def decision_stands(decision: str | None, run: Run) -> bool:
    """Whether a decision is not made again: neither the policy nor the gate that it names is another now.

    A comparison is not repeated as long as there is a Production version.
    """
    if decision is None:
        return False
    if decision.startswith(POLICY):
        return decision.startswith(f"{POLICY}{run.policy}")
    if decision.startswith(GATE):
        return not run.gates_are_open
    return run.production is not None
