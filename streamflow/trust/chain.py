"""The moves of Production as a chain: each is signed and names the one before by its digest.

Predicate: SLSA verification summary v1, whose inputs are the statements that the gates looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamflow.core.errors import ModelError, shown
from streamflow.core.schema import MODEL_NAME
from streamflow.trust.claims import STATEMENT
from streamflow.trust.envelope import Signed, open_envelope
from streamflow.trust.trusted import TrustedKeys

PROMOTION = "https://slsa.dev/verification_summary/v1"
PROMOTER = "https://streamflow.example/promote/v1"
RESOURCE = f"{MODEL_NAME}@Production"


@dataclass(frozen=True)
class Move:
    """A move of Production. `gates` are failed gates that a person overrode, `evidence` digests of the statements used.

    `number` counts from 1; `previous` is the digest of the move before, empty for the first; `at` is UTC, ISO text.
    """

    number: int
    previous: str
    action: str
    from_version: str | None
    to_version: str
    model_sha256: str
    commit: str
    who: str
    why: str
    gates: Mapping[str, str]
    evidence: Sequence[str]
    at: str


@dataclass(frozen=True)
class SignedMove:
    """A move whose signature was verified."""

    move: Move
    signed: Signed


@dataclass(frozen=True)
class Chain:
    """The moves that hold, oldest first, and what is wrong with the rest, in words."""

    moves: tuple[SignedMove, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def head(self) -> SignedMove | None:
        """The last move; None if Production was never moved."""
        return self.moves[-1] if self.moves else None

    def other_model(self, version: str, model_sha256: str) -> str:
        """What to say if the last move to a version was to another model than it holds now; empty if not, or if none was."""
        for each in reversed(self.moves):
            if each.move.to_version == version:
                expected = each.move.model_sha256
                if expected == model_sha256:
                    return ""
                return (
                    f"version {version} holds model {model_sha256[:12]}, the signed move of Production is to model"
                    f" {expected[:12]}: the registry was changed; `streamflow history`"
                )
        return ""


def move_statement(move: Move, policy_sha256: str) -> dict[str, Any]:
    """The statement of a move; `policy_sha256` is the digest of the promotion rule."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": "artifacts/model/model.onnx", "digest": {"sha256": move.model_sha256}}],
        "predicateType": PROMOTION,
        "predicate": {
            "verifier": {"id": PROMOTER},
            "timeVerified": move.at,
            "resourceUri": RESOURCE,
            "policy": {"uri": "params.yaml#promotion", "digest": {"sha256": policy_sha256}},
            "inputAttestations": [{"digest": {"sha256": digest}} for digest in move.evidence],
            "verificationResult": "FAILED" if move.gates else "PASSED",
            "verifiedLevels": ["SLSA_BUILD_LEVEL_1"],
            "slsaVersion": "1.0",
            "streamflow_move": {
                "number": move.number,
                "previous": {"sha256": move.previous} if move.previous else None,
                "action": move.action,
                "from_version": move.from_version,
                "to_version": move.to_version,
                "commit": {"gitCommit": move.commit} if move.commit else None,
                "who": move.who,
                "why": move.why,
                "failed_gates_overridden": dict(move.gates),
            },
        },
    }


def read_move(signed: Signed) -> Move:
    """The move that a statement is about. Raises ModelError if it is another statement or malformed."""
    content = signed.content()
    try:
        if content["predicateType"] != PROMOTION:
            raise ModelError(f"it is a statement of type {shown(content['predicateType'])}, not a promotion")
        predicate = content["predicate"]
        found = predicate["streamflow_move"]
        return Move(
            number=int(found["number"]),
            previous=found["previous"]["sha256"] if found["previous"] else "",
            action=found["action"],
            from_version=found["from_version"],
            to_version=found["to_version"],
            model_sha256=content["subject"][0]["digest"]["sha256"],
            commit=found["commit"]["gitCommit"] if found["commit"] else "",
            who=found["who"],
            why=found["why"],
            gates=dict(found["failed_gates_overridden"]),
            evidence=tuple(each["digest"]["sha256"] for each in predicate["inputAttestations"]),
            at=predicate["timeVerified"],
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(f"a promotion signed by {signed.signer} lacks {error}") from error


def chain_of(git: Sequence[str], ledger: Sequence[str], trusted: TrustedKeys) -> Chain:
    """The chain in git, continued by the moves that only the ledger of the database has.

    Both are envelopes in order; a row of the ledger that has none is empty, a tag of git gives its name. Git is believed
    first. A row that does not count is a problem only after the last one that does: a later signed move settles it.
    """
    problems: list[str] = []
    by_number: dict[int, SignedMove] = {}
    for line in git:
        opened = _opened(line, trusted)
        if isinstance(opened, str):
            problems.append(f"a move does not count: {opened}")
        else:
            by_number.setdefault(opened.move.number, opened)
    strange: list[str] = []
    for line in ledger:
        opened = _opened(line, trusted)
        if isinstance(opened, str):
            strange.append(f"the last row of the ledger does not count: {opened}")
            continue
        known = by_number.setdefault(opened.move.number, opened)
        if known.signed.sha256 == opened.signed.sha256:
            strange = []
        else:
            strange.append(
                f"move {opened.move.number} of the ledger is to version {opened.move.to_version}, git says to version"
                f" {known.move.to_version}"
            )
    kept: list[SignedMove] = []
    for number in sorted(by_number):
        each = by_number[number]
        before = kept[-1].signed.sha256 if kept else ""
        if number != len(kept) + 1:
            problems.append(f"move {len(kept) + 1} of Production is missing, though there is move {number}")
            break
        if each.move.previous != before:
            problems.append(
                f"move {number} of Production follows {each.move.previous[:12] or 'none'}, the move before is"
                f" {before[:12] or 'none'}"
            )
            break
        kept.append(each)
    in_ledger = {line for line in ledger if line}
    if in_ledger and (lacking := [each for each in kept if each.signed.line not in in_ledger]):
        problems.append(f"the ledger lacks move {lacking[0].move.number} of Production, which git has")
    if kept or any(line for line in ledger):
        problems += strange[-1:]
    return Chain(tuple(kept), tuple(problems))


def _opened(line: str, trusted: TrustedKeys) -> SignedMove | str:
    """The move of an envelope, or why it does not count."""
    if not line:
        return "nobody signed it"
    if not line.startswith("{"):
        return f"{line[:80]} holds no statement"
    try:
        signed = open_envelope(line, trusted)
        return SignedMove(read_move(signed), signed)
    except ModelError as error:
        return str(error)
