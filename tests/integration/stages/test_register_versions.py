"""Stage `register` over a real MLflow: which version it makes or finds, for new, known, contradictory and damaged ones."""

import json

import pytest
import yaml
from register_workspace import md5

from stages import register
from streamflow.core.config import parse_config
from streamflow.core.errors import RegistryError
from streamflow.pipeline.file_digest import file_sha256
from streamflow.registry.registry import open_registry

pytestmark = pytest.mark.filterwarnings("default")


def test_the_first_model_becomes_production_and_a_second_run_changes_nothing(workspace):
    _, digest = workspace.train(1.0, "a")
    first = workspace.register()
    assert (first["version"], first["production"], first["reason"]) == ("1", "1", "there was no Production version")
    assert workspace.register() == {"version": "1", "production": "1", "reason": "it is Production"}
    version = open_registry(workspace.url).production()
    assert version.tags["streamflow.model_sha256"] == digest
    assert version.tags["streamflow.decision"] == "promoted: there was no Production version"
    assert version.tags["streamflow.snapshots"] == json.dumps({"2024-01-31": f"{md5('s')}.dir"})
    assert workspace.versions() == ["1"]


def test_a_better_model_takes_over_a_worse_one_does_not_and_neither_is_decided_twice(workspace):
    worse, _ = workspace.train(0.00001, "a")
    workspace.register()
    better, _ = workspace.train(1.0, "b")
    assert better > worse
    assert workspace.register()["production"] == "2"
    workspace.train(0.00001, "c")
    refused = workspace.register()
    assert (refused["version"], refused["production"]) == ("3", "2")
    assert f"roc_auc {worse:.4f} against the champion's {better:.4f} (version 2)" in refused["reason"]
    workspace.train(1.0, "b")
    open_registry(workspace.url).promote("3")
    assert workspace.register() == {"version": "2", "production": "3", "reason": "registered before; Production stays"}


def test_the_same_inputs_with_another_model_are_an_error_and_no_version(workspace):
    workspace.train(1.0, "a")
    workspace.register()
    workspace.train(0.5, "a")
    with pytest.raises(RegistryError, match="came from the same inputs with model"):
        workspace.register()
    assert workspace.versions() == ["1"]


@pytest.mark.parametrize("damage", ["bytes", "gone"])
def test_a_damaged_production_version_is_replaced(workspace, damage):
    workspace.train(1.0, "a")
    workspace.register()
    (stored,) = (workspace.folder / "var/mlartifacts").rglob("model.onnx")
    stored.unlink() if damage == "gone" else stored.write_bytes(stored.read_bytes()[:-1] + b"\0")
    healed = workspace.register()
    assert (healed["version"], healed["production"]) == ("2", "2")
    assert "version 1, is not usable" in healed["reason"]
    assert workspace.register()["reason"] == "it is Production"


def test_a_version_that_nothing_was_decided_on_is_decided_on(workspace):
    workspace.train(0.00001, "a")
    workspace.register()
    workspace.train(1.0, "b")
    config = parse_config(yaml.safe_load((workspace.folder / "params.yaml").read_text()))
    registry = open_registry(workspace.url)
    lock = register.locked_stages()
    fingerprint = register.input_fingerprint(lock, file_sha256(workspace.folder / "requirements.lock"))
    model_sha256 = file_sha256(workspace.folder / "artifacts/model/model.onnx")
    assert register.register(config, registry, fingerprint, model_sha256) == "2"  # and killed here
    assert workspace.register()["production"] == "2"
    assert workspace.versions() == ["2", "1"]


def test_a_version_made_with_other_packages_gives_way_to_the_one_of_the_lock(workspace, capsys):
    workspace.train(0.5, "a")
    workspace.register("never")
    other = {"environment_matches_lock": "false", "environment_differences": "numpy 1.0 (locked 2.0)"}
    open_registry(workspace.url).set_tags("1", other)
    workspace.train(1.0, "a")
    assert workspace.register()["production"] == "2"
    assert "version 1 of the same inputs was made with numpy 1.0 (locked 2.0)" in capsys.readouterr().out


def test_a_version_that_explored_does_not_become_that_of_a_commit_with_another_evaluation(workspace):
    (workspace.folder / "params.yaml").write_text((workspace.folder / "params.yaml").read_text() + "# edited\n")
    workspace.train(1.0, "a")
    workspace.register()
    lock = workspace.folder / "dvc.lock"
    lock.write_text(lock.read_text().replace(md5("d"), md5("e")))
    workspace.commit()
    again = workspace.register()
    assert (again["version"], again["production"]) == ("2", "2")
    tags = {str(version.version): version.tags for version in open_registry(workspace.url).versions()}
    assert (tags["1"]["streamflow.git_dirty"], tags["2"]["streamflow.git_dirty"]) == ("true", "false")
