"""MLflow over a real Postgres: what is registered can be loaded and proved, what was damaged is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from registered_models import model_folder, register

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import ModelError, RegistryError
from streamflow.core.schema import service_features
from streamflow.model.scoring import ChurnModel
from streamflow.model.sklearn_pipeline import pipeline_frame
from streamflow.postgres.connection import transaction
from streamflow.promotion.decisions import FIRST
from streamflow.promotion.record import record_comparison
from streamflow.registry.decision import DecisionRecord, PromotionRule, decision_of
from streamflow.registry.served import RegistrySource
from streamflow.registry.settled import Settled, settled_version

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def version(registry, rows, tmp_path_factory):
    folder, digest = model_folder(tmp_path_factory.mktemp("one"), rows, 1.0)
    return register(registry, folder, digest, "f1"), digest, folder


def test_a_registered_model_loads_with_the_bytes_it_had(registry, version, rows):
    registered, digest, folder = version
    loaded = registry.load(registered)
    assert (loaded.version, loaded.model_sha256) == ("1", digest)
    values = {c.name: rows[c.name].to_pylist() for c in loaded.model.features}
    local = ChurnModel((folder / "model.onnx").read_bytes(), loaded.model.features)
    assert loaded.model.score(values) == local.score(values)


def test_the_run_keeps_metrics_tags_and_artifacts(registry, version):
    import mlflow

    run = mlflow.get_run(version[0].run_id)
    assert run.data.metrics["training_seconds"] == 1.5
    assert run.data.tags["mlflow.source.git.commit"] == version[0].tags["streamflow.git_commit"]
    assert run.data.tags["streamflow.input_fingerprint"] == "f1"
    names = {each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"golden.json", "folder"} <= names


def test_plain_mlflow_scores_a_data_frame_by_column_names(registry, version, rows):
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model("models:/streamflow_churn/1")
    features = service_features("churn_v1")
    frame = pd.DataFrame(
        {
            c.name: rows[c.name].to_pylist()
            if c.kind == "text"
            else pipeline_frame(rows, features)[c.name].astype(float)
            for c in features
        }
    )
    assert model.metadata.get_input_schema().input_names() == [c.name for c in features]
    answer = model.predict(frame)
    expected, _ = registry.load(version[0]).model.score({c.name: rows[c.name].to_pylist() for c in features})
    assert np.max(np.abs(np.ravel(answer["churn_probability"]) - expected)) < 1e-6


def test_production_is_the_alias_and_the_stage(registry, version, module_database_url, monkeypatch):
    import mlflow

    monkeypatch.setenv("STREAMFLOW_TRUST", "warn")  # no signed move stands behind the alias
    assert registry.production() is None
    production = RegistrySource(lambda: registry, "Production", "churn_v1")
    with pytest.raises(RegistryError, match="has no version or alias Production"):
        production.wanted()
    registry.promote("1")
    assert str(registry.production().version) == "1"
    assert production.load(production.wanted().version).version == "1"
    assert production.last_verified().model_sha256 == production.load("1").model_sha256
    for uri in ("models:/streamflow_churn@Production", "models:/streamflow_churn/Production"):
        assert mlflow.models.get_model_info(uri).signature is not None
    with pytest.raises(ModelError, match="takes the features of churn_v1, this graph looks up churn_v2"):
        RegistrySource(lambda: registry, "Production", "churn_v2").load("1")


def test_a_version_is_found_by_the_fingerprint_of_its_inputs(registry, version):
    assert str(registry.version_with_fingerprint("f1").version) == "1"
    assert registry.version_with_fingerprint("f2") is None


def test_a_look_at_the_tables_says_what_mlflow_would_say(registry, version, module_database_url, state, monkeypatch):
    _, digest, _ = version
    registry.promote("1")
    assert settled_version(module_database_url, "f1", digest) is None  # nothing was decided on it yet
    registry.record_decision("1", "auto: a reason")
    assert settled_version(module_database_url, "f1", digest) == Settled("1", "1", "auto: a reason", "")
    assert settled_version(module_database_url, "f1", "another digest") is None
    assert settled_version(module_database_url, "f2", digest) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert settled_version(module_database_url, "f1", digest) is None
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (stored,) = [p for p in state.rglob("models/*/artifacts/model.onnx") if bytes_sha256(p.read_bytes()) == digest]
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + b"\0")
    assert settled_version(module_database_url, "f1", digest) is None
    stored.write_bytes(content)
    registry._client.delete_registered_model_alias("streamflow_churn", "Production")
    assert settled_version(module_database_url, "f1", digest) == Settled("1", None, "auto: a reason", "")
    registry.promote("1")
    assert settled_version(module_database_url, "f1", digest) == Settled("1", "1", "auto: a reason", "")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"), "model.onnx has SHA-256"),
        (lambda path: path.unlink(), "its files can't be fetched"),
    ],
)
def test_a_damaged_version_is_refused(registry, state, rows, tmp_path, damage, said):
    folder, digest = model_folder(tmp_path / "two", rows, 0.01 + len(said))
    registered = register(registry, folder, digest, f"fingerprint of {said}")
    (stored,) = [
        path for path in state.rglob("models/*/artifacts/model.onnx") if bytes_sha256(path.read_bytes()) == digest
    ]
    damage(stored)
    with pytest.raises((ModelError, RegistryError), match=said):
        registry.load(registered)


def test_a_database_without_mlflow_is_nothing_settled(database_url):
    assert settled_version(database_url, "f1", "digest") is None


def test_a_registration_that_fails_leaves_no_version(registry, version, rows, tmp_path):
    folder, digest = model_folder(tmp_path / "three", rows, 3.0)
    (folder / "golden.json").unlink()
    before = len(registry.versions())
    with pytest.raises(RegistryError, match="golden"):
        register(registry, folder, digest, "f3")
    assert len(registry.versions()) == before
    assert registry.version_with_fingerprint("f3") is None


def test_nothing_is_written_beside_the_state(state, version):
    assert not Path("mlruns").exists()
    # What serving proved is kept beside MLflow's files, and nothing half-written with it.
    assert {path.name for path in state.iterdir()} == {
        ".git",
        "keys",
        "mlartifacts",
        "notes.lock",
        "params.yaml",
        "serve",
    }
    assert {path.name for path in (state / "serve" / "verified").iterdir()} == {"Production-churn_v1"}


def loaded(registry):
    return registry.load(registry.version("1"))


def test_every_move_of_production_is_a_line_that_nobody_can_edit(registry, version, module_database_url):
    from streamflow.postgres.connection import transaction
    from streamflow.promotion.ledger import entries, move
    from streamflow.registry.decision import Gate

    registry.promote("1")
    before = len(entries(module_database_url))
    move(
        module_database_url, registry, "promote", loaded(registry), "by hand", [Gate("environment", "numpy is another")]
    )
    line = entries(module_database_url)[-1]
    assert (line.action, line.from_version, line.to_version, line.why) == ("promote", "1", "1", "by hand")
    assert line.gates == {"environment": "numpy is another"}
    assert registry.version("1").description == f"a test\n\n{line.in_one_line()}"
    for change in (
        "UPDATE ledger.production SET why = 'x'",
        "DELETE FROM ledger.production",
        "TRUNCATE ledger.production",
    ):
        with pytest.raises(Exception, match="the ledger is append-only"), transaction(module_database_url) as cursor:
            cursor.execute(change)
    with pytest.raises(RegistryError):
        move(module_database_url, registry, "promote", replace(loaded(registry), version="99"), "there is none")
    assert len(entries(module_database_url)) == before + 1


def test_a_ledger_whose_protection_was_taken_away_is_named_and_protected_again(registry, version, database_url):
    from streamflow.postgres.connection import transaction
    from streamflow.promotion.ledger import move, protect_ledger, read_ledger, unprotected_ledger
    from streamflow.trust.store import moves_in_git

    assert unprotected_ledger(database_url) == []
    known = len(moves_in_git())  # git has the moves of the tests before
    assert len(protect_ledger(database_url)) == known
    move(database_url, registry, "promote", loaded(registry), "first")
    assert (read_ledger(database_url).last, unprotected_ledger(database_url)) == ("1", [])
    with transaction(database_url) as cursor:
        cursor.execute("ALTER TABLE ledger.production DISABLE TRIGGER ALL")
    assert protect_ledger(database_url) == ["table ledger.production no longer refused changes"]
    with pytest.raises(Exception, match="the ledger is append-only"), transaction(database_url) as cursor:
        cursor.execute("DELETE FROM ledger.production")


def test_a_move_whose_description_cannot_be_written_is_made_and_written_down(
    registry, version, module_database_url, monkeypatch
):
    from streamflow.promotion.ledger import entries, move

    def refuse(number, line):
        raise RegistryError("MLflow: no")

    registry.promote("1")
    monkeypatch.setattr(registry, "describe", refuse)
    made = move(module_database_url, registry, "promote", loaded(registry), "described later")
    assert entries(module_database_url)[-1] == made
    assert "described later" not in registry.version("1").description


def test_a_version_of_which_no_decision_is_recorded_is_promoted_by_force_only(registry, version):
    from streamflow.operations.promote.gates import version_gates

    registered, _, _ = version  # as it was when it was made
    assert decision_of(registered) is None
    shut = {gate.name: gate.detail for gate in version_gates(registry, registered, None)}
    for name in ("leakage", "overlap"):
        assert shut[name] == "version 1 has no record of it: other code registered it; `streamflow repro` at its commit"


def test_a_decision_that_is_recorded_is_not_written_again(registry, version):
    record = DecisionRecord(True, FIRST.reason, PromotionRule("auto", "roc_auc", 0.0, 0.95, 2000, 0.95, 42), None, None)
    record_comparison(registry, registry.version("1"), record)
    assert decision_of(registry.version("1")) == record
    client = registry._client
    registry._client = None  # nothing is asked of MLflow
    try:
        record_comparison(registry, version_with(client, record), record)
    finally:
        registry._client = client


def version_with(client, record):
    """Version 1 as MLflow has it, which holds the record."""
    found = client.get_model_version("streamflow_churn", "1")
    assert json.loads(found.tags["streamflow.comparison"]) == record.to_json()
    return found


def test_a_version_whose_run_or_tag_was_deleted_is_listed_and_named(
    registry, version, module_database_url, monkeypatch
):
    from click.testing import CliRunner

    from streamflow.cli.models import models
    from streamflow.registry.references import find_target

    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", module_database_url)
    registered, digest, _ = version
    registry._client.delete_model_version_tag("streamflow_churn", "1", "streamflow.model_sha256")
    with pytest.raises(RegistryError, match=r"version 1 has no tag streamflow\.model_sha256: somebody deleted it"):
        find_target("v1", registry)
    with transaction(module_database_url) as cursor:
        cursor.execute("DELETE FROM mlflow.latest_metrics WHERE run_uuid = %s", (registered.run_id,))
        cursor.execute("DELETE FROM mlflow.metrics WHERE run_uuid = %s", (registered.run_id,))
    assert "its run has no metrics" in CliRunner().invoke(models, [], catch_exceptions=False).output
    registry.set_tags("1", {"model_sha256": digest})


def test_promoting_what_is_production_already_changes_nothing(registry, version, module_database_url):
    from streamflow.cli.promote import is_production
    from streamflow.promotion.ledger import move, read_ledger

    move(module_database_url, registry, "promote", loaded(registry), "by hand")
    assert is_production(read_ledger(module_database_url), registry, "1")
    assert not is_production(read_ledger(module_database_url), registry, "2")
    registry._client.delete_registered_model_alias("streamflow_churn", "Production")
    assert not is_production(read_ledger(module_database_url), registry, "1")
