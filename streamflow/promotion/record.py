"""The record of a decision, kept with the version: a tag of it, metrics and decision.json of its run."""

import json
from typing import TYPE_CHECKING

from streamflow.provenance.record import PREFIX
from streamflow.registry.decision import COMPARISON_TAG, DecisionRecord

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from streamflow.registry.registry import Registry

DECISION_FILE = "decision.json"


def record_comparison(registry: "Registry", version: "ModelVersion", record: DecisionRecord) -> None:
    """Record everything that a decision was based on: a tag of the version, metrics and decision.json of its run.

    A record that exists is not written again.
    """
    text = json.dumps(record.to_json(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    if version.tags.get(COMPARISON_TAG) == text:
        return
    registry.log_metrics(version, record.run_metrics())
    registry.attach(
        version, DECISION_FILE, json.dumps(record.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )
    # Last: it says that the others are written.
    registry.set_tags(str(version.version), {COMPARISON_TAG.removeprefix(PREFIX): text})
