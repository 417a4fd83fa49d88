"""The scorer without Ray and without a registry."""

import asyncio
from datetime import UTC, datetime

import pytest
from counters import counters

from serve.reloading import RefusedVersion
from serve.scorer import Scorer
from streamflow.core.errors import RegistryError
from streamflow.core.schema import service_features
from streamflow.online.values import UserFeatures
from streamflow.registry.loading import LoadedModel

TAGS = {"streamflow.model_sha256": "ab", "streamflow.git_commit": "cd", "streamflow.as_of": "2024-01-31"}
REFERENCE = {
    "name": "streamflow_churn",
    "version": "3",
    "model_sha256": "ab",
    "git_commit": "cd",
    "as_of": "2024-01-31",
}
WANTED = service_features("churn_v1")
NAMES = [column.name for column in WANTED]
MOMENT = datetime(2024, 1, 31, tzinfo=UTC)


class ByTenure:
    """A model whose probability is a hundredth of the months; remembers for how many users it was asked."""

    features = WANTED

    def __init__(self):
        self.asked = []

    def score(self, values):
        assert list(values) == NAMES
        self.asked.append(len(values["months_active"]))
        return [months / 100 for months in values["months_active"]], [int(m > 50) for m in values["months_active"]]


class Held:
    """A model that is there, or not."""

    refused, loaded_at, is_kept_copy = None, MOMENT, False

    def __init__(self, loaded=None):
        self.loaded = loaded

    def get(self):
        if self.loaded is None:
            raise RegistryError("no version has the alias Production")
        return self.loaded


def user(name, **values):
    filled = {**{column.name: 1 for column in WANTED}, **values}
    return UserFeatures(name, filled, dict.fromkeys(filled, MOMENT))


@pytest.fixture
def model():
    return ByTenure()


@pytest.fixture
def held(model):
    return Held(LoadedModel("3", "run", model, {**TAGS, "streamflow.comparison": "{}"}, 0.4, "ab", "churn_v1"))


@pytest.fixture
def metrics(tmp_path):
    return counters(tmp_path)


@pytest.fixture
def scorer(held, metrics):
    return Scorer(held, metrics)


def calls(metrics):
    """How often the model was called, as the counters say."""
    (line,) = (line for line in metrics.scrape().decode().splitlines()
               if line.startswith('streamflow_part_seconds_count{part="score"}'))  # fmt: skip
    return float(line.split()[-1])


def test_one_call_of_the_model_scores_all_complete_users_in_order(scorer, model, metrics):
    users = [
        user("a", months_active=10),
        UserFeatures("nobody", {}, {}),
        user("holed", monthly_fee=None),
        user("d", plan_stream_tv=None, months_active=60),
    ]
    scored = asyncio.run(scorer.score(users))
    assert [each.features for each in scored] == users
    found = [each.score and (each.score.churn_probability, each.score.prediction) for each in scored]
    assert found == [(0.1, 0), None, None, (0.6, 1)]
    assert model.asked == [2]
    assert calls(metrics) == 1


def test_the_model_is_not_called_for_nobody(scorer, model, metrics):
    assert asyncio.run(scorer.score([])) == []
    (scored,) = asyncio.run(scorer.score([UserFeatures("nobody", {}, {})]))
    assert (scored.score, model.asked, calls(metrics)) == (None, [], 0)


def test_a_score_carries_the_model_that_gave_it(scorer):
    ((first),) = asyncio.run(scorer.score([user("a", extra=1)]))
    assert first.score.model == REFERENCE


def test_what_is_said_of_the_model_is_its_reference_and_its_provenance(scorer, held):
    held.is_kept_copy = True
    held.refused = RefusedVersion("4", "corrupt", MOMENT)
    assert asyncio.run(scorer.about()) == {
        **REFERENCE,
        "run_id": "run",
        "loaded_at": MOMENT,
        "from_local_copy": True,
        "not_served": {"version": "4", "reason": "corrupt", "since": MOMENT},
        "signed_by": None,
        "unsigned": None,
        "threshold": 0.4,
        "features": NAMES,
        "provenance": TAGS,
    }
    held.refused = None
    assert asyncio.run(scorer.about())["not_served"] is None


def test_without_a_model_a_score_says_why(metrics):
    scorer = Scorer(Held(), metrics)
    with pytest.raises(RegistryError, match="alias Production"):
        asyncio.run(scorer.score([]))
    with pytest.raises(RegistryError, match="alias Production"):
        asyncio.run(scorer.about())


def test_the_documented_rule_behind_the_scorer_changes_the_prediction_and_not_the_probability(scorer):
    from docs.examples.patience import Patience

    asked = [user("new", months_active=1), user("old", months_active=60), user("holed", monthly_fee=None)]
    users = asyncio.run(scorer.score(asked))
    new, old, holed = asyncio.run(Patience.func_or_class().apply(users))
    assert (new.score.prediction, new.score.churn_probability) == (0, 0.01)
    assert [old, holed] == users[1:]
