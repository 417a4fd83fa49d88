"""What the signed statements about a model say, as typed values, and the statements that say it.

Statements are in-toto v1 (https://in-toto.io/Statement/v1). Predicates: SLSA provenance v1 for what was built from what,
in-toto SVR v0.1 for a rerun's verdict. Fields that begin with `streamflow_` are extensions; who does not know them may
ignore them. Digests are SHA-256; of a folder `dirHash` (see `core.digest.folder_sha256`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streamflow.core.config import identity_in
from streamflow.core.digest import folder_sha256
from streamflow.core.errors import ModelError
from streamflow.pipeline.layout import DATASET, MODEL, MODEL_FILES, SNAPSHOTS
from streamflow.provenance.record import IDENTICAL
from streamflow.provenance.result import Result
from streamflow.trust.envelope import Signed

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
VERDICT = "https://in-toto.io/attestation/svr/v0.1"
BUILD_TYPE = "https://streamflow.example/dvc-pipeline/v1"
BUILDER = "https://streamflow.example/builder/v1"
REBUILDER = "https://streamflow.example/rerun/v1"
_IDENTICAL_PROPERTY = "STREAMFLOW_RERUN_IDENTICAL"


@dataclass(frozen=True)
class ModelClaim:
    """A builder's claim: these files (name to SHA-256) were built from that commit for that feature service and source.

    `tree` is git's id of the commit's files: two commits with the same files have the same.
    """

    files: Mapping[str, str]
    commit: str
    tree: str
    feature_service: str
    source: str
    as_of: str
    requirements_sha256: str
    signed: Signed


@dataclass(frozen=True)
class VerdictClaim:
    """A rebuilder's claim: the commit was derived again, with which verdict.

    `outs` are output path to stage and SHA-256 (`dirHash` of a folder) as this rebuilder made it, in the order of the
    pipeline; `first` is the first difference in words, empty if there is none. `at` is UTC, ISO text.
    """

    model_sha256: str
    commit: str
    tree: str
    verdict: str
    outs: Mapping[str, tuple[str, str]]
    first: str
    at: str
    signed: Signed


@dataclass(frozen=True)
class RebuiltOut:
    """One output of a rerun: SHA-256 (`dirHash` of a folder) as the commit's receipts have it (empty: none), and as made."""

    path: str
    stage: str
    is_folder: bool
    expected: str
    actual: str


def provenance_statement(
    result: Result, source: Mapping[str, str], materials: Mapping[str, str], environment: Mapping[str, Any], at: str
) -> dict[str, Any]:
    """The SLSA provenance of a result that is in a commit.

    `source` is the commit as a digest set (gitCommit, gitTree), `materials` are path to SHA-256 of files of the commit,
    `environment` facts of the machine. Raises ModelError if the commit has no receipt of the model.
    """
    folders = [DATASET, *(SNAPSHOTS / month for month in sorted(result.snapshots))]
    return {
        "_type": STATEMENT,
        "subject": model_subjects(result.receipts),
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "as_of": result.params["as_of"],
                    "feature_service": result.params["features"]["service"],
                    "params": dict(result.params),
                },
                "internalParameters": dict(environment),
                "resolvedDependencies": [
                    {"name": "source", "digest": dict(source)},
                    *({"name": path, "digest": {"sha256": digest}} for path, digest in sorted(materials.items())),
                    *(
                        {"name": str(folder), "digest": {"dirHash": digest}}
                        for folder in folders
                        if (digest := received_digest(result.receipts, str(folder)))
                    ),
                ],
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "metadata": {"finishedOn": at},
                "byproducts": [
                    {"name": path, "digest": {"sha256": digest}}
                    for path, digest in sorted(result.receipts.items())
                    if path.startswith("artifacts/evaluation/") and path.count("/") == 2
                ],
            },
        },
    }


