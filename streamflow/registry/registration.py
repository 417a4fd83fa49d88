"""Registration: an MLflow run with its inputs, parameters, metrics and files, and its model version."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streamflow.core.errors import ModelError
from streamflow.core.schema import MODEL_NAME
from streamflow.features.splits import TEST, TRAIN, VALIDATION
from streamflow.pipeline.layout import DATASET

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

EXPERIMENT = MODEL_NAME
CARD_FILES = ("feature_schema.json", "golden.json")
_MLFLOW_TYPES = {
    "string": "string",
    "bool": "boolean",
    "int64": "long",
    "double": "double",
    "date32[day]": "datetime",
    "timestamp[us, tz=UTC]": "datetime",
}


@dataclass(frozen=True)
class LoggedDataset:
    """One part of a training set as MLflow shows it among the inputs of a run.

    `digest` is the MD5 that dvc.lock names (MLflow keeps 36 characters), `source` names it in DVC and git, without a path
    of this machine; `columns` are name and MLflow's type; `context` is training or evaluation.
    """

    name: str
    digest: str
    source: Mapping[str, str]
    columns: tuple[tuple[str, str], ...]
    profile: Mapping[str, int]
    context: str


def training_set_parts(
    training_set: str, md5: str, commit: str, schema: pa.Schema, rows: Mapping[str, Mapping[str, int]]
) -> list[LoggedDataset]:
    """The parts of the training set that a model is fitted and tested on, as inputs of its run.

    `training_set` names it in words, `rows` counts each part, `commit` is that of its dvc.lock.
    """
    columns = tuple((field.name, _MLFLOW_TYPES[str(field.type)]) for field in schema)
    source = {"mlflow.source.name": str(DATASET), "mlflow.source.git.commit": commit, "dvc.md5": md5}
    return [
        LoggedDataset(f"{training_set}, {part}", md5, {**source, "split": part}, columns, rows[part], context)
        for part, context in ((TRAIN, "training"), (VALIDATION, "training"), (TEST, "evaluation"))
    ]


@dataclass(frozen=True)
class Registration:
    """Everything that is registered of one run of the pipeline.

    `artifacts` maps local paths to folders of the run; `tags` go on run and version, `run_tags` on the run alone; `datasets`
    are the run's inputs.
    """

    model_folder: Path
    artifacts: Mapping[str, str]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    run_tags: Mapping[str, str]
    description: str
    datasets: Sequence[LoggedDataset] = ()


def log_and_register(client: "MlflowClient", artifact_root: str | None, new: Registration) -> "ModelVersion":
    """Log a run and register its model; `artifact_root` is the artifact location of a new experiment."""
    import mlflow
    import onnx

    _ensure_experiment(client, artifact_root)
    with mlflow.start_run(run_name=new.description) as run:
        mlflow.set_tags({**new.run_tags, **new.tags})
        client.log_inputs(run.info.run_id, [_dataset_input(each) for each in new.datasets])
        mlflow.log_params(dict(new.params))
        for path, folder in new.artifacts.items():
            log = mlflow.log_artifacts if Path(path).is_dir() else mlflow.log_artifact
            log(path, folder or None)
        schema = json.loads((new.model_folder / "feature_schema.json").read_text(encoding="utf-8"))
        logged = mlflow.onnx.log_model(
            onnx.load(str(new.model_folder / "model.onnx")),
            name="model",
            signature=_signature(schema),
            pip_requirements=_scoring_requirements(),
            save_as_external_data=False,
        )
        # Names the model, so that MLflow shows its metrics beside it.
        mlflow.log_metrics(dict(new.metrics), model_id=logged.model_id)
        for name in CARD_FILES:
            _add_to_model(client, logged.model_id, new.model_folder / name)
        if mlflow.models.get_model_info(logged.model_uri).signature is None:
            raise ModelError("MLflow dropped the model's signature (mlflow#25593); nothing was registered")
        _ensure_model(client)
        return client.create_model_version(
            MODEL_NAME,
            source=logged.model_uri,
            run_id=logged.run_id,
            tags=dict(new.tags),
            description=new.description,
            model_id=logged.model_id,
        )


def _ensure_experiment(client: "MlflowClient", artifact_root: str | None) -> None:
    import mlflow

    if client.get_experiment_by_name(EXPERIMENT) is None:
        client.create_experiment(EXPERIMENT, artifact_location=artifact_root)
    mlflow.set_experiment(EXPERIMENT)


def _ensure_model(client: "MlflowClient") -> None:
    if not client.search_registered_models(f"name = '{MODEL_NAME}'"):
        client.create_registered_model(MODEL_NAME, description="Probability that a StreamFlow user churns")


def _add_to_model(client: "MlflowClient", model_id: str, path: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / path.name).write_bytes(path.read_bytes())
        client.log_model_artifacts(model_id, scratch)


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
