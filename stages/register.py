"""Stage `register`: reads all of the above, writes an MLflow run and a model version; no DVC output.

Idempotent: inputs and bytes that are registered already change nothing, the same inputs with other bytes are an error. A new
version becomes Production if the promotion policy says so.
"""

import json
import shutil
import sys
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from streamflow.core.config import Config
from streamflow.core.errors import RegistryError, StreamFlowError
from streamflow.core.schema import MODEL_NAME
from streamflow.pipeline.dvc_files import lock_text, locked_stages
from streamflow.pipeline.file_digest import file_sha256
from streamflow.pipeline.layout import (
    CROSS_VALIDATION_METRICS,
    DATASET_COUNTS,
    METRICS,
    MODEL,
    ONNX,
    PARAMS,
    REQUIREMENTS,
)
from streamflow.pipeline.lock import derivation_sha256
from streamflow.pipeline.project import state_dir, write_json
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage
from streamflow.postgres.server import database
from streamflow.promotion.decisions import Decision, record_after_gates
from streamflow.promotion.gates import gates, quick_gates
from streamflow.promotion.ledger import champion_of, move, protect_ledger, read_ledger
from streamflow.promotion.published_report import publish_report
from streamflow.promotion.record import record_comparison
from streamflow.promotion.standing import Registered, Standing, decision_stands, standing
from streamflow.promotion.users_online import publish_users
from streamflow.provenance.comparison import flat
from streamflow.provenance.gather import RECORD, changes_of_run, gather
from streamflow.provenance.git import result_commit, tags_of
from streamflow.provenance.record import PREFIX, input_fingerprint
from streamflow.registry.decision import DECISION_TAG, DecisionRecord
from streamflow.registry.loading import prove
from streamflow.registry.registration import Registration, training_set_parts
from streamflow.registry.registry import Registry, open_registry
from streamflow.registry.settled import settled_version
from streamflow.registry.signing import sign_changes, sign_version
from streamflow.trust.installed import installed_differences


def run(config: Config, url: str) -> None:
    """Register the trained model unless it is registered, and promote it if policy and gates say so."""
    fingerprint = input_fingerprint(locked_stages(), file_sha256(REQUIREMENTS))
    made = MadeModel(config)
    settled = settled_version(url, fingerprint, made.model_sha256)
    if settled:
        made.production = settled.production
        if decision_stands(settled.decision, made) and not (settled.changes_sha256 and made.is_committed):
            say_registered(settled.version, made)
            report_decision(settled.version, settled.production, earlier_decision(settled.version, settled.production))
            return

    registry = open_registry(url)
    known, champion = registry.version_with_fingerprint(fingerprint), champion_of(registry, read_ledger(url))
    made.production, made.registered = str(champion.version) if champion else None, (registry, known)
    found = standing(registered_facts(known), made)
    if found is Standing.CONTRADICTED:
        raise RegistryError(describe_contradiction(known, made.model_sha256))
    if found in (Standing.KNOWN, Standing.REOPENED):
        version = str(known.version)
        say_registered(version, made)
        if known.tags.get(f"{PREFIX}changes_sha256") and made.is_committed:
            anchor(config, registry, version)
    else:
        if found is Standing.SUPERSEDED:
            other = known.tags.get(f"{PREFIX}environment_differences") or "uncommitted files"
            say(f"register: version {known.version} of the same inputs was made with {other}")
        version = register(config, registry, fingerprint, made.model_sha256)
    if found is Standing.KNOWN:
        decided = earlier_decision(version, made.production)
    elif version == made.production:
        # Promoted and killed before it was recorded, or promoted on MLflow's pages.
        decided = earlier_decision(version, made.production)
        registry.record_decision(version, "promoted: it is Production")
    else:
        decided = decide_now(config, url, registry, version, champion, made.model_sha256)
    report_decision(version, version if decided.promote else made.production, decided)


