"""Stage `register`: reads all of the above, writes an MLflow run and a model version; no DVC output.

Converges: inputs and bytes that are registered already change nothing, the same inputs with other bytes are an error. A new
version becomes Production if the promotion policy says so.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from streamflow.adapters.environment import environment_differences, machine
from streamflow.adapters.files import PARAMS, read_params, state_dir, write_json
from streamflow.adapters.postgres import database
from streamflow.adapters.registry import DECISION_TAG, LoadedModel, Registry, open_registry
from streamflow.adapters.registry_rows import settled_version
from streamflow.adapters.repository import LOCK, changed_files, commit, lock_content, tag_of_commit
from streamflow.cli.reporting import one_line_errors, say
from streamflow.config import Config
from streamflow.decisions import Decision, decide
from streamflow.digest import file_sha256
from streamflow.errors import ModelError, RegistryError, StreamFlowError
from streamflow.provenance import Provenance, input_fingerprint, locked_output
from streamflow.schema import LABEL, MODEL_NAME

REQUIREMENTS = Path("requirements.lock")
DATASET = Path("data/dataset")
MODEL = Path("artifacts/model")
EVALUATION = Path("artifacts/evaluation")


def run(config: Config, url: str) -> None:
    """Register the trained model unless it is, and let the policy decide about Production."""
    fingerprint = input_fingerprint(lock_content(), file_sha256(REQUIREMENTS))
    model_sha256 = file_sha256(MODEL / "model.onnx")
    settled = settled_version(url, fingerprint, model_sha256)
    if settled and not reopened(config, settled.decision):
        say_registered(settled.version, model_sha256)
        conclude(settled.version, settled.production, decided_before(settled.version, settled.production))
        return

    registry = open_registry(url)
    known, champion = registry.version_with_fingerprint(fingerprint), registry.production()
    if known is not None and known.tags["streamflow.model_sha256"] != model_sha256:
        raise RegistryError(
            f"{MODEL_NAME} version {known.version} came from the same inputs with model"
            f" {known.tags['streamflow.model_sha256'][:12]}, this run made {model_sha256[:12]}: training is not"
            " deterministic here; nothing was registered"
        )
    if known is not None and is_whole(registry, known):
        version, former = str(known.version), known.tags.get(DECISION_TAG)
        say_registered(version, model_sha256)
    else:
        version, former = register(config, registry, gather(config, fingerprint, model_sha256)), None
    production = str(champion.version) if champion else "none"
    if former is not None and champion is not None and not reopened(config, former):
        decided = decided_before(version, production)
    else:
        decided = decision(config, registry, champion)
        if decided.promote:
            registry.promote(version)
        registry.record_decision(version, f"{config.promotion.policy}: {decided.reason}")
    conclude(version, version if decided.promote else production, decided)


def reopened(config: Config, former: str) -> bool:
    """Whether a decision is to be made again: it was made under the policy `never`, which no longer holds."""
    return former.startswith("never") and config.promotion.policy != "never"


def register(config: Config, registry: Registry, facts: Provenance) -> str:
    """Make the run and the model version; returns the version."""
    version = registry.register(
        model_folder=MODEL,
        artifacts=run_artifacts(facts),
        params=_flat(OmegaConf.to_container(OmegaConf.load(PARAMS))),
        metrics={**_json(EVALUATION / "metrics.json"), **training_seconds(facts.model_sha256)},
        tags=facts.tags(),
        run_tags={"mlflow.source.git.commit": facts.git_commit, "mlflow.source.type": "PROJECT"},
        description=f"{config.model_name} on {config.features.service} as of {config.as_of}",
    )
    say(f"register: {MODEL_NAME} version {version.version} made, model {facts.model_sha256[:12]}")
    return str(version.version)


def gather(config: Config, fingerprint: str, model_sha256: str) -> Provenance:
    """The facts behind the model that the pipeline has just made."""
    lock = lock_content()
    months = sorted({config.as_of, config.label_as_of})
    return Provenance(
        git_commit=commit(),
        git_tag=tag_of_commit(),
        git_dirty=bool(changed_files()),
        dvc_lock_sha256=file_sha256(LOCK),
        requirements_lock_sha256=file_sha256(REQUIREMENTS),
        environment_matches_lock=not environment_differences(REQUIREMENTS.read_text(encoding="utf-8")),
        params_sha256=file_sha256(PARAMS),
        dataset_md5=locked_output(lock, "dataset", str(DATASET)),
        snapshots={month: locked_output(lock, f"snapshot@{month}", f"data/snapshots/{month}") for month in months},
        model_sha256=model_sha256,
        input_fingerprint=fingerprint,
        as_of=config.as_of,
        known_at=config.known_at,
        label_horizon_months=config.label_horizon_months,
        feature_service=config.features.service,
        seed=config.seed,
        threads=config.compute.threads,
        **machine(),
    )


def is_whole(registry: Registry, version: Any) -> bool:
    """Whether a version's files are there and the registered ones."""
    try:
        registry.load(version)
    except StreamFlowError as error:
        say(f"register: version {version.version} is not usable ({error}); registering the model again")
        return False
    return True


