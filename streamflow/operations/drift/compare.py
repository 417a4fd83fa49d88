"""Compare two frozen months, and a registered model's scores of both."""

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from streamflow.core.errors import RegistryError
from streamflow.core.schema import LABEL, MODEL_NAME
from streamflow.operations.drift.months import frozen_month
from streamflow.operations.drift.shifts import churn_rate, churn_scores, compare
from streamflow.operations.drift.verdict import SCORE, DataDrift, Policy, ScoreMeans
from streamflow.provenance.git import resolve
from streamflow.provenance.record import PREFIX
from streamflow.registry.references import find_target, registry_if_any

if TYPE_CHECKING:
    from streamflow.registry.loading import LoadedModel


def data_drift(reference: str, current: str, ref: str | None, policy: Policy) -> DataDrift:
    """Compare two frozen months; the score is of the version that `ref` names (None: Production, if there is one).

    Raises StreamFlowError if that is not possible.
    """
    before, old = frozen_month(reference, "REFERENCE")
    after, new = frozen_month(current, "CURRENT")
    model = _model(ref)
    score: ScoreMeans | str
    if isinstance(model, str):
        score = model
    else:
        old, new = (rows.append_column(SCORE, churn_scores(model.model, rows)) for rows in (old, new))
        means = (_mean(old), _mean(new))
        score = ScoreMeans(model.version, model.tags[f"{PREFIX}feature_service"], means)
    rates = (churn_rate(old[LABEL]), churn_rate(new[LABEL]))
    return DataDrift(before, after, compare(*_delivered(old, new)), rates, score, policy)


def _delivered(old: pa.Table, new: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Both months without the columns that hold nothing in either: their source does not deliver them."""
    empty = [name for name in old.column_names if all(rows[name].null_count == rows.num_rows for rows in (old, new))]
    return old.drop_columns(empty), new.drop_columns(empty)


def _model(ref: str | None) -> "LoadedModel | str":
    """The version, verified as serving does; or in words why there is none."""
    with registry_if_any() as registry:
        if registry is None and ref is None:
            return "there is no registry here"
        if registry is None:
            raise RegistryError(f"--model {ref}: there is no registry here; `make repro` makes one")
        if ref is None:
            production = registry.production()
            return registry.load(production) if production else f"no version of {MODEL_NAME} is Production"
        version = find_target(ref, registry).version if resolve(f"refs/tags/{ref}") else registry.version(ref)
        if version is None:
            raise RegistryError(f"--model {ref}: no version has that tag; `streamflow models` lists them")
        return registry.load(version)


def _mean(rows: pa.Table) -> float:
    return float(pc.mean(rows[SCORE]).as_py())
