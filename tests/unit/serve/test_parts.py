"""The scorer without Ray and without a registry."""

import asyncio
from datetime import UTC, datetime

import pytest
from counters import counters

from serve.scorer import Scorer
from streamflow.core.errors import RegistryError
from streamflow.core.schema import service_features
from streamflow.online.values import UserFeatures
from streamflow.registry.loading import LoadedModel

TAGS = {"streamflow.model_sha256": "ab", "streamflow.git_commit": "cd", "streamflow.as_of": "2024-01-31"}
WANTED = service_features("churn_v1")
MOMENT = datetime(2024, 1, 31, tzinfo=UTC)


class Half:
    """A model that scores one half for everybody and remembers for how many it was asked."""

    features = WANTED

    def __init__(self):
        self.asked = []

    def score(self, values):
        assert list(values) == [column.name for column in WANTED]
        self.asked.append(len(values["months_active"]))
        return [0.5] * self.asked[-1], [1] * self.asked[-1]


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
    return Half()


@pytest.fixture
def scorer(model, tmp_path):
    return Scorer(Held(LoadedModel("3", "run", model, TAGS, 0.4)), counters(tmp_path))


def test_one_call_of_the_model_scores_all_complete_users_in_order(scorer, model):
    users = [user("a"), UserFeatures("nobody", {}, {}), user("holed", monthly_fee=None), user("d", plan_stream_tv=None)]
    scored = asyncio.run(scorer.score(users))
    assert [each.features for each in scored] == users
    assert [each.score is not None for each in scored] == [True, False, False, True]
    assert model.asked == [2]


def test_a_score_carries_the_model_that_gave_it(scorer):
    ((first),) = asyncio.run(scorer.score([user("a", extra=1)]))
    assert (first.score.churn_probability, first.score.prediction) == (0.5, 1)
    assert first.score.model == {
        "name": "streamflow_churn",
        "version": "3",
        "model_sha256": "ab",
        "git_commit": "cd",
        "as_of": "2024-01-31",
    }
    about = asyncio.run(scorer.about())
    assert {name: about[name] for name in first.score.model} == first.score.model
    assert about["features"] == [column.name for column in WANTED]
    assert about["threshold"] == 0.4
    assert (about["run_id"], about["loaded_at"], about["not_served"]) == ("run", MOMENT, None)


def test_without_a_model_a_score_says_why(tmp_path):
    scorer = Scorer(Held(), counters(tmp_path))
    with pytest.raises(RegistryError, match="alias Production"):
        asyncio.run(scorer.score([]))
    with pytest.raises(RegistryError, match="alias Production"):
        asyncio.run(scorer.about())


def test_the_documented_rule_behind_the_scorer_changes_the_prediction_and_not_the_probability(scorer):
    from docs.examples.patience import Patience

    users = asyncio.run(scorer.score([user("new"), user("old", months_active=40), user("holed", monthly_fee=None)]))
    new, old, holed = asyncio.run(Patience.func_or_class().apply(users))
    assert (new.score.prediction, new.score.churn_probability) == (0, 0.5)
    assert [old, holed] == users[1:]


def test_two_deployments_on_a_machine_have_no_port_in_common():
    from contextlib import ExitStack

    from serve.__main__ import _PORTS, _leased_ports

    with ExitStack() as ours, ExitStack() as theirs:
        first, second = _leased_ports(ours), _leased_ports(theirs)
        assert abs(first - second) >= _PORTS
        ours.close()
        assert _leased_ports(theirs) == first
