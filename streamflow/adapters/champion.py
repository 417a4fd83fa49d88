"""The Production version on the test users of the current run, beside the version that challenges it."""

import json
from typing import Any

from streamflow.adapters.evidence import DATASET, EVALUATION
from streamflow.adapters.registry import LoadedModel, Registry
from streamflow.config import Config
from streamflow.decisions import Decision, decide
from streamflow.errors import ModelError, RegistryError
from streamflow.schema import LABEL


def decision(config: Config, registry: Registry, champion: Any) -> Decision:
    """What the policy says about this version, the champion scored on the same test users.

    A champion whose files are gone or damaged can't serve, so it defends nothing; one whose features this dataset lacks
    can't be compared, so it stays.
    """
    policy, metric = config.promotion.policy, config.promotion.metric
    challenger = json.loads((EVALUATION / "metrics.json").read_text(encoding="utf-8"))[metric]
    if champion is None or policy == "never":
        return decide(policy, metric, challenger, None, config.promotion.tolerance)
    try:
        loaded = registry.load(champion)
    except (ModelError, RegistryError) as error:
        return Decision(True, f"the champion, version {champion.version}, is not usable: {error}")
    lacking = lacking_features(loaded)
    if lacking:
        return Decision(
            False,
            f"the champion, version {champion.version}, can't be compared: this dataset has no {', '.join(lacking)};"
            " promote by hand in `streamflow ui` if you mean it",
        )
    return decide(policy, metric, challenger, champion_score(loaded, metric), config.promotion.tolerance)


def lacking_features(champion: LoadedModel) -> list[str]:
    """Features of the champion that this run's dataset does not have."""
    import pyarrow.parquet as pq

    names = pq.read_schema(DATASET / "dataset.parquet").names
    return [column.name for column in champion.model.features if column.name not in names]


def champion_score(champion: LoadedModel, metric: str) -> float:
    """A metric of the champion on this dataset's test users."""
    # Imports that take time and that most runs of this stage don't need.
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from streamflow.dataset import SPLIT
    from streamflow.metrics import classification_metrics
    from streamflow.splits import TEST

    dataset = pq.read_table(DATASET / "dataset.parquet")
    test = dataset.filter(pc.equal(dataset[SPLIT], TEST))
    scores = champion.model.score({c.name: test[c.name].to_pylist() for c in champion.model.features})
    return classification_metrics(test[LABEL].to_pylist(), *scores)[metric]
