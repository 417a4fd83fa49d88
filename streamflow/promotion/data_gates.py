"""The gates that look at the training set alone: a feature that reveals the label, users in the wrong part of the split."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streamflow.core.config import Config
from streamflow.core.schema import ENTITY_KEY, EVENT_TIMESTAMP, LABEL, service_features
from streamflow.features.dataset import SPLIT
from streamflow.features.splits import TEST, TRAIN
from streamflow.pipeline.layout import DATASET, DATASET_ROWS
from streamflow.promotion.leakage import rows_after, strongest_feature
from streamflow.promotion.overlap import Split, misplaced_users
from streamflow.registry.decision import Gate


def data_gates(config: Config) -> Iterator[Gate]:
    """The gates `leakage` and `overlap` of the current run."""
    dataset = pq.read_table(DATASET_ROWS)
    yield Gate("leakage", _leakage(config, dataset))
    yield Gate("overlap", _misplaced(config, dataset))


def _leakage(config: Config, dataset: pa.Table) -> str:
    later = rows_after(dataset[EVENT_TIMESTAMP].to_pylist(), config.as_of)
    if later:
        return (
            f"{later} rows of {DATASET} are dated after as_of={config.as_of}; `dvc repro --force --single-item dataset`"
        )
    features = service_features(config.features.service)
    train, test = (dataset.filter(pc.equal(dataset[SPLIT], part)).to_pydict() for part in (TRAIN, TEST))
    strongest = strongest_feature(features, train, train[LABEL], test, test[LABEL])
    if strongest.roc_auc <= config.promotion.leak_auc:
        return ""
    return (
        f"{strongest.name} alone ranks the test users with ROC AUC {strongest.roc_auc:.4f}, above"
        f" promotion.leak_auc={config.promotion.leak_auc:g}: it reveals the label; train without it, or on an earlier value"
    )


def _misplaced(config: Config, dataset: pa.Table) -> str:
    users = dataset[ENTITY_KEY].to_pylist()
    wrong = misplaced_users(users, dataset[SPLIT].to_pylist(), split_of(config))
    return (
        f"{len(wrong)} of {len(users)} users of {DATASET} are in another part than the section split of params.yaml gives"
        f" (first {wrong[0]}); `dvc repro --force --single-item dataset`"
        if wrong
        else ""
    )


def split_of(config: Config) -> Split:
    """The split of this run."""
    return Split(config.split.salt, config.split.validation, config.split.test)
