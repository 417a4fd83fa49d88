"""Bad versions behind the alias: whatever is wrong with one, the old version answers and the reason is told.

A real MLflow registry over a real Postgres, and the classes of serve/ without Ray.
"""

import asyncio
import json
import pickle
from pathlib import Path

import pytest
from counters import counters
from registered_models import model_folder, register

from serve.reloading import CurrentModel
from serve.scorer import Scorer
from streamflow.core.calendar import instant
from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError, RegistryError
from streamflow.online.values import UserFeatures
from streamflow.registry.registry import Registry
from streamflow.registry.served import RegistrySource

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module", autouse=True)
def warn():
    """Production is an alias here that no signed move stands behind, as in a registry from before signatures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMFLOW_TRUST", "warn")
        yield


@pytest.fixture(scope="module")
def good(registry, rows, tmp_path_factory):
    """A registered version, its golden row and its score."""
    folder, digest = model_folder(tmp_path_factory.mktemp("good"), rows, 1.0)
    version = str(register(registry, folder, digest, "good").version)
    return version, json.loads((folder / "golden.json").read_text())["rows"][0]


@pytest.fixture(scope="module")
def source(registry):
    return RegistrySource(lambda: registry, "Production", "churn_v1")


@pytest.fixture(scope="module")
def current(registry, good, source, tmp_path_factory):
    registry.promote(good[0])
    current = CurrentModel(source, counters(tmp_path_factory.mktemp("metrics")))
    current.refresh()
    assert current.get().version == good[0]
    return current


@pytest.fixture(scope="module")
def scorer(current, tmp_path_factory):
    return Scorer(current, counters(tmp_path_factory.mktemp("scorer")))


def score(scorer, row):
    values = row["features"]
    user = UserFeatures("7590-VHVEG", values, dict.fromkeys(values, instant("2024-01-31")))
    (scored,) = asyncio.run(scorer.score([user]))
    return scored.score


class Version:
    """A registered version, and ways to spoil it."""

    def __init__(self, registry, state, registered):
        self.registry, self.number = registry, str(registered.version)
        (self.folder,) = state.rglob(f"models/{registered.source.removeprefix('models:/')}/artifacts")

    def onnx(self, change, *, anew=False):
        """Change the model's bytes, and the registered digest with them if `anew`."""
        path = self.folder / "model.onnx"
        path.write_bytes(change(path.read_bytes()))
        if anew:
            self.tags(model_sha256=bytes_sha256(path.read_bytes()))

    def json(self, name, change):
        path = self.folder / name
        content = json.loads(path.read_text())
        path.write_text(json.dumps(change(content) or content))

    def tags(self, **tags):
        self.registry.set_tags(self.number, tags)


def flipped(content):
    return content[:999] + bytes([content[999] ^ 1]) + content[1000:]


def golden(key, value):
    def change(content):
        for row in content["rows"]:
            row[key] = value

    return lambda version: version.json("golden.json", change)


class Trap:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def another_model(service):
    def change(version):
        folder, _ = model_folder(version.folder.parents[3] / f"other {version.number}", version.rows, 9.0, service)
        version.onnx(lambda _: (folder / "model.onnx").read_bytes(), anew=True)
        return folder

    return change


def of_another_service_but_its_tag(version):
    folder = another_model("churn_v2")(version)
    for name in ("feature_schema.json", "golden.json"):
        (version.folder / name).write_bytes((folder / name).read_bytes())


def renamed(schema):
    schema["features"][3]["name"] = "plan_stream_opera"


def reordered(schema):
    schema["features"][:2] = schema["features"][1::-1]


