"""`streamflow drift` over frozen months: exit codes, what is refused, and what it hands to the pipeline."""

import json

import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner
from frozen_project import freeze

from streamflow.cli import drift as command
from streamflow.core.errors import ConfigError, HistoryError, RegistryError, StreamFlowError
from streamflow.extracts.synthetic import generate_month
from streamflow.operations.repro.compose import redate

JANUARY, FEBRUARY, MARCH = "2024-01-31", "2024-02-29", "2024-03-31"
USERS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """February is as January was; in March everybody has churned."""
    folder = tmp_path_factory.mktemp("drift")
    tables = generate_month(USERS, JANUARY, seed=5)
    freeze(folder, JANUARY, tables)
    freeze(folder, FEBRUARY, tables)
    churned = tables["labels"].set_column(
        1, pa.field("churn_label", pa.bool_(), nullable=False), pa.array([True] * USERS)
    )
    freeze(folder, MARCH, {**tables, "labels": churned})
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(folder / "var"))
    for name in ("STREAMFLOW_DATABASE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def drift(*arguments, obj=None):
    done = CliRunner().invoke(command.drift, arguments, obj=obj)
    if isinstance(done.exception, StreamFlowError):
        raise done.exception
    return done


def test_months_that_do_not_differ_need_no_action_and_the_missing_model_is_said():
    done = drift(JANUARY, FEBRUARY)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "2024-01-31 (600 users) against 2024-02-29 (600 users)"
    assert "  score     left out: there is no registry here; name a version with --model" in lines
    assert "  features  0 of 20 drifted" in lines
    assert "NO_ACTION" in lines


def test_a_month_against_itself_is_told_so_and_backwards_too():
    assert "both are the same month, so nothing can differ" in drift(JANUARY, JANUARY).stdout
    assert "2024-01-31 is the earlier month" in drift(FEBRUARY, JANUARY).stdout


def test_everybody_churned_is_exit_code_1_and_the_label_is_that_of_each_month():
    done = drift(JANUARY, MARCH, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert (told["verdict"], told["label"]["current_rate"]) == ("RETRAIN", 1.0)
    assert 0.1 < told["label"]["reference_rate"] < 0.5
    assert told["features"]["drifted"] == []


def test_the_page_lies_where_the_user_stood_and_is_the_same_twice(folder, tmp_path):
    pages = []
    for name in ("one.html", "two.html"):
        assert drift(JANUARY, MARCH, "--html", name, obj=tmp_path).exit_code == 1
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]
    assert b"RETRAIN" in pages[0]
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="can't be written"):
        drift(JANUARY, MARCH, "--html", "folder", obj=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one.html", "two.html"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("January", FEBRUARY), ConfigError, "REFERENCE=January is not a date"),
        ((JANUARY, "2024-2-29"), ConfigError, "CURRENT=2024-2-29 is not a date"),
        (
            (JANUARY, "2024-04-30"),
            HistoryError,
            "2024-04-30 is not frozen: dvc.lock has no snapshot@2024-04-30; `streamflow repro calibration=sigmoid"
            " features=churn_v1 model=random_forest promotion=auto source=synthetic threshold=f1"
            " 'months=[2024-01-31,2024-02-29,2024-04-30]'",
        ),
        ((JANUARY, FEBRUARY, "--model", "v3"), RegistryError, "--model v3: there is no registry here"),
        ((FEBRUARY, JANUARY, "--retrain"), ConfigError, "CURRENT=2024-01-31, which is not after"),
    ],
)
def test_what_can_not_be_told_is_one_line_that_says_what_to_do(arguments, error, message):
    with pytest.raises(error) as refused:
        drift(*arguments)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_frozen_file_that_was_edited_or_taken_away_is_refused(folder):
    month = folder / "data/snapshots" / FEBRUARY
    file = month / "usage_agg_30d.parquet"
    content = file.read_bytes()
    try:
        file.write_bytes(content[:-1] + b"\0")
        with pytest.raises(
            HistoryError, match=r"MD5 of data/snapshots/2024-02-29 is \w+, stage snapshot@2024-02-29 wrote"
        ):
            drift(JANUARY, FEBRUARY)
        month.rename(folder / "away")
        with pytest.raises(HistoryError, match="data/snapshots/2024-02-29 is missing; `dvc checkout"):
            drift(JANUARY, FEBRUARY)
        (folder / "away").rename(month)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize(("month", "runs"), [(FEBRUARY, 0), (MARCH, 1)])
def test_retrain_runs_the_pipeline_as_of_the_current_month_if_it_is_due(monkeypatch, month, runs):
    asked = []
    monkeypatch.setattr(command.repro, "run", lambda overrides, choose: asked.append(overrides))
    done = drift(JANUARY, month, "--retrain")
    assert (done.exit_code, asked) == (runs, [[f"as_of={month}"]] * runs)


def test_another_date_keeps_every_other_choice_of_params_yaml(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (folder / "params.yaml").read_text().replace("n_estimators: 300", "n_estimators: 17")
    (tmp_path / "params.yaml").write_text(text)
    redate(FEBRUARY)
    assert (tmp_path / "params.yaml").read_text() == text.replace("as_of: '2024-01-31'", "as_of: '2024-02-29'")
    values = yaml.safe_load((tmp_path / "params.yaml").read_text())
    assert (values["as_of"], values["label_as_of"], values["model"]["n_estimators"]) == (FEBRUARY, FEBRUARY, 17)
    before = (tmp_path / "params.yaml").read_text()
    with pytest.raises(ConfigError, match="as_of=2024-03-31 is not one of"):
        redate(MARCH)
    assert (tmp_path / "params.yaml").read_text() == before
