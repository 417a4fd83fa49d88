"""`streamflow repro` with overrides on small data: choices, dates, corrections and refusals."""

import fcntl
import hashlib
import json
import shlex
import shutil

import pytest
from extract_files import edit, set_value, write_month
from http_server import gone
from plain_sql import differences
from project import Project

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
TRACKED = ("params.yaml", "dvc.lock", "artifacts/config.json", f"artifacts/ingest/{JANUARY}.json")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project.copy(tmp_path_factory.mktemp("overrides") / "streamflow")
    write_month(project.path / "extracts" / "month_000", 400, JANUARY)
    write_month(project.path / "extracts" / "month_001", 400, FEBRUARY)
    return project


def csv(*overrides):
    return [
        "repro",
        "source=csv",
        "source.dir=extracts",
        "model.n_estimators=20",
        "cross_validation.repeats=1",
        "cross_validation.folds=2",
        *overrides,
    ]


def digest(project, name):
    return hashlib.sha256((project.path / name).read_bytes()).hexdigest()


def tree(project):
    """Digests of tracked files and of everything under data/."""
    names = [*TRACKED, *(str(p.relative_to(project.path)) for p in sorted((project.path / "data").rglob("*.parquet")))]
    return {name: digest(project, name) for name in names}


def history(project):
    """Rows of the ledger and of the history, by way of psql."""
    tables = ("history.extracts", "history.subscriptions", "live.users")
    query = "; ".join(f"SELECT count(*) FROM {table}" for table in tables)
    return project.streamflow("db", "psql", "--", "-At", "-c", query).stdout.split()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("as_of=2030-01-31", "as_of=2030-01-31 is not one of 2024-01-31, 2024-02-29"),
        ("model=nonesuch", "model=nonesuch: no such option; one of blend, "),
        ("as_of=yesterday", "as_of=yesterday is not a date; write it as YYYY-MM-DD"),
    ],
)
def test_a_wrong_override_is_one_line_exit_code_2_and_no_change(project, override, said):
    done = project.streamflow("repro", override, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "params.yaml" not in project.status()


def test_january_is_the_same_before_and_after_february_was_ingested(project):
    project.streamflow(*csv(f"months=[{JANUARY}]"))
    before = tree(project)
    project.streamflow(*csv())
    after = tree(project)
    assert (project.path / "data/snapshots" / FEBRUARY / "users.parquet").exists()
    for name in before:
        if name.startswith("data/") or name.endswith(f"{JANUARY}.json"):
            assert after[name] == before[name], name
    assert json.loads(project.text("data/dataset/dataset.json"))["rows"] == 400
    assert differences(project.path, JANUARY) == (400, 0)


def test_no_override_keeps_the_choices(project):
    before = project.text("params.yaml")
    assert "name: csv" in before
    project.streamflow("repro")
    assert project.text("params.yaml") == before


@pytest.mark.parametrize("month", ["month_000", "month_001"])
def test_a_refused_extract_leaves_postgres_data_and_tracked_files_as_they_were(project, month):
    before, rows = tree(project), history(project)
    path = project.path / "extracts" / month / "subscriptions.csv"
    good = path.read_text()
    user = set_value(path, 6, "monthly_fee", "-29.85")
    done = project.streamflow("repro", check=False)
    path.write_text(good)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"{month}/subscriptions.csv: column monthly_fee, row 8, user {user}: -29.85 is below 0" in done.stderr
    assert tree(project) == before
    assert history(project) == rows


def test_an_override_whose_extracts_are_refused_is_taken_back(project):
    shutil.copytree(project.path / "extracts", project.path / "broken", dirs_exist_ok=True)
    edit(project.path / "broken" / "month_000" / "labels.csv", lambda text: text[:-3])
    before, rows = tree(project), history(project)
    done = project.streamflow("repro", "source=csv", "source.dir=broken", "seed=7", check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "labels.csv: row 401 ends without a newline" in done.stderr
    assert tree(project) == before
    assert history(project) == rows


def test_a_corrected_extract_becomes_a_new_version_and_a_new_training_set(project):
    before = tree(project)
    path = project.path / "extracts" / "month_000" / "subscriptions.csv"
    set_value(path, 6, "monthly_fee", "61.25")
    done = project.streamflow("repro")
    after = tree(project)
    assert "subscriptions +1;" in done.stdout or "subscriptions +1\n" in done.stdout
    receipt = json.loads(project.text(f"artifacts/ingest/{JANUARY}.json"))["tables"]
    assert len(receipt["subscriptions"]["versions"]) == 2
    changed = {name for name in before if after[name] != before[name] and name.startswith("data/")}
    assert changed == {f"data/snapshots/{JANUARY}/subscriptions.parquet", "data/dataset/dataset.parquet"}
    assert differences(project.path, JANUARY) == (400, 0)


def test_a_stage_that_refuses_its_settings_leaves_everything_as_it_was(project):
    before = tree(project)
    for override, said in (
        ("model.n_estimators=0", "RandomForestClassifier refuses its settings"),
        ("known_at=2020-01-01T00:00:00+00:00", "2024-01-31 was first recorded at"),
        ("split.test=0.001", "the test part lacks churners or others"),
    ):
        done = project.streamflow(*csv(override), check=False)
        assert done.returncode == 2, override
        assert len(done.stderr.splitlines()) == 1
        assert said in done.stderr
        assert tree(project) == before


def test_another_model_other_features_and_labels_of_a_later_month_run_through(project):
    folds = ["cross_validation.repeats=1", "cross_validation.folds=2"]
    choices = ["experiment=best", "source=csv", "source.dir=extracts", "promotion=never", "label_horizon_months=1"]
    done = project.streamflow("repro", *choices, *folds, "--json")
    told = json.loads(done.stdout)
    assert (told["model"], told["features"], told["as_of"]) == ("blend", "churn_v2", JANUARY)
    assert told["metrics"] == json.loads(project.text("artifacts/evaluation/metrics.json"))
    assert "promotion.policy is never" in told["decision"]
    assert "register: " in done.stderr
    assert json.loads(project.text("artifacts/model/feature_schema.json"))["feature_service"] == "churn_v2"
    counts = json.loads(project.text("data/dataset/dataset.json"))
    assert (counts["as_of"], counts["label_as_of"]) == (JANUARY, FEBRUARY)
    assert differences(project.path, JANUARY, FEBRUARY) == (400, 0)
    assert "the model looks ahead" in project.text("artifacts/evaluation/report.html")


def test_params_of_another_conf_are_refused_with_the_command_that_mends_it(project):
    conf = project.path / "conf" / "split" / "user_hash.yaml"
    good = conf.read_text()
    conf.write_text(good.replace("0.25", "0.30"))
    done = project.streamflow("repro", check=False)
    conf.write_text(good)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "params.yaml was composed from another conf/" in done.stderr
    named = done.stderr.split("`")[1]
    assert named.startswith("streamflow repro calibration=sigmoid features=churn_v2 model=blend")
    conf.write_text(good.replace("0.25", "0.24"))
    compose = "import sys; from streamflow.operations.repro.compose import compose; compose(sys.argv[1:])"
    project.run(project.python, "-c", compose, *shlex.split(named)[2:])  # what the command does first
    assert "test: 0.24" in project.text("params.yaml")
    assert "name: csv" in project.text("params.yaml")
    conf.write_text(good)


def test_a_second_pipeline_in_the_same_clone_is_refused_and_touches_nothing(project):
    with (project.path / "var" / "pipeline.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = tree(project)
        done = project.streamflow("repro", "seed=7", check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "another `streamflow repro` is running in this clone" in done.stderr
    assert tree(project) == before


def test_nothing_is_left_running(project):
    assert gone(project, 5) == []


def test_outside_a_project_it_says_so(project, tmp_path):
    outside = Project(tmp_path)
    done = outside.run("streamflow", "repro", check=False)
    assert done.returncode == 2
    assert "is not inside a StreamFlow project" in done.stderr
