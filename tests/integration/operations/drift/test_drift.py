"""`streamflow drift` with a registry: the score is that of Production, or of the version that is named."""

import json

import pytest
from click.testing import CliRunner
from frozen_project import freeze
from registered_models import model_folder, register

from streamflow.cli.drift import drift
from streamflow.core.errors import RegistryError
from streamflow.extracts.synthetic import generate_month

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"

pytestmark = pytest.mark.filterwarnings("default")


def score(*arguments):
    done = CliRunner().invoke(drift, [JANUARY, FEBRUARY, "--json", *arguments])
    if done.exit_code == 1 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return json.loads(done.stdout)["score"], json.loads(done.stdout)["columns"][-1]


def test_the_score_is_left_out_without_production_and_is_that_of_the_version_named(
    state, registry, rows, module_database_url, monkeypatch
):
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", module_database_url)
    for month in (JANUARY, FEBRUARY):
        freeze(state, month, generate_month(300, month, seed=5))
    for number, strength in enumerate((1.0, 0.01)):
        folder, digest = model_folder(state / f"model{number}", rows, strength)
        register(registry, folder, digest, f"fingerprint {number}")
    told, last = score()
    assert (told, last["name"]) == (
        {"left_out": "no version of streamflow_churn is Production"},
        "churn_label",
    )
    named, last = score("--model", "v2")
    assert (named["version"], named["feature_service"], last["name"]) == ("2", "churn_v1", "churn_probability")
    registry.promote("1")
    production, _ = score()
    assert production == score("--model", "1")[0]
    assert production["version"] == "1"
    assert production["reference_mean"] != named["reference_mean"]
    with pytest.raises(RegistryError, match="has no version or alias v7"):
        score("--model", "v7")
