"""The model that answers: taken over when proven, kept when the next one is bad. No Ray, no registry."""

import sys
import threading
from dataclasses import replace

import pytest
from counters import counters

from serve.reloading import POLL_SECONDS, SECOND_LOOK_SECONDS, CurrentModel
from streamflow.core.errors import ModelError, RegistryError
from streamflow.registry.loading import LoadedModel
from streamflow.registry.served import WantedVersion, WithheldError, stopped_for_erased


def version(number):
    tags = {f"streamflow.{name}": f"{name} {number}" for name in ("model_sha256", "git_commit", "as_of")}
    return LoadedModel(str(number), "run", None, tags, 0.5, tags["streamflow.model_sha256"], "churn_v1")


class Versions:
    """A registry in a dict: an alias, versions that load or say why not, tags, and this machine's last good one."""

    def __init__(self):
        self.alias, self.versions, self.kept, self.loads = "1", {"1": version(1)}, None, []
        self.down, self.earlier, self.objections, self.others = False, (), {}, {}

    def wanted(self):
        if self.down:
            raise RegistryError("MLflow: connection refused")
        found = self.versions[self.alias]
        return WantedVersion(self.alias, {} if isinstance(found, str) else dict(found.tags), None, self.earlier)

    def load(self, name):
        self.loads.append(name)
        if name in self.others:
            raise WithheldError(self.others[name])
        found = self.versions[name]
        if isinstance(found, str):
            raise ModelError(found)
        self.kept = found
        return found

    def elsewhere(self, model):
        return self.others.get(model.version, "") if "users of" in self.others.get(model.version, "") else ""

    def objection(self, model):
        return self.objections.get(model.version, "")

    def last_verified(self):
        if self.kept is None:
            raise ModelError("no version was verified on this machine yet")
        return self.kept


