"""Stage `register`: reads all of the above, writes an MLflow run and a model version; no DVC output.

Converges: inputs and bytes that are registered already change nothing, the same inputs with other bytes are an error. A new
version becomes Production if the promotion policy says so.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from streamflow.adapters.audit import audited
from streamflow.adapters.environment import environment_differences
from streamflow.adapters.evidence import (
    CROSS_VALIDATION,
    DATASET,
    EVALUATION,
    MODEL,
    RECORD,
    REQUIREMENTS,
    changes_of_run,
    gather,
)
from streamflow.adapters.files import PARAMS, read_params, state_dir, write_json
from streamflow.adapters.gates import gates, quick_gates
from streamflow.adapters.ledger import move
from streamflow.adapters.pipeline_files import lock_text, locked_stages
from streamflow.adapters.postgres import database
from streamflow.adapters.published_report import publish_report
from streamflow.adapters.registry import DECISION_TAG, LoggedDataset, Registry, open_registry
from streamflow.adapters.registry_rows import settled_version
from streamflow.adapters.repository import commit, tags_of
from streamflow.cli.reporting import one_line_errors, say
from streamflow.comparison import flat
from streamflow.config import Config
from streamflow.decisions import GATE, POLICY, Decision, concluded
from streamflow.digest import file_sha256
from streamflow.errors import RegistryError, StreamFlowError
from streamflow.pipeline_lock import derivation_sha256
from streamflow.provenance import PREFIX, Provenance, input_fingerprint
from streamflow.publication import PublishedDecision
from streamflow.schema import MODEL_NAME
from streamflow.splits import TEST, TRAIN, VALIDATION

_MLFLOW_TYPES = {
    "string": "string",
    "bool": "boolean",
    "int64": "long",
    "double": "double",
    "date32[day]": "datetime",
    "timestamp[us, tz=UTC]": "datetime",
}


def run(config: Config, url: str) -> None:
    """Register the trained model unless it is, and let policy and gates decide about Production."""
    fingerprint = input_fingerprint(locked_stages(), file_sha256(REQUIREMENTS))
    model_sha256 = file_sha256(MODEL / "model.onnx")
    settled = settled_version(url, fingerprint, model_sha256)
    if settled and not reopened(config, settled.decision) and not anchorable(config, settled.changes_sha256):
        say_registered(settled.version, model_sha256)
        conclude(settled.version, settled.production, decided_before(settled.version, settled.production))
        return

    registry = open_registry(url)
    known, champion = registry.version_with_fingerprint(fingerprint), registry.production()
    if known is not None and is_superseded(config, known, model_sha256):
        known = None
    if known is not None and known.tags[f"{PREFIX}model_sha256"] != model_sha256:
        raise RegistryError(contradiction(known, model_sha256))
    if known is not None and is_whole(registry, known):
        version, former = str(known.version), known.tags.get(DECISION_TAG)
        say_registered(version, model_sha256)
        if anchorable(config, known.tags.get(f"{PREFIX}changes_sha256", "")):
            anchor(registry, version)
    else:
        version, former = register(config, registry, fingerprint, model_sha256), None
    production = str(champion.version) if champion else "none"
    settles = former is not None and (champion is not None or former.startswith((GATE, POLICY)))
    if former is not None and settles and not reopened(config, former):
        decided = decided_before(version, production)
    elif version == production:
        # Promoted and killed before it was written down, or promoted by other means.
        decided = decided_before(version, production)
        registry.record_decision(version, "promoted: it is Production")
    else:
        decided = decide_now(config, url, registry, version, champion, model_sha256)
    conclude(version, version if decided.promote else production, decided)


def decide_now(
    config: Config, url: str, registry: Registry, version: str, champion: Any, model_sha256: str
) -> Decision:
    """Compare with the champion, ask the gates, keep all of it with the version; move Production if that is the outcome."""
    # Imports that take time and that most runs of this stage don't need; so below.
    from streamflow.adapters.champion import decision

    record = concluded(decision(config, registry, champion), gates(config, url, registry, version, model_sha256))
    if record.comparison:
        say(f"register: version {version} less version {record.champion_version}: {record.comparison.in_short}")
    registry.record_comparison(registry.version(version), record)
    if record.promote:
        move(url, registry, "promote", version, f"by policy: {record.reason}")
    # Before the decision is recorded: a version that is decided on is not looked at again.
    keep_report(config, registry, version, PublishedDecision.from_json(record.to_json()))
    registry.record_decision(version, f"promoted: {record.reason}" if record.promote else record.reason)
    return Decision(record.promote, record.reason)


def reopened(config: Config, former: str) -> bool:
    """Whether a decision is to be made again: it was the policy's, which is another now, or a gate's that is open now."""
    if former.startswith(POLICY):
        return not former.startswith(f"{POLICY}{config.promotion.policy}")
    if not former.startswith(GATE) or not all(gate.passed for gate in quick_gates(config)):
        return False
    from streamflow.adapters.data_gates import data_gates

    return all(gate.passed for gate in data_gates(config))


def is_superseded(config: Config, known: Any, model_sha256: str) -> bool:
    """Whether a version of these inputs gives way to a new one.

    It was trained with other packages than the lock's, and now the environment is the lock's; or it explored, and the commit
    that is clean now has another evaluation or other snapshots than it had.
    """
    tags, name = known.tags, f"version {known.version}"
    if tags[f"{PREFIX}model_sha256"] != model_sha256:
        explored = tags.get(f"{PREFIX}environment_matches_lock") == "false"
        if explored and not environment_differences(REQUIREMENTS.read_text(encoding="utf-8")):
            say(f"register: {name} of the same inputs was made with {tags.get(f'{PREFIX}environment_differences')}")
            return True
        return False
    is_clean = not changes_of_run(list(config.months))[1]
    return (
        bool(tags.get(f"{PREFIX}changes_sha256")) and is_clean and tags[f"{PREFIX}dvc_lock_sha256"] != derived(config)
    )


def derived(config: Config) -> str:
    """Digest of the derivation in hand."""
    return derivation_sha256(lock_text(), config.months)


def anchorable(config: Config, changes_sha256: str) -> bool:
    """Whether a version that was made of uncommitted files can now name a commit that holds them all."""
    return bool(changes_sha256) and not changes_of_run(list(config.months))[1]


def anchor(registry: Registry, version: str) -> None:
    """Let a version name the commit that holds all it was made of; its run keeps the record of how it was made."""
    head = commit()
    registry.anchor(version, head, next(iter(tags_of(head)), ""))
    say(f"register: version {version} is now that of commit {head[:12]}, which holds all it was made of")


def register(config: Config, registry: Registry, fingerprint: str, model_sha256: str) -> str:
    """Make the run and the model version; returns the version."""
    facts, files = gather(config, fingerprint, model_sha256)
    record_sha256 = file_sha256(next(Path(path) for path in files if path.endswith(RECORD)))
    version = registry.register(
        model_folder=MODEL,
        artifacts=files,
        params=flat(OmegaConf.to_container(OmegaConf.load(PARAMS))),
        metrics={**_json(EVALUATION / "metrics.json"), **cross_validated(), **training_seconds(model_sha256)},
        tags={**facts.tags(), f"{PREFIX}provenance_sha256": record_sha256},
        run_tags={"mlflow.source.git.commit": facts.git_commit, "mlflow.source.type": "PROJECT"},
        description=f"{config.model_name} on {config.features.service} as of {config.as_of}",
        datasets=datasets(config, facts),
    )
    shutil.rmtree(next(Path(path).parent for path in files if path.endswith(RECORD)))
    say(f"register: {MODEL_NAME} version {version.version} made, model {model_sha256[:12]}")
    return str(version.version)


def datasets(config: Config, facts: Provenance) -> list[LoggedDataset]:
    """The parts of the training set that the model was fitted on and is judged by, as inputs of the run."""
    from streamflow.dataset import dataset_schema

    parts = _json(DATASET / "dataset.json")["parts"]
    columns = tuple((field.name, _MLFLOW_TYPES[str(field.type)]) for field in dataset_schema(config.features.service))
    source = {
        "mlflow.source.name": str(DATASET),
        "mlflow.source.git.commit": facts.git_commit,
        "dvc.md5": facts.dataset_md5,
    }
    return [
        LoggedDataset(
            name=f"{config.features.service} as of {config.as_of}, {part}",
            digest=facts.dataset_md5,
            source={**source, "split": part},
            columns=columns,
            profile=parts[part],
            context=context,
        )
        for part, context in ((TRAIN, "training"), (VALIDATION, "training"), (TEST, "evaluation"))
    ]


def contradiction(known: Any, model_sha256: str) -> str:
    """What to say when the same inputs gave another model: the cause is outside of what DVC hashes."""
    differences = environment_differences(REQUIREMENTS.read_text(encoding="utf-8"))
    cause = (
        f"the environment is not that of requirements.lock ({', '.join(differences[:3])}); `make environment` mends it"
        if differences
        else "training is not deterministic here; compare this machine with the tags of that version"
    )
    return (
        f"{MODEL_NAME} version {known.version} came from the same inputs with model"
        f" {known.tags[f'{PREFIX}model_sha256'][:12]}, this run made {model_sha256[:12]}: {cause}; nothing was registered"
    )


def is_whole(registry: Registry, version: Any) -> bool:
    """Whether a version's files are there and the registered ones."""
    try:
        registry.load(version)
    except StreamFlowError as error:
        say(f"register: version {version.version} is not usable ({error}); registering the model again")
        return False
    return True