def verdict_statement(
    source: Mapping[str, str],
    subjects: Sequence[Mapping[str, Any]],
    verdict: str,
    outs: Sequence[RebuiltOut],
    first: Mapping[str, str] | None,
    environment: Mapping[str, Any],
    at: str,
) -> dict[str, Any]:
    """The verdict of a rerun on the model of a commit, as a simple verification result.

    A property is a check that passed, so only `identical` has one.
    """
    return {
        "_type": STATEMENT,
        "subject": [dict(each) for each in subjects],
        "predicateType": VERDICT,
        "predicate": {
            "verifier": {"id": REBUILDER},
            "timeCreated": at,
            "properties": [_IDENTICAL_PROPERTY] if verdict == IDENTICAL else [],
            "streamflow_rerun": {
                "commit": dict(source),
                "verdict": verdict,
                "first_divergence": dict(first) if first else None,
                "outs": [
                    {"path": out.path, "stage": out.stage, "digest": {_kind(out): out.actual}, "expected": out.expected}
                    for out in outs
                ],
                "environment": dict(environment),
            },
        },
    }


def model_claim(signed: Signed) -> ModelClaim | None:
    """The claim of a provenance; None for another statement. Raises ModelError if it is malformed."""
    content = signed.content()
    if content.get("predicateType") != PROVENANCE:
        return None
    try:
        built = content["predicate"]["buildDefinition"]
        digests = {each["name"]: each["digest"] for each in built["resolvedDependencies"]}
        return ModelClaim(
            files=_model_files(content),
            commit=digests["source"]["gitCommit"],
            tree=digests["source"]["gitTree"],
            feature_service=built["externalParameters"]["feature_service"],
            source=identity_in(built["externalParameters"]["params"].get("source") or {}),
            as_of=built["externalParameters"]["as_of"],
            requirements_sha256=digests["requirements.lock"]["sha256"],
            signed=signed,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"a provenance signed by {signed.signer} lacks {error}") from error


def verdict_claim(signed: Signed) -> VerdictClaim | None:
    """The claim of a verdict; None for another statement. Raises ModelError if it is malformed."""
    content = signed.content()
    if content.get("predicateType") != VERDICT:
        return None
    try:
        found = content["predicate"]["streamflow_rerun"]
        if (found["verdict"] == IDENTICAL) != (_IDENTICAL_PROPERTY in content["predicate"]["properties"]):
            raise KeyError("agreement of verdict and properties")
        first = found["first_divergence"]
        return VerdictClaim(
            model_sha256=_model_files(content)["model.onnx"],
            commit=found["commit"]["gitCommit"],
            tree=found["commit"]["gitTree"],
            verdict=found["verdict"],
            outs={out["path"]: (out["stage"], next(iter(out["digest"].values()))) for out in found["outs"]},
            first=f"{first['stage']}: {first['cause']}: {first['detail']}" if first else "",
            at=content["predicate"]["timeCreated"],
            signed=signed,
        )
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ModelError(f"a verdict signed by {signed.signer} lacks {error}") from error


def model_subjects(receipts: Mapping[str, str]) -> list[dict[str, Any]]:
    """The subjects of a statement about a model, from the receipts. Raises ModelError if they lack one of its files."""
    lacking = [name for name in MODEL_FILES if str(MODEL / name) not in receipts]
    if lacking:
        raise ModelError(f"no receipt names {MODEL / lacking[0]}; `streamflow repro`, then `streamflow tag NAME`")
    return [{"name": str(MODEL / name), "digest": {"sha256": receipts[str(MODEL / name)]}} for name in MODEL_FILES]


def received_digest(receipts: Mapping[str, str], path: str) -> str:
    """Digest of a file or folder (`dirHash`) as the receipts have it; empty if they don't."""
    if path in receipts:
        return receipts[path]
    inside = {name[len(path) + 1 :]: digest for name, digest in receipts.items() if name.startswith(f"{path}/")}
    return folder_sha256(inside) if inside else ""


def _model_files(content: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"].rpartition("/")[2]: each["digest"]["sha256"] for each in content["subject"]}


def _kind(out: RebuiltOut) -> str:
    return "dirHash" if out.is_folder else "sha256"
