"""The training set in data/dataset, checked against dvc.lock and a configuration."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import OmegaConf

from streamflow.core.config import Config
from streamflow.core.errors import ModelError
from streamflow.core.schema import features_of
from streamflow.pipeline.dvc_files import locked_stages, read_receipt
from streamflow.pipeline.layout import DATASET, DATASET_COUNTS, DATASET_ROWS, PARAMS
from streamflow.provenance.outputs import output_problems

_STAGE = "dataset"


def frozen_dataset(config: Config) -> pa.Table:
    """The rows of data/dataset, if they have the configuration's features (or more), dates and split.

    Raises ModelError naming what differs and the command that makes the right one.
    """
    stage = locked_stages().get(_STAGE)
    features = config.features.service
    fix = f"`streamflow repro features={features} as_of={config.as_of}` makes it"
    if stage is None or not DATASET.exists():
        raise ModelError(f"{DATASET} is missing; {fix}, or `dvc checkout {DATASET}` restores it")
    if problems := output_problems(str(DATASET), stage.outs[str(DATASET)], read_receipt(_STAGE), _STAGE):
        raise ModelError(f"{problems[0].what}; {problems[0].fix}")
    counts = json.loads(DATASET_COUNTS.read_text(encoding="utf-8"))
    made_with = stage.params.get(str(PARAMS), {}).get("split")
    wanted = OmegaConf.to_container(OmegaConf.create(config.split))  # type: ignore[call-overload]
    for name, found, expected in (
        ("as_of", counts["as_of"], config.as_of),
        ("label_as_of", counts["label_as_of"], config.label_as_of),
        ("split", made_with, wanted),
    ):
        if found != expected:
            raise ModelError(f"{DATASET} has {name}={found}, not {expected}; {fix}")
    service = counts["feature_service"]
    if not set(features_of(features)) <= set(features_of(service)):
        raise ModelError(f"{DATASET} has the features of {service}, not those of {features}; {fix}")
    return pq.read_table(DATASET_ROWS)