BAD = {
    "a flipped byte": (lambda v: v.onnx(flipped), "model.onnx has SHA-256 .*, registered was"),
    "truncated": (lambda v: v.onnx(lambda content: content[:-100]), "model.onnx has SHA-256"),
    "empty": (lambda v: v.onnx(lambda content: b""), "model.onnx has SHA-256"),
    "missing": (lambda v: (v.folder / "model.onnx").unlink(), "its files can't be fetched"),
    "the digest of another": (lambda v: v.tags(model_sha256="0" * 64), "registered was 000000000000"),
    "a feature renamed": (
        lambda v: v.json("feature_schema.json", renamed),
        "not what the model was trained on: plan_stream_opera",
    ),
    "features in another order": (
        lambda v: v.json("feature_schema.json", reordered),
        "not what the model was trained on: order",
    ),
    "a threshold that is no number": (
        lambda v: v.json("feature_schema.json", lambda schema: {**schema, "threshold": "half"}),
        "feature_schema.json or golden.json is malformed",
    ),
    "no JSON": (
        lambda v: (v.folder / "feature_schema.json").write_text("{"),
        "feature_schema.json or golden.json is malformed",
    ),
    "another feature service": (
        lambda v: v.tags(feature_service="churn_v2"),
        "takes the features of churn_v2, this graph looks up churn_v1",
    ),
    "another feature service under this tag": (
        of_another_service_but_its_tag,
        "its tag names feature service churn_v1, its feature_schema.json churn_v2",
    ),
    "other golden probabilities": (golden("churn_probability", 0.123), "golden row .* at training 0.1230000"),
    "golden probabilities that are no numbers": (golden("churn_probability", float("nan")), "at training nan"),
    "golden rows without features": (golden("features", []), "feature_schema.json or golden.json is malformed"),
    "no golden rows": (lambda v: v.json("golden.json", lambda _: {"rows": []}), "golden.json has no row"),
    "a pickle of the right digest": (
        lambda v: v.onnx(lambda _: pickle.dumps(Trap()), anew=True),
        "the model is not a usable ONNX file",
    ),
    "other inputs with the right digest": (another_model("churn_v2"), "its feature schema names"),
    "another model with the right digest": (another_model("churn_v1"), "golden row .* scores"),
    "no date": (
        lambda v: v.registry._client.delete_model_version_tag("streamflow_churn", v.number, "streamflow.as_of"),
        "has no tag as_of",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_version_is_refused_by_name_and_the_old_one_answers(
    kind, registry, state, rows, good, current, scorer, tmp_path
):
    spoil, said = BAD[kind]
    folder, digest = model_folder(tmp_path / "bad", rows, 0.5)
    bad = Version(registry, state, register(registry, folder, digest, kind))
    bad.rows = rows
    spoil(bad)
    registry.promote(bad.number)
    current.refresh()
    assert current.get().version == good[0]
    assert score(scorer, good[1]).model["version"] == good[0]
    assert score(scorer, good[1]).churn_probability == pytest.approx(good[1]["churn_probability"], abs=1e-6)
    told = asyncio.run(scorer.about())["not_served"]
    assert told["version"] == bad.number
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(told["reason"])
    assert not Path("unpickled").exists()


def test_a_good_version_after_bad_ones_is_taken_and_the_alias_may_move_back(
    registry, rows, good, current, scorer, tmp_path
):
    folder, digest = model_folder(tmp_path / "next", rows, 0.1)
    number = str(register(registry, folder, digest, "next").version)
    registry.promote(number)
    current.refresh()
    assert (current.get().version, current.refused) == (number, None)
    expected = json.loads((folder / "golden.json").read_text())["rows"][0]
    assert score(scorer, expected).churn_probability == pytest.approx(expected["churn_probability"], abs=1e-6)
    assert score(scorer, expected).model["model_sha256"] == digest
    registry.promote(good[0])
    current.refresh()
    assert (score(scorer, good[1]).model["version"], current.refused) == (good[0], None)


def test_a_tag_that_is_deleted_while_the_version_answers_takes_nothing_from_it(registry, good, current, scorer):
    registry.promote(good[0])
    commit = registry.version(good[0]).tags["streamflow.git_commit"]
    registry._client.delete_model_version_tag("streamflow_churn", good[0], "streamflow.git_commit")
    current.refresh()
    assert score(scorer, good[1]).model["git_commit"] == commit
    registry.set_tags(good[0], {"git_commit": commit})


@pytest.fixture
def unreachable(registry, monkeypatch):
    """A source whose MLflow does not answer, as at the start of a replica."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    silent = Registry(MlflowClient("http://127.0.0.1:1", "http://127.0.0.1:1"), None)
    return RegistrySource(lambda: silent, "Production", "churn_v1")


def test_a_start_without_mlflow_serves_the_kept_copy_and_says_so(good, registry, source, unreachable, tmp_path):
    source.load(good[0])
    current = CurrentModel(unreachable, counters(tmp_path))
    current.refresh()
    assert (current.get().version, current.is_kept_copy, current.refused.version) == (good[0], True, None)
    assert "MLflow: " in current.refused.reason
    told = score(Scorer(current, counters(tmp_path / "scorer")), good[1])
    assert told.churn_probability == pytest.approx(good[1]["churn_probability"], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("model.onnx", flipped, "the copy kept at .* can't answer: .* model.onnx has SHA-256"),
        ("model.onnx", lambda _: b"", "the copy kept at .* can't answer: .* model.onnx has SHA-256"),
        ("version.json", lambda _: b"[]", "the copy kept at .* is damaged"),
        ("version.json", lambda content: content[:-50], "the copy kept at .* is damaged"),
        ("version.json", None, "no version of streamflow_churn was verified on this machine yet"),
    ],
)
def test_a_damaged_copy_is_not_served_and_both_reasons_are_told(
    name, change, said, state, good, source, unreachable, tmp_path
):
    source.load(good[0])
    path = state / "serve" / "verified" / "Production-churn_v1" / name
    if change:
        path.write_bytes(change(path.read_bytes()))
    else:
        path.unlink()
    current = CurrentModel(unreachable, counters(tmp_path))
    current.refresh()
    with pytest.raises((ModelError, RegistryError), match=f"MLflow: .*; {said}"):
        current.get()
