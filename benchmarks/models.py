"""The models of conf/model side by side, cross-validated on the training set in place.

    python -m benchmarks.models [--repeats 3] [--model NAME]... [OVERRIDE]...

One line for each model and each feature service whose columns data/dataset has (`streamflow repro features=churn_v2`
first, to see both). Scores are means over the repeats, ± the standard deviation of the repeats' means; that of the folds
stands in brackets for AUC. Thresholds and calibration never see the users that are scored. `fit` is the median time of one
fit on four fifths of the users, other work of the machine included.
"""

import stages  # noqa: F401, I001  # pins threads and BLAS kernel before numpy is imported

import time
from functools import partial
from statistics import median

import click
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from streamflow.pipeline.params import read_all_params
from streamflow.operations.repro.compose import compose_config
from streamflow.pipeline.layout import CONF
from streamflow.operations.tuning.training_set import frozen_dataset
from streamflow.pipeline.reporting import one_line_errors, progress
from streamflow.core.config import Config
from streamflow.evaluation.cross_validation import cross_validate, spread
from streamflow.core.errors import ModelError
from streamflow.model.sklearn_pipeline import Labels, pipeline_frame
from streamflow.model.recipe import recipe_of
from streamflow.core.schema import ENTITY_KEY, FEATURE_SERVICES, LABEL
from streamflow.model.training import Mask, Recipe, Trained, Weights, sample_weights, train

SHOWN = {"AUC": "roc_auc", "AP": "average_precision", "F1": "f1", "Brier": "brier"}


@click.command()
@click.option(
    "--repeats", default=3, show_default=True, type=click.IntRange(min=1), help="How often users are cut anew."
)
@click.option("--model", "models", multiple=True, metavar="NAME", help="A file of conf/model; default: all of them.")
@click.argument("overrides", nargs=-1)
def main(repeats: int, models: tuple[str, ...], overrides: tuple[str, ...]) -> None:
    """Cross-validate models on the feature services that data/dataset holds."""
    with one_line_errors("benchmark"):
        params = read_all_params()
        names = models or tuple(sorted(path.stem for path in (CONF / "model").glob("*.yaml")))
        pairs = [(name, service) for service in FEATURE_SERVICES for name in names]
        rows = []
        for name, service in progress(pairs, "cross-validating"):
            config, _ = compose_config(
                [f"as_of={params.as_of}", f"months=[{','.join(params.months)}]", f"model={name}", f"features={service}",
                 f"label_horizon_months={params.label_horizon_months}", *overrides]
            )  # fmt: skip
            try:
                rows.append(line_of(config, repeats))
            except ModelError as error:
                print(f"{name} on {service}: {error}")
        if rows:
            print(pd.DataFrame(rows).to_string(index=False))


def line_of(config: Config, repeats: int) -> dict[str, str]:
    """Scores and time of one model on one feature service, as a line of the table."""
    dataset, recipe = frozen_dataset(config), recipe_of(config)
    frame = pipeline_frame(dataset, recipe.features)
    churned = np.array(dataset[LABEL].to_pylist())
    seconds: list[float] = []
    with threadpool_limits(limits=config.compute.threads):
        found = spread(
            cross_validate(
                partial(timed_train, seconds, recipe),
                dataset[ENTITY_KEY].to_pylist(),
                frame,
                churned,
                sample_weights(dataset, config.sample_weight),
                salt=config.split.salt,
                repeats=repeats,
                folds=config.cross_validation.folds,
                validation=config.split.validation / (1 - config.split.test),
            )
        )
    scores = {name: f"{found[key]:.4f} ± {found[f'{key}_repeat_sd']:.4f}" for name, key in SHOWN.items()}
    scores["AUC"] += f" ({found['roc_auc_fold_sd']:.4f})"
    return {
        "model": config.model_name,
        "features": config.features.service,
        **scores,
        "fit": f"{median(seconds):.2f} s",
    }


def timed_train(
    seconds: list[float],
    recipe: Recipe,
    frame: pd.DataFrame,
    churned: Labels,
    validation: Mask,
    weights: Weights | None,
) -> Trained:
    """`train`, with the time that one of its two fits took on all users given; the other leaves the validation out."""
    started = time.perf_counter()
    trained = train(recipe, frame, churned, validation, weights)
    seconds.append((time.perf_counter() - started) / (2 - validation.mean()))
    return trained


if __name__ == "__main__":
    main()
