"""The scikit-learn pipeline behind the registered ONNX model, fitted again: the registry keeps no pickle."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from omegaconf import OmegaConf
from sklearn.pipeline import Pipeline

from stages.train import DATASET, fitted
from streamflow.adapters.files import read_params
from streamflow.dataset import SPLIT
from streamflow.model import pipeline_frame
from streamflow.schema import LABEL, service_features
from streamflow.splits import TEST, TRAIN


def fitted_forest() -> Pipeline:
    """The pipeline that stage `train` fits from params.yaml and data/dataset, set to predict with one thread."""
    config = read_params("train")
    rows = _part(TRAIN)
    features = service_features(config.features.service)
    settings = OmegaConf.to_container(config.model)  # type: ignore[arg-type]
    pipeline = fitted(settings, features, pipeline_frame(rows, features), rows[LABEL].to_numpy())
    pipeline[-1].set_params(n_jobs=1)  # workers cost more than they give for one row
    return pipeline


def held_out_users() -> tuple[pa.Table, pd.DataFrame]:
    """The test part of the dataset, and the same rows as the pipeline takes them."""
    rows = _part(TEST)
    return rows, pipeline_frame(rows, service_features(read_params("train").features.service))


def _part(part: str) -> pa.Table:
    rows = pq.read_table(DATASET)
    return rows.filter(pc.equal(rows[SPLIT], part))
