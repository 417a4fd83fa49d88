"""The gates that a new version must pass before it becomes Production by policy."""

import os
from collections.abc import Callable, Iterator

from streamflow.core.config import Config, source_identity
from streamflow.core.errors import StreamFlowError
from streamflow.pipeline.layout import PARAMS
from streamflow.promotion.rebuilders import derive_again, rebuilders_problem
from streamflow.provenance.commits import path_with_files
from streamflow.provenance.gather import changed_inputs, changes_of_run
from streamflow.registry.decision import Gate
from streamflow.registry.registry import Registry
from streamflow.trust.installed import known_differences
from streamflow.warehouse.chain_drift import history_drift
from streamflow.warehouse.history import warehouse


def gates(
    config: Config, url: str, registry: Registry, version: str, model_sha256: str, say: Callable[[str], None]
) -> Iterator[Gate]:
    """The gates before Production besides `data_gates`; the slow one last: a rerun in a clean clone of the commit."""
    yield from quick_gates(config)
    with warehouse(url, source_identity(config.source)) as store:
        drift = history_drift(store, config.months, config.known_at)
    yield Gate("source drift", f"{drift[0].what}; {drift[0].fix}" if drift else "")
    yield Gate("derived again", _not_derived_again(config, registry, version, model_sha256, say))


def _not_derived_again(
    config: Config, registry: Registry, version: str, model_sha256: str, say: Callable[[str], None]
) -> str:
    try:
        derive_again(registry, version, model_sha256, say)
    except StreamFlowError as error:
        return str(error)
    return rebuilders_problem(registry, version, config.promotion.rebuilders)


def quick_gates(config: Config) -> Iterator[Gate]:
    """The gates that take no time: git and environment."""
    dirt, _ = changes_of_run(list(config.months))
    # DVC names the experiment that a stage runs for, here and in a copy of the project below .dvc/tmp.
    of_experiment = f" --experiment {name}" if (name := os.environ.get("DVC_EXP_NAME")) else ""
    fix = f"`streamflow tag NAME{of_experiment}` commits and tags a result"
    if dirt.untracked:
        fix = "commit or remove them"
    elif not of_experiment and dirt.tracked != (str(PARAMS),):
        fix = "commit, `streamflow repro` again"
    yield Gate("clean git tree", f"{dirt.describe()}; {fix}, then `streamflow promote`" if dirt else "")
    other = changed_inputs()
    yield Gate(
        "code",
        f"{path_with_files(other[0])} changed since the run read it; `streamflow repro --force`" if other else "",
    )
    differences = known_differences()
    yield Gate(
        "environment", f"{', '.join(differences[:3])}; `make install` installs requirements.lock" if differences else ""
    )
