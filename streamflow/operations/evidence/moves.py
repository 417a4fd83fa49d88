"""The moves of Production in an archive: a chain by its digests, what each rests on, and whether the model is Production."""

import json

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.operations.evidence.layout import ENVELOPES
from streamflow.operations.evidence.subject import Subject, lines_of, moves_about
from streamflow.trust.chain import chain_of


def production(subject: Subject) -> tuple[str, str]:
    """Signers, and what the moves say about the model in words. Raises ModelError if the chain does not hold."""
    chain = chain_of(subject.moves, [], subject.trusted)
    if chain.problems:
        raise ModelError(chain.problems[0])
    if chain.head is None:
        return "nobody", "no model was made Production yet"
    here = _payload_digests(lines_of(subject.files, ENVELOPES))
    ours = moves_about(subject.claim, chain)
    for each in ours:
        if lacking := [digest for digest in each.move.evidence if digest not in here]:
            raise ModelError(
                f"move {each.move.number} by {each.signed.signer} rests on statement {lacking[0][:12]}, which"
                f" {ENVELOPES} lacks"
            )
    head = chain.head.move
    if chain.head in ours:
        found = f"it is Production: version {head.to_version} of {MODEL_NAME} since move {head.number}, the last"
    else:
        was = f"it was by move {ours[-1].move.number}" if ours else "it never was"
        found = f"it is not Production, {was}; the last move, {head.number}, is to version {head.to_version}"
    return ", ".join(dict.fromkeys(each.signed.signer for each in chain.moves)), found


def _payload_digests(envelopes: list[str]) -> set[str]:
    """Digests of all statements, whoever signed them: a move names what it rests on in this way."""
    found = set()
    for line in envelopes:
        try:
            found.add(bytes_sha256(Envelope.from_dict(json.loads(line)).payload))
        except (Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found
