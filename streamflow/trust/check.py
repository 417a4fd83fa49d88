"""A model's files against the keys of this clone, git's notes and its commit: the check before a version is used."""

import os
from collections.abc import Callable, Iterable, Mapping

from streamflow.core.errors import ConfigError, shown
from streamflow.trust.acceptance import Evidence, Rebuilt, accepted, read_evidence, rebuilt
from streamflow.trust.chain import Chain
from streamflow.trust.claims import ModelClaim
from streamflow.trust.keys import trusted_keys
from streamflow.trust.store import notes_of, receipts_at

VARIABLE = "STREAMFLOW_TRUST"
ENFORCE, WARN = "enforce", "warn"


def accept(where: str, ref: str, files: Mapping[str, str], commit: str, envelopes: Iterable[str] = ()) -> ModelClaim:
    """The claim on which a model is used.

    `where` names it in messages, `ref` in commands; `files` are name to SHA-256 of its bytes; `envelopes` came with the
    model, those of the notes of `commit` are read too.
    Raises ModelError with the reason if no claim holds.
    """
    return accepted(where, ref, files, evidence_on(commit, envelopes), receipts_at)


def rebuilt_by(claim: ModelClaim, envelopes: Iterable[str] = ()) -> Rebuilt:
    """Who derived a model again, by the notes on its commit and envelopes from elsewhere."""
    return rebuilt(claim, evidence_on(claim.commit, envelopes), receipts_at)


def evidence_on(commit: str, envelopes: Iterable[str] = ()) -> Evidence:
    """The claims on a commit by trusted keys, and in envelopes from elsewhere."""
    return read_evidence([*notes_of(commit), *envelopes], trusted_keys())


def only_warns(moves: Callable[[], Chain]) -> bool:
    """Whether a version without an accepted claim is used all the same, with a warning: STREAMFLOW_TRUST=warn.

    It holds for a registry from before signatures, until there is a signed move of Production, or what should be one.
    Raises ConfigError.
    """
    mode = os.environ.get(VARIABLE) or ENFORCE
    if mode not in (ENFORCE, WARN):
        raise ConfigError(f"{VARIABLE}={shown(mode)} is neither {ENFORCE} nor {WARN}; `unset {VARIABLE}`")
    return mode == WARN and moves() == Chain()
