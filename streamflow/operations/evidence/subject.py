"""What an archive is about: the provenance that counts, all that it signs for, and the receipts of its commit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.operations.evidence.layout import ENVELOPES, MODEL_FOLDER, MOVES, is_receipt
from streamflow.pipeline.layout import MODEL_FILES
from streamflow.trust.acceptance import Evidence, other_bytes, read_evidence
from streamflow.trust.chain import Chain, SignedMove
from streamflow.trust.claims import ModelClaim
from streamflow.trust.trusted import TrustedKeys

MOST_LINES = 2000
"""Envelopes of a file that are read: each costs a verification of its signature."""


@dataclass(frozen=True)
class Materials:
    """What a provenance signs for besides the model: path to SHA-256 of files, of folders (`dirHash`), of files made.

    `finished` is UTC, ISO text.
    """

    files: Mapping[str, str]
    folders: Mapping[str, str]
    made: Mapping[str, str]
    params: Mapping[str, Any]
    finished: str

    @property
    def all_files(self) -> dict[str, str]:
        """Path to SHA-256 of every file that is signed for."""
        return {**self.files, **self.made}


@dataclass(frozen=True)
class Subject:
    """An archive whose model files are those of a provenance that a key which counts signed."""

    files: Mapping[str, bytes]
    trusted: TrustedKeys
    evidence: Evidence
    claim: ModelClaim
    materials: Materials

    @property
    def model(self) -> dict[str, bytes]:
        """The files of the folder of the model, by name within it."""
        return model_files(self.files)

    @property
    def moves(self) -> list[str]:
        """The envelopes of the moves of Production, oldest first."""
        return lines_of(self.files, MOVES)

    @cached_property
    def receipts(self) -> dict[str, str]:
        """Path to SHA-256 of all files that the stages of the commit wrote. Raises ModelError if a receipt is damaged."""
        found: dict[str, str] = {}
        for name in filter(is_receipt, sorted(self.files)):
            listed = parse_json(self.files, name).get("files")
            if not isinstance(listed, dict):
                raise ModelError(f"{name} is no receipt of a stage")
            found |= {str(path): str(digest) for path, digest in listed.items()}
        return found


def subject_of(files: Mapping[str, bytes], trusted: TrustedKeys) -> Subject:
    """The subject of an archive: the first provenance that counts and is about its model.

    Raises ModelError with the reason if there is none.
    """
    lacking = [name for name in MODEL_FILES if name not in model_files(files)]
    if lacking:
        raise ModelError(f"{MODEL_FOLDER}{lacking[0]} is missing")
    evidence = read_evidence(lines_of(files, ENVELOPES), trusted)
    reasons = []
    for claim in evidence.claims:
        if other := other_bytes(claim, {name: bytes_sha256(content) for name, content in model_files(files).items()}):
            reasons.append(f"{MODEL_FOLDER}{other}")
        else:
            return Subject(files, trusted, evidence, claim, materials_of(claim))
    reasons += [f"an envelope does not count: {reason}" for reason in evidence.refused]
    raise ModelError((reasons or [f"{ENVELOPES} has no provenance of a model"])[0])


def materials_of(claim: ModelClaim) -> Materials:
    """What a provenance signs for. Raises ModelError if it is malformed."""
    try:
        predicate = claim.signed.content()["predicate"]
        used = [(str(each["name"]), each["digest"]) for each in predicate["buildDefinition"]["resolvedDependencies"]]
        made = predicate["runDetails"]["byproducts"]
        return Materials(
            files={name: str(digest["sha256"]) for name, digest in used if "sha256" in digest},
            folders={name: str(digest["dirHash"]) for name, digest in used if "dirHash" in digest},
            made={str(each["name"]): str(each["digest"]["sha256"]) for each in made},
            params=dict(predicate["buildDefinition"]["externalParameters"]["params"]),
            finished=str(predicate["runDetails"]["metadata"]["finishedOn"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the provenance signed by {claim.signed.signer} lacks {error}") from error


def moves_about(claim: ModelClaim, chain: Chain) -> list[SignedMove]:
    """The moves of Production to the model of a claim, whichever of its commits they name; oldest first."""
    return [each for each in chain.moves if each.move.model_sha256 == claim.files["model.onnx"]]


def model_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of the folder of the model, by name within it."""
    return {
        name.removeprefix(MODEL_FOLDER): content for name, content in files.items() if name.startswith(MODEL_FOLDER)
    }


def lines_of(files: Mapping[str, bytes], name: str) -> list[str]:
    """The lines of a file of the archive that are not empty. Raises ModelError if it is missing, no UTF-8 or too long."""
    try:
        found = [line for line in content_of(files, name).decode().splitlines() if line]
    except UnicodeDecodeError as error:
        raise ModelError(f"{name} is no text in UTF-8") from error
    if len(found) > MOST_LINES:
        raise ModelError(f"{name} has {len(found)} envelopes; at most {MOST_LINES} are read")
    return found


def parse_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """The JSON object in a file of the archive. Raises ModelError if it is missing or another thing."""
    try:
        found = json.loads(content_of(files, name))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} is no JSON") from error
    if not isinstance(found, dict):
        raise ModelError(f"{name} is no JSON object")
    return found


def content_of(files: Mapping[str, bytes], name: str) -> bytes:
    """A file of the archive. Raises ModelError if it is missing."""
    if name not in files:
        raise ModelError(f"{name} is missing")
    return files[name]