class MadeModel:
    """The model that the pipeline has just made, with the facts for promotion.standing."""

    registered: tuple[Registry, Any]
    """The registry and the version of the same inputs, once they are loaded."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.policy = config.promotion.policy
        self.model_sha256 = file_sha256(ONNX)
        self.derivation = derivation_sha256(lock_text(), config.months)
        self.production: str | None = None

    @cached_property
    def is_committed(self) -> bool:
        """Whether every file that the run used is in HEAD; its own results get a commit beside the branch."""
        return not changes_of_run(list(self._config.months))[0]

    @cached_property
    def as_locked(self) -> bool:
        """Whether the packages and their files are those of requirements.lock."""
        return not installed_differences()

    @cached_property
    def gates_pass(self) -> bool:
        """Whether the gates on git, packages and data pass."""
        if not all(gate.passed for gate in quick_gates(self._config)):
            return False
        # An import that takes time and that most runs of this stage don't need; so below.
        from streamflow.promotion.data_gates import data_gates

        return all(gate.passed for gate in data_gates(self._config))

    @cached_property
    def registered_files_are_intact(self) -> bool:
        """Whether the files of the registered version exist and have the registered digests."""
        registry, version = self.registered
        try:
            prove(registry.files(version))
        except StreamFlowError as error:
            say(f"register: version {version.version} is not usable ({error}); registering the model again")
            return False
        return True


def registered_facts(version: Any) -> Registered | None:
    """The facts in the tags of a version."""
    if version is None:
        return None
    tags = version.tags
    return Registered(
        model_sha256=tags[f"{PREFIX}model_sha256"],
        decision=tags.get(DECISION_TAG),
        is_committed=not tags.get(f"{PREFIX}changes_sha256"),
        as_locked=tags.get(f"{PREFIX}environment_matches_lock") != "false",
        derivation=tags.get(f"{PREFIX}dvc_lock_sha256", ""),
    )


def decide_now(
    config: Config, url: str, registry: Registry, version: str, champion: Any, model_sha256: str
) -> Decision:
    """Compare with the champion, check the gates, record all of it with the version; move Production if it is promoted."""
    from streamflow.promotion.champion import decide_promotion

    record = record_after_gates(
        decide_promotion(config, registry, champion),
        gates(config, url, registry, version, model_sha256, lambda line: say(f"register: {line}")),
    )
    if record.comparison:
        say(f"register: version {version} minus version {record.champion_version}: {record.comparison.in_short}")
    record_comparison(registry, registry.version(version), record)
    if record.promote:
        model = registry.load(registry.version(version))
        move(url, registry, "promote", model, f"by policy: {record.reason}")
        publish_users(url, model, lambda line: say(f"register: {line}"))
    # Before the decision is recorded: a decided version is not published again.
    keep_report(config, registry, version, record)
    registry.record_decision(version, f"promoted: {record.reason}" if record.promote else record.reason)
    return Decision(record.promote, record.reason)


def anchor(config: Config, registry: Registry, version: str) -> None:
    """Set the version's commit to one with all files it was made of, and sign that; its run keeps the original record."""
    _, everything = changes_of_run(list(config.months))
    made_at = result_commit([*everything.tracked, *everything.untracked])
    registry.anchor(version, made_at, next(iter(tags_of(made_at)), ""))
    sign(registry, version, made_at)
    say(f"register: version {version} now names commit {made_at[:12]}, which has all files it was made of")


def sign(registry: Registry, version: str, commit: str) -> None:
    """Sign where a version comes from; print what is missing if its run can't keep a copy."""
    if problem := sign_version(registry, registry.version(version), commit):
        say(f"register: the signed provenance of version {version} is not in the registry: {problem}")


