"""MLflow: runs, model versions and the alias Production, over the same Postgres or the server MLFLOW_TRACKING_URI names.

MLflow is imported inside the functions: it takes seconds, and commands that don't need it must not pay for it.
"""

import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamflow.adapters.files import state_dir
from streamflow.adapters.postgres import ensure_schema, sqlalchemy_url
from streamflow.adapters.registry_rows import SCHEMA, TRACKING_VARIABLE
from streamflow.decisions import DecisionRecord
from streamflow.digest import bytes_sha256
from streamflow.errors import ModelError, RegistryError
from streamflow.ledger import described
from streamflow.model_card import check_golden, schema_features
from streamflow.provenance import PREFIX
from streamflow.schema import MODEL_NAME
from streamflow.scoring import ChurnModel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

PRODUCTION = "Production"
DECISION_TAG = f"{PREFIX}decision"
COMPARISON_TAG = f"{PREFIX}comparison"
DECISION_FILE = "decision.json"
EXPERIMENT = MODEL_NAME
_ROOT_VARIABLE = "_MLFLOW_SERVER_ARTIFACT_ROOT"
CARD_FILES = ("feature_schema.json", "golden.json")


@dataclass(frozen=True)
class LoadedModel:
    """A registered version whose bytes and golden rows were checked. `tags` are those of the version."""

    version: str
    run_id: str
    model: ChurnModel
    tags: Mapping[str, str]
    threshold: float

    @property
    def model_sha256(self) -> str:
        """Digest of the ONNX bytes, equal to the registered one."""
        return self.tags[f"{PREFIX}model_sha256"]


@dataclass(frozen=True)
class ModelFiles:
    """What the registry stores of a version, not yet proven."""

    version: str
    run_id: str
    tags: Mapping[str, str]
    onnx_bytes: bytes
    schema: Mapping[str, Any]
    golden: Mapping[str, Any]


@dataclass(frozen=True)
class LoggedDataset:
    """One part of a training set as MLflow shows it among the inputs of a run.

    `digest` is the MD5 that dvc.lock names (MLflow keeps 36 characters), `source` where DVC and git have it, without a path
    of this machine; `columns` are name and MLflow's type; `context` is training or evaluation.
    """

    name: str
    digest: str
    source: Mapping[str, str]
    columns: tuple[tuple[str, str], ...]
    profile: Mapping[str, int]
    context: str


