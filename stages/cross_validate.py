"""Stage `cross_validate`: reads data/dataset, writes artifacts/cross_validation/.

metrics.json: the mean of each score over repeated cross-validation of all users, with its spread; folds.csv: the scores of
each fold. Its models are not kept; the spread shows how much the scores of the model of stage `train` may vary.
"""

from functools import partial

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from streamflow.core.config import Config
from streamflow.core.schema import ENTITY_KEY, LABEL
from streamflow.evaluation.cross_validation import cross_validate, spread
from streamflow.model.recipe import recipe_of
from streamflow.model.sklearn_pipeline import pipeline_frame
from streamflow.model.training import sample_weights, train
from streamflow.pipeline.layout import CROSS_VALIDATION, CROSS_VALIDATION_METRICS, DATASET_ROWS
from streamflow.pipeline.project import replacing, write_json
from streamflow.pipeline.reporting import say
from streamflow.pipeline.stage import stage


def run(config: Config) -> None:
    """Cross-validate the recipe that the pipeline trains."""
    dataset = pq.read_table(DATASET_ROWS)
    recipe, how = recipe_of(config), config.cross_validation

    with threadpool_limits(limits=config.compute.threads):
        rows = list(
            cross_validate(
                partial(train, recipe),
                dataset[ENTITY_KEY].to_pylist(),
                pipeline_frame(dataset, recipe.features),
                np.array(dataset[LABEL].to_pylist()),
                sample_weights(dataset, config.sample_weight),
                salt=config.split.salt,
                repeats=how.repeats,
                folds=how.folds,
                validation=config.split.validation / (1 - config.split.test),
            )
        )
    found = spread(rows)

    write_json(CROSS_VALIDATION_METRICS, found)
    with replacing(CROSS_VALIDATION / "folds.csv") as scratch:
        pd.DataFrame(rows).to_csv(scratch, index=False, lineterminator="\n")
    say(
        f"cross_validate: {how.repeats} x {how.folds} folds, AUC {found['roc_auc']:.4f} ± {found['roc_auc_fold_sd']:.4f},"
        f" F1 {found['f1']:.4f} ± {found['f1_fold_sd']:.4f}"
    )


def main() -> None:
    with stage("cross_validate") as config:
        run(config)


if __name__ == "__main__":
    main()