class Clock:
    """A time that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def versions():
    return Versions()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def current(versions, clock, tmp_path):
    return CurrentModel(versions, counters(tmp_path), clock)


def test_the_version_behind_the_alias_answers(current):
    with pytest.raises(RegistryError, match="no model is loaded yet"):
        current.get()
    current.refresh()
    assert current.get().version == "1"
    assert (current.refused, current.is_kept_copy) == (None, False)
    assert current.loaded_at is not None


def test_a_moved_alias_is_followed_and_an_unmoved_one_loads_nothing(current, versions):
    current.refresh()
    current.refresh()
    versions.versions["2"], versions.alias = version(2), "2"
    current.refresh()
    current.refresh()
    assert (current.get().version, versions.loads) == ("2", ["1", "2"])


def test_a_model_of_other_users_than_those_online_stops_and_the_version_of_these_users_is_taken_at_once(
    current, versions
):
    current.refresh()
    versions.others = {"1": "version 1 is a model of synthetic users, online are users of csv"}
    current.refresh()
    with pytest.raises(ModelError, match=r"^version 1 is a model of synthetic users, online are users of csv$"):
        current.get()
    assert (current.refused.version, current.refused.reason) == ("1", versions.others["1"])
    versions.versions["2"], versions.alias = version(2), "2"
    current.refresh()
    assert (current.get().version, current.refused) == ("2", None)


@pytest.mark.parametrize(("serving", "answers"), [("continue", True), ("stop", False)])
def test_a_version_trained_with_users_who_were_erased_goes_on_or_stops_by_policy(current, versions, serving, answers):
    current.refresh()
    tags = {"streamflow.erased_users": "3", "streamflow.erased_serving": serving}
    versions.versions["1"] = replace(version(1), tags={**version(1).tags, **tags})
    if not answers:
        versions.others = {"1": f"version 1 can't answer: {stopped_for_erased(tags)}"}
    current.refresh()
    if answers:
        assert current.get().version == "1"
    else:
        with pytest.raises(
            ModelError, match=r"^version 1 can't answer: it was trained with 3 users who were erased since"
        ):
            current.get()


def test_a_version_is_looked_at_every_two_seconds_and_a_refused_one_again_after_thirty(current, versions, clock):
    assert (POLL_SECONDS, SECOND_LOOK_SECONDS) == (2.0, 30.0)
    versions.versions["1"] = "corrupt"
    current.refresh()
    clock.now += 29.999
    current.refresh()
    assert versions.loads == ["1"]
    clock.now += 0.001
    current.refresh()
    assert versions.loads == ["1", "1"]


def test_another_bad_version_is_looked_at_at_once_and_since_then(current, versions):
    current.refresh()
    versions.versions |= {"2": "corrupt", "3": "corrupt"}
    versions.alias = "2"
    current.refresh()
    first = current.refused
    versions.alias = "3"
    current.refresh()
    assert versions.loads == ["1", "2", "3"]
    assert (first.version, current.refused.version, current.refused.reason) == ("2", "3", "corrupt")
    assert current.refused.since > first.since


def test_a_reason_that_changes_is_told(current, versions, clock):
    current.refresh()
    versions.versions["2"], versions.alias = "corrupt", "2"
    current.refresh()
    versions.versions["2"] = "gone"
    clock.now += 30
    current.refresh()
    assert current.refused.reason == "gone"


def test_before_the_first_look_nothing_is_loaded_refused_or_kept(current):
    assert (current.refused, current.is_kept_copy, current.loaded_at) == (None, False, None)


def test_the_log_says_which_version_answers_and_which_does_not(current, versions, caplog, clock):
    current.refresh()
    versions.versions["2"], versions.alias = version(2), "2"
    current.refresh()
    versions.versions["3"], versions.alias = "corrupt", "3"
    current.refresh()
    clock.now += 30
    current.refresh()
    versions.down = True
    current.refresh()
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "ray.serve"] == [
        ("WARNING", "streamflow: version 1 is served (model model_sha256)"),
        ("WARNING", "streamflow: version 2 is served (model model_sha256, version 1 before)"),
        ("ERROR", "streamflow: version 3, version 2 is still served: corrupt"),
        ("ERROR", "streamflow: registry, version 2 is still served: MLflow: connection refused"),
    ]


def test_the_log_says_that_no_model_answers(current, versions, caplog):
    versions.down = True
    current.refresh()
    (record,) = (record for record in caplog.records if record.name == "ray.serve")
    assert record.getMessage() == "streamflow: registry, no model is served: MLflow: connection refused"


def test_the_reason_without_any_model_names_both_failures_in_one_error(current, versions):
    versions.down = True
    current.refresh()
    with pytest.raises(RegistryError) as refused:
        current.get()
    assert str(refused.value) == "MLflow: connection refused; no version was verified on this machine yet"


def test_the_copy_of_the_wanted_version_answers_while_its_registered_files_are_bad(versions, tmp_path):
    versions.kept, versions.versions["1"] = version(1), "corrupt"
    current = CurrentModel(versions, counters(tmp_path))
    current.refresh()
    assert (current.get().version, current.is_kept_copy, current.refused.version) == ("1", True, "1")


def test_tags_that_every_answer_names_are_not_lost_with_the_registrys(current, versions):
    current.refresh()
    proven = versions.versions["1"]
    versions.versions["1"] = replace(proven, tags={"more": "x"})
    current.refresh()
    assert current.get().tags == {**proven.tags, "more": "x"}


def test_the_registry_is_looked_at_for_ever_whatever_goes_wrong(versions, tmp_path, caplog):
    current = CurrentModel(versions, counters(tmp_path))
    looks, third = [], threading.Event()

    def refresh():
        looks.append(threading.current_thread())
        if len(looks) == 3:
            third.set()
            threading.Event().wait()  # the thread ends with the tests
        raise KeyError("a bug")

    current.refresh = refresh
    before = sys.getswitchinterval()
    try:
        current.follow(0.01)
        assert third.wait(5)
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    finally:
        sys.setswitchinterval(before)
    assert (looks[0].daemon, looks[0].name) == (True, "model reload")
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert all(record.exc_info for record in errors)


def test_a_bad_version_leaves_the_old_one_and_says_why(current, versions, clock):
    current.refresh()
    versions.versions["2"], versions.alias = "model.onnx has SHA-256 aa, registered was bb", "2"
    current.refresh()
    assert current.get().version == "1"
    assert (current.refused.version, current.refused.reason) == ("2", "model.onnx has SHA-256 aa, registered was bb")
    since = current.refused.since
    current.refresh()
    assert versions.loads == ["1", "2"], "a refused version is not fetched again at once"
    clock.now += SECOND_LOOK_SECONDS
    current.refresh()
    assert (versions.loads, current.refused.since) == (["1", "2", "2"], since)


def test_a_mended_version_is_taken_at_the_second_look(current, versions, clock):
    current.refresh()
    versions.versions["2"], versions.alias = "golden row scores otherwise", "2"
    current.refresh()
    versions.versions["2"] = version(2)
    clock.now += SECOND_LOOK_SECONDS
    current.refresh()
    assert (current.get().version, current.refused) == ("2", None)


def test_an_alias_that_moves_back_clears_the_refusal(current, versions):
    current.refresh()
    versions.versions["2"], versions.alias = "corrupt", "2"
    current.refresh()
    versions.alias = "1"
    current.refresh()
    assert (current.get().version, current.refused, versions.loads) == ("1", None, ["1", "2"])


def test_a_registry_that_goes_down_keeps_the_model_and_says_so(current, versions):
    current.refresh()
    versions.down = True
    current.refresh()
    assert current.get().version == "1"
    assert (current.refused.version, current.refused.reason) == (None, "MLflow: connection refused")
    versions.down = False
    current.refresh()
    assert current.refused is None


def test_without_a_registry_at_the_start_the_last_verified_version_answers_and_says_so(versions, tmp_path):
    versions.kept, versions.down = version(1), True
    current = CurrentModel(versions, counters(tmp_path))
    current.refresh()
    assert (current.get().version, current.is_kept_copy) == ("1", True)
    assert current.refused.reason == "MLflow: connection refused"
    versions.down = False
    current.refresh()
    assert (current.is_kept_copy, current.refused, versions.loads) == (False, None, ["1"])


def test_without_a_registry_and_without_a_verified_version_the_reason_is_the_registrys(current, versions):
    versions.down = True
    current.refresh()
    with pytest.raises(RegistryError, match="connection refused"):
        current.get()


def test_a_bad_version_at_the_start_is_not_replaced_by_another_one(versions, tmp_path):
    versions.kept, versions.alias, versions.versions["2"] = version(1), "2", "corrupt"
    current = CurrentModel(versions, counters(tmp_path))
    current.refresh()
    with pytest.raises(ModelError, match="corrupt"):
        current.get()


def test_tags_that_a_version_gains_are_shown_but_its_digest_is_the_proven_one(current, versions):
    current.refresh()
    proven = versions.versions["1"]
    versions.versions["1"] = replace(proven, tags={**proven.tags, "streamflow.verdict": "identical"})
    versions.versions["1"].tags["streamflow.model_sha256"] = "edited"
    current.refresh()
    assert current.get().tags["streamflow.verdict"] == "identical"
    assert current.get().model_sha256 == "model_sha256 1"


def test_the_counters_name_what_is_served_and_what_is_not(versions, tmp_path):
    metrics = counters(tmp_path)
    current = CurrentModel(versions, metrics)
    current.refresh()
    versions.versions |= {"2": version(2), "3": "corrupt"}
    for versions.alias in ("2", "3"):
        current.refresh()
    lines = metrics.scrape().decode().splitlines()
    for line in (
        'streamflow_model_replicas{model_sha256="model_sha256 2",version="2"} 1.0',
        'streamflow_model_replicas{model_sha256="model_sha256 1",version="1"} 0.0',
        'streamflow_model_reloads_total{outcome="loaded"} 2.0',
        'streamflow_model_reloads_total{outcome="refused"} 1.0',
        "streamflow_model_not_served 1.0",
    ):
        assert line in lines, line
    versions.down = True
    current.refresh()
    assert 'streamflow_model_reloads_total{outcome="unreachable"} 1.0' in metrics.scrape().decode().splitlines()
    versions.down, versions.alias = False, "2"
    current.refresh()
    assert "streamflow_model_not_served 0.0" in metrics.scrape().decode().splitlines()