def register(config: Config, registry: Registry, fingerprint: str, model_sha256: str) -> str:
    """Log the run and register the model; returns the version."""
    from streamflow.features.dataset import dataset_schema

    packages = installed_differences()
    facts, files = gather(config, fingerprint, model_sha256, packages)
    record_sha256 = file_sha256(next(Path(path) for path in files if path.endswith(RECORD)))
    version = registry.register(
        Registration(
            model_folder=MODEL,
            artifacts=files,
            params=flat(OmegaConf.to_container(OmegaConf.load(PARAMS))),
            metrics={**_json(METRICS), **cross_validation_scores(), **training_seconds(model_sha256)},
            tags={**facts.tags(), f"{PREFIX}provenance_sha256": record_sha256},
            run_tags={"mlflow.source.git.commit": facts.git_commit, "mlflow.source.type": "PROJECT"},
            description=f"{config.model_name} on {config.features.service} as of {config.as_of}",
            datasets=training_set_parts(
                f"{config.features.service} as of {config.as_of}",
                facts.dataset_md5,
                facts.git_commit,
                dataset_schema(config.features.service),
                _json(DATASET_COUNTS)["parts"],
            ),
        )
    )
    shutil.rmtree(next(Path(path).parent for path in files if path.endswith(RECORD)))
    say(f"register: {MODEL_NAME} version {version.version} made, model {model_sha256[:12]}")
    if facts.changes_sha256:
        sign_changes(registry, version, facts.changes_sha256)
    else:
        sign(registry, str(version.version), facts.git_commit)
    return str(version.version)


def describe_contradiction(known: Any, model_sha256: str) -> str:
    """The message if the same inputs gave another model: the cause is something that DVC does not hash."""
    differences = installed_differences()
    cause = (
        f"the packages differ from requirements.lock ({', '.join(differences[:3])}); `make install` fixes it"
        if differences
        else "training is not deterministic here; compare this machine with the tags of that version"
    )
    return (
        f"{MODEL_NAME} version {known.version} came from the same inputs with model"
        f" {known.tags[f'{PREFIX}model_sha256'][:12]}, this run made {model_sha256[:12]}: {cause}; nothing was registered"
    )


def earlier_decision(version: str, production: str | None) -> Decision:
    """The decision on a version that was registered before; a repeated run does not change Production."""
    return Decision(False, "it is Production" if version == production else "registered before; Production stays")


def say_registered(version: str, made: MadeModel) -> None:
    """Print that there is nothing to register."""
    say(f"register: {MODEL_NAME} version {version} holds model {made.model_sha256[:12]} already")


def report_decision(version: str, production: str | None, decided: Decision) -> None:
    """Print a decision, and save it for the summary of `streamflow repro`."""
    record = {"version": version, "production": production or "none", "reason": decided.reason}
    write_json(state_dir() / "registered.json", record)
    outcome = "becomes Production" if decided.promote else "is not promoted"
    if version == production and not decided.promote:
        say(f"register: version {version} stays Production")
    else:
        say(f"register: version {version} {outcome}: {decided.reason}")


def cross_validation_scores() -> dict[str, float]:
    """The scores of cross-validation, with other names than those of the test users: cv_roc_auc, cv_roc_auc_fold_sd, …"""
    return {f"cv_{name}": value for name, value in _json(CROSS_VALIDATION_METRICS).items()}


def training_seconds(model_sha256: str) -> dict[str, float]:
    """How long this model took to train, if it was trained here."""
    path = state_dir() / "timings" / "train.json"
    timing = _json(path) if path.exists() else {}
    return {"training_seconds": timing["seconds"]} if timing.get("model_sha256") == model_sha256 else {}


def keep_report(config: Config, registry: Registry, version: str, decided: DecisionRecord) -> None:
    """Publish the report of a version; print why if that fails, because the decision is valid without it."""
    published_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    try:
        publish_report(registry, version, decided, list(config.months), published_at)
    except StreamFlowError as error:
        say(f"register: the report of version {version} is not published: {error}")


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def main() -> None:
    with stage("register") as config, database() as url:
        for changed in protect_ledger(url):
            print(f"register: {changed}; put right. Run `streamflow history`", file=sys.stderr)
        run(config, url)


if __name__ == "__main__":
    main()
