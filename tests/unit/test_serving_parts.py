"""Scorer and the holding of things that may not be there yet, without Ray."""

import pytest

from serve.process import RETRY_SECONDS, Held
from serve.scorer import Scorer
from streamflow.adapters.registry import LoadedModel
from streamflow.errors import RegistryError
from streamflow.schema import service_features

TAGS = {"streamflow.model_sha256": "ab", "streamflow.git_commit": "cd", "streamflow.as_of": "2024-01-31"}


class Clock:
    """A time that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Source:
    """Loads when it is there, and counts how often it was asked."""

    def __init__(self, thing):
        self.thing, self.there, self.asked = thing, False, 0

    def __call__(self):
        self.asked += 1
        if not self.there:
            raise RegistryError(f"not there, try {self.asked}")
        return self.thing


def test_what_is_not_there_is_asked_for_again_after_five_seconds():
    clock, source = Clock(), Source("thing")
    held = Held(source, clock)
    for _ in range(3):
        with pytest.raises(RegistryError, match="try 1"):
            held.get()
    clock.now += RETRY_SECONDS
    with pytest.raises(RegistryError, match="try 2"):
        held.get()
    source.there = True
    with pytest.raises(RegistryError, match="try 2"):
        held.get()
    clock.now += RETRY_SECONDS
    assert [held.get(), held.get(), source.asked] == ["thing", "thing", 3]


class Half:
    """A model that scores one half for everybody and remembers what it was asked."""

    features = service_features("churn_v1")

    def score(self, values):
        assert list(values) == [column.name for column in self.features]
        users = len(values["months_active"])
        return [0.5] * users, [1] * users


def test_a_score_carries_the_model_that_gave_it():
    scorer = Scorer(lambda: LoadedModel("3", "run", Half(), TAGS))
    row = {column.name: 1 for column in Half.features}
    first, second = scorer.score([row, {**row, "extra": 1}])
    assert first == second
    assert (first.churn_probability, first.prediction) == (0.5, 1)
    assert first.model == {
        "name": "streamflow_churn",
        "version": "3",
        "model_sha256": "ab",
        "git_commit": "cd",
        "as_of": "2024-01-31",
    }
    about = scorer.about()
    assert about["run_id"] == "run"
    assert about["features"] == [column.name for column in Half.features]
    assert about["loaded_at"].endswith("+00:00")


def test_without_a_model_a_score_says_why():
    scorer = Scorer(Source(None))
    scorer.ready()
    with pytest.raises(RegistryError, match="not there, try 1"):
        scorer.score([{}])
    with pytest.raises(RegistryError, match="not there, try 1"):
        scorer.about()
