"""The bill of materials as CycloneDX 1.6 has it: the model with its card, every package of the lock, every data set.

https://cyclonedx.org/docs/1.6/json/. Nothing in it differs from one export to the next: its serial number is derived from
the model and the commit, its time is that of the signed provenance. The SHA-256 of a package's files stand where CycloneDX
has them for files that may be downloaded: below externalReferences of type distribution.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.operations.evidence.layout import BILL, METRICS_FILE, REQUIREMENTS
from streamflow.operations.evidence.subject import Subject, content_of, parse_json
from streamflow.operations.evidence.words import considerations

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_INDEX = "https://pypi.org/simple"
_DIR_HASH = "streamflow:dirHash"
_DIR_HASH_OF = (
    "SHA-256 of `find . -type f | cut -c3- | LC_ALL=C sort | xargs sha256sum` in the folder (in-toto's dirHash)"
)


def bill_of(subject: Subject) -> dict[str, Any]:
    """The bill of materials of an archive, from its other files."""
    claim, materials = subject.claim, subject.materials
    data = [_data_set(path, digest, subject.receipts) for path, digest in sorted(materials.folders.items())]
    digests = {name: bytes_sha256(content) for name, content in sorted(subject.model.items())}
    name = f"{digests['model.onnx']}@{claim.commit}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}",
        "version": 1,
        "metadata": {
            "timestamp": materials.finished,
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "model",
                "name": MODEL_NAME,
                "version": digests["model.onnx"][:12],
                "description": f"churn as of {claim.as_of}, feature service {claim.feature_service}",
                "hashes": _sha256(digests["model.onnx"]),
                "components": [_file("model", path, digest) for path, digest in digests.items()],
                "properties": [{"name": "streamflow:gitCommit", "value": claim.commit}],
                "modelCard": _card(subject, [each["bom-ref"] for each in data]),
            },
        },
        "components": [*data, *_packages(content_of(subject.files, REQUIREMENTS).decode(errors="replace"))],
        "dependencies": [{"ref": "model", "dependsOn": [each["bom-ref"] for each in data]}],
    }


def check_bill(subject: Subject) -> int:
    """Compare every digest of the bill with the files and the statements; returns how many packages it has.

    Raises ModelError naming the first that differs.
    """
    found, expected = _digests(parse_json(subject.files, BILL)), _digests(bill_of(subject))
    for ref in sorted({*found, *expected}):
        if found.get(ref) != expected.get(ref):
            what = (
                "lacks it or its digest" if not found.get(ref) else "has another digest of it, or is alone to have it"
            )
            raise ModelError(f"{ref[:60]}: {BILL} {what}")
    return sum(ref.startswith("pkg:") for ref in expected)


def _digests(bill: Mapping[str, Any]) -> dict[str, list[str]]:
    """Reference of each component, those within others too, to its digests."""
    found: dict[str, list[str]] = {}
    try:
        waiting = [bill["metadata"]["component"], *bill["components"]]
        while waiting:
            each = waiting.pop()
            waiting += each.get("components", ())
            hashes = [*each.get("hashes", ()), *(h for r in each.get("externalReferences", ()) for h in r["hashes"])]
            digests = [str(h["content"]) for h in hashes]
            digests += [str(p["value"]) for p in each.get("properties", ()) if p["name"] == _DIR_HASH]
            found[str(each["bom-ref"])] = sorted(digests)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{BILL} lacks {error}") from error
    return found


def _card(subject: Subject, data: list[str]) -> dict[str, Any]:
    params = subject.materials.params
    metrics = parse_json(subject.files, METRICS_FILE)
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "binary classification",
            "architectureFamily": str(params["model_name"]),
            "modelArchitecture": str(params.get("model", {}).get("_target_", params["model_name"])),
            "datasets": [{"ref": each} for each in data],
            "inputs": [{"format": f"features of {subject.claim.feature_service}, see feature_schema.json"}],
            "outputs": [{"format": "churn_probability (float32) and churn (0 or 1) of each user"}],
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [
                {"type": name, "value": f"{value:g}", "slice": "test users"} for name, value in sorted(metrics.items())
                if isinstance(value, int | float)
            ]
        },
        "considerations": considerations(str(params.get("source", {}).get("name", ""))),
    }  # fmt: skip


def _data_set(path: str, digest: str, receipts: Mapping[str, str]) -> dict[str, Any]:
    inside = {name: each for name, each in sorted(receipts.items()) if name.startswith(f"{path}/")}
    return {
        "type": "data",
        "bom-ref": path,
        "name": path,
        "version": digest[:12],
        "data": [{"type": "dataset", "name": path}],
        "properties": [
            {"name": _DIR_HASH, "value": digest},
            {"name": "streamflow:dirHashOf", "value": _DIR_HASH_OF},
        ],
        "components": [_file(path, name.removeprefix(f"{path}/"), each) for name, each in inside.items()],
    }


def _file(folder: str, name: str, digest: str) -> dict[str, Any]:
    return {"type": "file", "bom-ref": f"{folder}/{name}", "name": name, "hashes": _sha256(digest)}


def _packages(lock: str) -> list[dict[str, Any]]:
    found = []
    for entry in lock.replace("\\\n", " ").splitlines():
        if pin := _PIN.match(entry):
            name, version = re.sub(r"[-_.]+", "-", pin[1]).lower(), pin[2]
            purl = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
            files = [each for digest in _HASH.findall(entry) for each in _sha256(digest)]
            reference = {"type": "distribution", "url": f"{_INDEX}/{name}/", "hashes": files}
            found.append(
                {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
                | ({"externalReferences": [reference]} if files else {})
            )
    return found


def _sha256(digest: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": digest}]
