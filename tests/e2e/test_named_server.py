"""The services of docker-compose.yml without containers: PostgreSQL over TCP with a password, MLflow's server, the
pipeline and Serve."""

import json
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from http_server import gone, running, serving
from postgres_server import password_server
from project import Project, small


@pytest.fixture(scope="module")
def url():
    with password_server() as address:
        yield address


@pytest.fixture(scope="module")
def project(tmp_path_factory, url):
    folder = tmp_path_factory.mktemp("server")
    mlflow = Project.copy(folder / "mlflow", STREAMFLOW_DATABASE_URL=url)
    with running(mlflow, folder / "mlflow.log", "ui", "/health") as tracking:
        project = Project.copy(
            folder / "streamflow", *small(), STREAMFLOW_DATABASE_URL=url, MLFLOW_TRACKING_URI=str(tracking.base_url)
        )
        project.mlflow = mlflow
        project.streamflow("repro")
        yield project
    assert gone(mlflow) == []


def test_everything_lives_in_the_named_server(project):
    query = "SELECT DISTINCT table_schema FROM information_schema.tables ORDER BY 1"
    schemas = project.streamflow("db", "psql", "--", "-At", "-c", query).stdout.split()
    assert {"live", "history", "feast", "mlflow"} <= set(schemas)
    assert not (project.path / "var" / "postgres").exists()


def test_the_models_files_are_kept_by_the_mlflow_server(project):
    assert not (project.path / "var" / "mlartifacts").exists()
    assert len(list((project.mlflow.path / "var" / "mlartifacts").rglob("model.onnx"))) == 1


def test_the_training_set_is_that_of_the_embedded_server(project, tmp_path):
    embedded = Project.copy(tmp_path / "embedded")
    for name in ("STREAMFLOW_DATABASE_URL", "MLFLOW_TRACKING_URI"):
        embedded.environment.pop(name, None)
    embedded.run("cp", str(project.path / "params.yaml"), "params.yaml")
    embedded.run("dvc", "repro", "dataset")
    assert embedded.outputs("dataset", "snapshot@2024-01-31") == project.outputs("dataset", "snapshot@2024-01-31")


def test_online_features_equal_offline_features_in_a_server_whose_zone_is_not_utc(project):
    script = Path(__file__).parents[1] / "support" / "online_offline.py"
    done = project.run(sys.executable, str(script), "2024-01-31", "churn_v1", PYTHONPATH=str(project.path))
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["users"], answer["different"]) == (400, [])
    assert answer["moments"] == ["2024-01-31T00:00:00+00:00"]


def test_a_second_run_converges(project):
    done = project.streamflow("repro")
    assert "nothing new" in done.stdout
    assert "holds model" in done.stdout
    assert "are online already" in done.stdout


def test_serving_answers_from_the_named_server(project, tmp_path):
    with serving(project, tmp_path / "serve.log") as client:
        row = json.loads(project.text("artifacts/model/golden.json"))["rows"][0]
        answer = client.post("/predict", json={"user_id": row["user_id"]})
        assert answer.status_code == 200
        assert answer.json()["features_used"] == row["features"]
        assert answer.json()["probability"] == pytest.approx(row["churn_probability"], abs=1e-6)
        assert answer.json()["feature_timestamp"] == "2024-01-31T00:00:00Z"
    assert gone(project) == []


def test_the_password_is_in_no_file_of_the_project(project, url):
    secret = url.split(":")[2].split("@")[0]
    for path in project.path.rglob("*"):
        if path.is_file() and ".git" not in path.parts and path.stat().st_size < 5_000_000:
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert unquote(secret).encode() not in content, path


def test_a_wrong_password_is_one_line_without_it(project, url):
    wrong = url.replace("streamflow:", "streamflow:wrong", 1)
    done = project.streamflow("repro", check=False, STREAMFLOW_DATABASE_URL=wrong)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "password authentication failed" in done.stderr
    assert "wrong" not in done.stderr
