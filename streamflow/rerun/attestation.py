"""A rerun's verdict as an in-toto statement: what was derived, from what, by whom, with which outcome.

Layout: in-toto Statement v1 (https://in-toto.io/Statement/v1); the predicate is this project's own.
"""

from collections.abc import Mapping
from typing import Any

from streamflow.rerun.verdict import Rederivation
from streamflow.pipeline.layout import ONNX
from streamflow.provenance.result import Result

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://streamflow.example/attestations/rederivation/v1"


def statement(found: Rederivation, result: Result, builder: Mapping[str, str], at: str) -> dict[str, Any]:
    """The attestation; `at` is the end of the rerun (UTC), `builder` who ran it where."""
    subjects = [{"name": str(ONNX), "digest": {"sha256": found.model_actual}}] if found.model_actual else []
    subjects += [
        {"name": out.path, "digest": {"md5": out.actual.removesuffix(".dir")}} for out in found.outs if out.actual
    ]
    return {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "builder": dict(builder),
            "materials": [
                {"uri": "git:commit", "digest": {"gitCommit": found.commit}},
                {"uri": "dvc.lock#derivation", "digest": {"sha256": result.dvc_lock_sha256}},
                {"uri": "requirements.lock", "digest": {"sha256": result.requirements_lock_sha256}},
                *(
                    {"uri": f"data/snapshots/{month}", "digest": {"md5": md5.removesuffix(".dir")}}
                    for month, md5 in result.snapshots.items()
                ),
            ],
            "verdict": found.verdict,
            "firstDivergence": found.first_divergence.to_json() if found.first_divergence else None,
            "modelSha256": {"expected": found.model_expected, "actual": found.model_actual},
            "outs": [
                {"path": out.path, "stage": out.stage, "expected": out.expected, "actual": out.actual}
                for out in found.outs
            ],
            "environment": dict(found.environment),
            "finishedOn": at,
            "seconds": round(found.seconds, 1),
        },
    }