class Registry:
    """The experiment and the registered model of this project."""

    def __init__(self, client: "MlflowClient", artifact_root: str | None) -> None:
        self._client = client
        self._artifact_root = artifact_root

    def version_with_fingerprint(self, fingerprint: str) -> "ModelVersion | None":
        """The newest version derived from these inputs; None if there is none."""
        with _translated():
            found = self._client.search_model_versions(
                f"name = '{MODEL_NAME}' and tags.`{PREFIX}input_fingerprint` = '{fingerprint}'"
            )
            newest = max((int(version.version) for version in found), default=None)
            # A search does not tell the aliases.
            return self._client.get_model_version(MODEL_NAME, str(newest)) if newest else None

    def production(self) -> "ModelVersion | None":
        """The version behind the alias Production; None if there is none."""
        return self.version_behind(PRODUCTION)

    def version(self, name: str) -> "ModelVersion":
        """The version that a person names: `3`, `v3` or an alias. Raises RegistryError if there is none."""
        from mlflow.exceptions import MlflowException

        number = name.removeprefix("v")
        found = None
        with _translated():
            if number.isdigit():
                with suppress(MlflowException):
                    found = self._client.get_model_version(MODEL_NAME, number)
        found = found or (None if number.isdigit() else self.version_behind(name))
        if found is None:
            raise RegistryError(f"{MODEL_NAME} has no version or alias {name}; `streamflow models` lists them")
        return found

    def version_behind(self, alias: str) -> "ModelVersion | None":
        """The version that an alias names; None if the alias or the model does not exist."""
        from mlflow.exceptions import MlflowException

        with _translated():
            try:
                return self._client.get_model_version_by_alias(MODEL_NAME, alias)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def versions(self) -> list["ModelVersion"]:
        """All versions, newest first, with their aliases."""
        with _translated():
            found = self._client.search_model_versions(f"name = '{MODEL_NAME}'")
            detailed = [self._client.get_model_version(MODEL_NAME, each.version) for each in found]
        return sorted(detailed, key=lambda version: -int(version.version))

    def run_metrics(self, version: "ModelVersion") -> dict[str, float]:
        """Metrics of the run that a version came from."""
        with _translated():
            return dict(self._client.get_run(str(version.run_id)).data.metrics)

    def load(self, version: "ModelVersion") -> LoadedModel:
        """Download a version and prove it: digest, feature schema, golden rows. Raises ModelError or RegistryError."""
        return prove(self.files(version))

    def files(self, version: "ModelVersion") -> ModelFiles:
        """Download what the registry stores of a version. Raises RegistryError."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

        where = f"{MODEL_NAME} version {version.version}"
        with tempfile.TemporaryDirectory() as scratch, _translated():
            try:
                # mlflow.artifacts does the same after importing half of MLflow.
                repository = ModelsArtifactRepository(f"models:/{MODEL_NAME}/{version.version}")
                folder = Path(repository.download_artifacts("", scratch))  # type: ignore[no-untyped-call]
                onnx_bytes = (folder / "model.onnx").read_bytes()
                schema, golden = (json.loads((folder / name).read_text(encoding="utf-8")) for name in CARD_FILES)
            except (OSError, ValueError, MlflowException) as error:
                # The folder has another name each time; the reason must not, or it is news at each look.
                reason = _first_line(error).replace(scratch, "the download")
                raise RegistryError(f"{where}: its files can't be fetched: {reason}") from error
        return ModelFiles(str(version.version), str(version.run_id), dict(version.tags), onnx_bytes, schema, golden)

    def run_file(self, version: "ModelVersion", name: str) -> bytes:
        """A file that the run of a version keeps, its SHA-256 checked against the version's record.

        Raises RegistryError if it is not there, ModelError if it is another.
        """
        record = self.record(version)
        content = self._run_file(version, name)
        if bytes_sha256(content) != record.get("artifacts", {}).get(name):
            raise ModelError(f"{name} of {MODEL_NAME} version {version.version} is not what its provenance.json names")
        return content

    def record(self, version: "ModelVersion") -> dict[str, Any]:
        """The provenance.json of a version, its SHA-256 checked against the version's tag. Raises as `run_file`."""
        content, expected = self._run_file(version, "provenance.json"), version.tags.get(f"{PREFIX}provenance_sha256")
        if expected is None:
            raise RegistryError(
                f"{MODEL_NAME} version {version.version} has no tag provenance_sha256: made by other code"
            )
        if bytes_sha256(content) != expected:
            raise ModelError(f"provenance.json of {MODEL_NAME} version {version.version} is not what its tag names")
        return dict(json.loads(content))

    def run_files(self, version: "ModelVersion") -> dict[str, bytes | None]:
        """Every file that a version's record names, as it is stored now; None if it can't be fetched."""
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

        stored: dict[str, bytes | None] = {}
        with tempfile.TemporaryDirectory() as scratch, _translated():
            for name in self.record(version)["artifacts"]:
                with suppress(RegistryError):
                    stored[name] = None
                    if name.startswith("model/"):
                        repository = ModelsArtifactRepository(f"models:/{MODEL_NAME}/{version.version}")
                        inner = name.removeprefix("model/")
                        path = repository.download_artifacts(inner, scratch)  # type: ignore[no-untyped-call]
                        stored[name] = Path(path).read_bytes()
                    else:
                        stored[name] = self._run_file(version, name)
        return stored

    def attach(self, version: "ModelVersion", name: str, content: str) -> None:
        """Keep a text with the run of a version."""
        with _translated():
            self._client.log_text(str(version.run_id), content, name)

    def attached(self, version: "ModelVersion", folder: str) -> list[str]:
        """Names of the files that a run keeps in a folder, sorted."""
        with _translated():
            return sorted(each.path for each in self._client.list_artifacts(str(version.run_id), folder))

    def attachment(self, version: "ModelVersion", name: str) -> bytes:
        """A file that was attached to the run of a version. Raises RegistryError if it is not there."""
        return self._run_file(version, name)

    def _run_file(self, version: "ModelVersion", name: str) -> bytes:
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as scratch, _translated():
            try:
                return Path(self._client.download_artifacts(str(version.run_id), name, scratch)).read_bytes()
            except (OSError, MlflowException) as error:
                raise RegistryError(
                    f"{name} of {MODEL_NAME} version {version.version} can't be fetched: {_first_line(error)}"
                ) from error

    def register(
        self,
        *,
        model_folder: Path,
        artifacts: Mapping[str, str],
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        run_tags: Mapping[str, str],
        description: str,
        datasets: Sequence[LoggedDataset] = (),
    ) -> "ModelVersion":
        """Log a run and register its model; returns the new version.

        `artifacts` maps local paths to folders of the run; `tags` go on run and version; `datasets` are the run's inputs. If
        anything fails, the run is marked FAILED and there is no version.
        """
        import mlflow
        import onnx

        with _translated():
            self._ensure_experiment()
            with mlflow.start_run(run_name=description) as run:
                mlflow.set_tags({**run_tags, **tags})
                self._client.log_inputs(run.info.run_id, [_dataset_input(each) for each in datasets])
                mlflow.log_params(dict(params))
                for path, folder in artifacts.items():
                    log = mlflow.log_artifacts if Path(path).is_dir() else mlflow.log_artifact
                    log(path, folder or None)
                schema = json.loads((model_folder / "feature_schema.json").read_text(encoding="utf-8"))
                logged = mlflow.onnx.log_model(
                    onnx.load(str(model_folder / "model.onnx")),
                    name="model",
                    signature=_signature(schema),
                    pip_requirements=_scoring_requirements(),
                    save_as_external_data=False,
                )
                # Names the model, so that MLflow shows its metrics beside it.
                mlflow.log_metrics(dict(metrics), model_id=logged.model_id)
                for name in CARD_FILES:
                    self._add_to_model(logged.model_id, model_folder / name)
                if mlflow.models.get_model_info(logged.model_uri).signature is None:
                    raise ModelError("MLflow dropped the model's signature (mlflow#25593); not registered")
                run_id = logged.run_id
                self._ensure_model()
                return self._client.create_model_version(
                    MODEL_NAME,
                    source=logged.model_uri,
                    run_id=run_id,
                    tags=dict(tags),
                    description=description,
                    model_id=logged.model_id,
                )

    def record_decision(self, version: str, decision: str) -> None:
        """Keep with a version what was decided on it, so that a rerun does not decide again."""
        with _translated():
            self._client.set_model_version_tag(MODEL_NAME, version, DECISION_TAG, decision)

    def record_comparison(self, version: "ModelVersion", record: DecisionRecord) -> None:
        """Keep all that led to a decision: a tag of the version, metrics and decision.json of its run.

        What is recorded already is not written again.
        """
        from mlflow.entities import Metric

        text = json.dumps(record.to_json(), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        if version.tags.get(COMPARISON_TAG) == text:
            return
        moment = int(time.time() * 1000)
        metrics = [Metric(name, value, moment, 0) for name, value in record.run_metrics().items()]
        with _translated():
            self._client.log_batch(str(version.run_id), metrics=metrics)
            self._client.log_text(
                str(version.run_id),
                json.dumps(record.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n",
                DECISION_FILE,
            )
            # Last: it says that the others are written.
            self._client.set_model_version_tag(MODEL_NAME, str(version.version), COMPARISON_TAG, text)

    def describe(self, version: str, last_line: str) -> None:
        """Let the description of a version end with a line; its first line stays."""
        with _translated():
            before = self._client.get_model_version(MODEL_NAME, version).description
            self._client.update_model_version(MODEL_NAME, version, described(before or "", last_line))

    def anchor(self, version: str, commit: str, tag: str) -> None:
        """Let a version name a commit that holds all files of its run; where it was trained stays in its own tags."""
        before = self._client.get_model_version(MODEL_NAME, version).tags
        trained = before.get(f"{PREFIX}trained_at_commit") or before.get(f"{PREFIX}git_commit", "")
        tags = {"trained_at_commit": trained, "git_commit": commit, "git_tag": tag}
        self.set_tags(version, {**tags, "git_dirty": "false", "changes_sha256": ""})

    def set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        """Set tags streamflow.NAME of a version."""
        with _translated():
            for name, value in tags.items():
                self._client.set_model_version_tag(MODEL_NAME, version, f"{PREFIX}{name}", value)

    def promote(self, version: str) -> None:
        """Point the alias Production at a version, and the deprecated stage of that name with it."""
        with _translated():
            self._client.set_registered_model_alias(MODEL_NAME, PRODUCTION, version)
            self._client.transition_model_version_stage(MODEL_NAME, version, PRODUCTION, archive_existing_versions=True)

    def _ensure_experiment(self) -> None:
        import mlflow

        if self._client.get_experiment_by_name(EXPERIMENT) is None:
            self._client.create_experiment(EXPERIMENT, artifact_location=self._artifact_root)
        mlflow.set_experiment(EXPERIMENT)

    def _ensure_model(self) -> None:
        if not self._client.search_registered_models(f"name = '{MODEL_NAME}'"):
            self._client.create_registered_model(MODEL_NAME, description="Probability that a StreamFlow user churns")

    def _add_to_model(self, model_id: str, path: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / path.name).write_bytes(path.read_bytes())
            self._client.log_model_artifacts(model_id, scratch)


def decision_of(version: "ModelVersion") -> DecisionRecord | None:
    """The whole decision on a version as it was recorded at registration; None if none is, or none that this code reads."""
    try:
        return DecisionRecord.from_json(json.loads(version.tags[COMPARISON_TAG]))
    except (KeyError, TypeError, ValueError):
        return None


def artifact_root() -> str:
    """Where runs and models keep their files when no MLflow server is named: var/mlartifacts, as a URI."""
    return (state_dir() / "mlartifacts").as_uri()


def tracking_uri(url: str) -> str:
    """What MLflow calls its tracking URI: MLFLOW_TRACKING_URI, or the schema `mlflow` of the Postgres server."""
    return os.environ.get(TRACKING_VARIABLE) or sqlalchemy_url(url, SCHEMA)


def open_registry(url: str) -> Registry:
    """The registry over the Postgres server at `url`, its tables made if they are missing. Raises RegistryError."""
    external = os.environ.get(TRACKING_VARIABLE)
    with _translated():
        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        if not external:
            ensure_schema(url, SCHEMA)
            # Without it a client over a database makes ./mlruns wherever it is started.
            os.environ[_ROOT_VARIABLE] = artifact_root()
        mlflow.set_tracking_uri(tracking_uri(url))
        if not external:
            os.environ.pop(TRACKING_VARIABLE, None)  # set_tracking_uri exports it, which would look like a server
        return Registry(mlflow.MlflowClient(), None if external else artifact_root())


def prove(files: ModelFiles) -> LoadedModel:
    """The model of a version whose digest, feature schema and golden rows are those of its registration.

    Raises ModelError that says which of them is not.
    """
    where = f"{MODEL_NAME} version {files.version}"
    digest, expected = bytes_sha256(files.onnx_bytes), files.tags.get(f"{PREFIX}model_sha256")
    if digest != expected:
        raise ModelError(f"{where}: model.onnx has SHA-256 {digest[:12]}, registered was {str(expected)[:12]}")
    try:
        model = ChurnModel(files.onnx_bytes, schema_features(files.schema))
        check_golden(model, files.golden)
        service, threshold = files.schema["feature_service"], float(files.schema["threshold"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where}: feature_schema.json or golden.json is malformed: {error!r}") from error
    named = files.tags.get(f"{PREFIX}feature_service")
    if named != service:
        raise ModelError(f"{where}: its tag names feature service {named}, its feature_schema.json {service}")
    return LoadedModel(files.version, files.run_id, model, files.tags, threshold)


def _signature(schema: Mapping[str, Any]) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    inputs: list[Any] = [
        ColSpec("string" if each["kind"] == "text" else "double", each["name"]) for each in schema["features"]
    ]
    return ModelSignature(Schema(inputs), Schema([ColSpec("float", "churn_probability"), ColSpec("long", "churn")]))


def _dataset_input(dataset: LoggedDataset) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema

    columns: list[Any] = [ColSpec(kind, name) for name, kind in dataset.columns]
    return DatasetInput(
        Dataset(
            name=dataset.name,
            digest=dataset.digest,
            # A type that MLflow reads back (mlflow.data.get_source); it knows none of DVC's.
            source_type="code",
            source=json.dumps({"tags": dataset.source}, sort_keys=True),
            schema=json.dumps({"mlflow_colspec": Schema(columns).to_dict()}),
            profile=json.dumps(dataset.profile, sort_keys=True),
        ),
        [InputTag("mlflow.data.context", dataset.context)],
    )


def _scoring_requirements() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("mlflow", "numpy", "onnx", "onnxruntime", "pandas")]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stages are deprecated; DESIGN mirrors the alias to them all the same
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError

            yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise RegistryError(f"MLflow: {_first_line(error)}; see `streamflow db url` and MLFLOW_TRACKING_URI") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