def decided_before(version: str, production: str) -> Decision:
    """A version that was registered before has been decided on; a rerun does not change Production."""
    return Decision(False, "it is Production" if version == production else "registered before; Production stays")


def say_registered(version: str, model_sha256: str) -> None:
    """Say that there is nothing to register."""
    say(f"register: {MODEL_NAME} version {version} holds model {model_sha256[:12]} already")


def conclude(version: str, production: str, decided: Decision) -> None:
    """Say a decision, and leave it for the summary of `streamflow repro`."""
    record = {"version": version, "production": production, "reason": decided.reason}
    write_json(state_dir() / "registered.json", record)
    outcome = "becomes Production" if decided.promote else "is not promoted"
    if version == production and not decided.promote:
        say(f"register: version {version} stays Production")
    else:
        say(f"register: version {version} {outcome}: {decided.reason}")


def cross_validated() -> dict[str, float]:
    """The scores of cross-validation, named apart from those of the test users: cv_roc_auc, cv_roc_auc_fold_sd, …"""
    return {f"cv_{name}": value for name, value in _json(CROSS_VALIDATION / "metrics.json").items()}


def training_seconds(model_sha256: str) -> dict[str, float]:
    """How long this model took to train, if it was trained here."""
    path = state_dir() / "timings" / "train.json"
    timing = _json(path) if path.exists() else {}
    return {"training_seconds": timing["seconds"]} if timing.get("model_sha256") == model_sha256 else {}


def keep_report(config: Config, registry: Registry, version: str, decided: PublishedDecision) -> None:
    """Publish the report of a version; one that can't be made is said, because the decision stands without it."""
    published_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    try:
        publish_report(registry, version, decided, list(config.months), published_at)
    except StreamFlowError as error:
        say(f"register: the report of version {version} is not published: {error}")


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    with one_line_errors("register"), audited("register"), database() as url:
        run(read_params("register"), url)


if __name__ == "__main__":
    main()