def run_artifacts(facts: Provenance) -> dict[str, str]:
    """Local path to folder of the run: what was read, what came out, and provenance.json."""
    record = state_dir() / "provenance" / "provenance.json"
    write_json(record, asdict(facts))
    return {
        str(record): "",
        str(LOCK): "",
        str(PARAMS): "",
        str(REQUIREMENTS): "",
        str(MODEL / "feature_schema.json"): "",
        str(DATASET / "dataset.json"): "",
        str(EVALUATION / "report.html"): "",
        str(EVALUATION / "plots"): "plots",
    }


def decision(config: Config, registry: Registry, champion: Any) -> Decision:
    """What the policy says about this version, the champion scored on the same test users.

    A champion whose files are gone or damaged can't serve, so it defends nothing; one whose features this dataset lacks
    can't be compared, so it stays.
    """
    policy, metric = config.promotion.policy, config.promotion.metric
    challenger = _json(EVALUATION / "metrics.json")[metric]
    if champion is None or policy == "never":
        return decide(policy, metric, challenger, None, config.promotion.tolerance)
    try:
        loaded = registry.load(champion)
    except (ModelError, RegistryError) as error:
        return Decision(True, f"the champion, version {champion.version}, is not usable: {error}")
    lacking = lacking_features(loaded)
    if lacking:
        return Decision(
            False,
            f"the champion, version {champion.version}, can't be compared: this dataset has no {', '.join(lacking)};"
            " promote by hand in `streamflow ui` if you mean it",
        )
    return decide(policy, metric, challenger, champion_score(loaded, metric), config.promotion.tolerance)


def lacking_features(champion: LoadedModel) -> list[str]:
    """Features of the champion that this run's dataset does not have."""
    import pyarrow.parquet as pq

    names = pq.read_schema(DATASET / "dataset.parquet").names
    return [column.name for column in champion.model.features if column.name not in names]


def champion_score(champion: LoadedModel, metric: str) -> float:
    """A metric of the champion on this dataset's test users."""
    # Imports that take time and that most runs of this stage don't need.
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from streamflow.dataset import SPLIT
    from streamflow.metrics import classification_metrics
    from streamflow.splits import TEST

    dataset = pq.read_table(DATASET / "dataset.parquet")
    test = dataset.filter(pc.equal(dataset[SPLIT], TEST))
    scores = champion.model.score({c.name: test[c.name].to_pylist() for c in champion.model.features})
    return classification_metrics(test[LABEL].to_pylist(), *scores)[metric]


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


def training_seconds(model_sha256: str) -> dict[str, float]:
    """How long this model took to train, if it was trained here."""
    path = state_dir() / "timings" / "train.json"
    timing = _json(path) if path.exists() else {}
    return {"training_seconds": timing["seconds"]} if timing.get("model_sha256") == model_sha256 else {}


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def main() -> None:
    with one_line_errors("register"), database() as url:
        run(read_params("register"), url)


if __name__ == "__main__":
    main()
