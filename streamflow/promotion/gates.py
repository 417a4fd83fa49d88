"""The gates that a new version must pass before it becomes Production by policy."""

import os
from collections.abc import Iterator

from streamflow.core.config import Config, source_identity
from streamflow.pipeline.environment import environment_differences
from streamflow.pipeline.layout import PARAMS, REQUIREMENTS
from streamflow.promotion.refit import refit_sha256
from streamflow.provenance.commits import path_with_files
from streamflow.provenance.gather import changed_inputs, changes_of_run
from streamflow.registry.decision import Gate
from streamflow.registry.registry import Registry
from streamflow.warehouse.history import warehouse
from streamflow.warehouse.source_drift import source_drift


def gates(config: Config, url: str, registry: Registry, version: str, model_sha256: str) -> Iterator[Gate]:
    """The gates before Production besides `data_gates`; the slow ones last."""
    yield from quick_gates(config)
    with warehouse(url, source_identity(config.source)) as store:
        drift = source_drift(store, config.months, config.known_at)
    yield Gate("source drift", f"{drift[0].what}; {drift[0].fix}" if drift else "")
    refitted = refit_sha256()
    registry.set_tags(version, {"refit_sha256": refitted})
    yield Gate(
        "re-fit",
        f"a second training on the same inputs made model {refitted[:12]}, not {model_sha256[:12]}: it is not deterministic;"
        " `streamflow doctor` checks threads and packages"
        if refitted != model_sha256
        else "",
    )


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
    differences = environment_differences(REQUIREMENTS.read_text(encoding="utf-8"))
    yield Gate(
        "environment", f"{', '.join(differences[:3])}; `make install` installs requirements.lock" if differences else ""
    )
