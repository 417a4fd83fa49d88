"""The services of docker-compose.yml without containers: PostgreSQL over TCP with a password, MLflow's server, the
pipeline and Serve."""

import json
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from http_server import gone, running, serving
from postgres_server import password_server
from project import ELSEWHERE, Project, small


@pytest.fixture(scope="module")
def url():
    with password_server() as address:
        yield address


@pytest.fixture(scope="module")
def project(tmp_path_factory, url):
    folder = tmp_path_factory.mktemp("server")
    mlflow = Project.copy(folder / "mlflow", STREAMFLOW_DATABASE_URL=url)
    with running(mlflow, folder / "mlflow.log", "ui", "/health") as tracking:
        services = {"STREAMFLOW_DATABASE_URL": url, "MLFLOW_TRACKING_URI": str(tracking.base_url)}
        project = Project.copy(folder / "streamflow", *small(), **services, **ELSEWHERE)
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


def test_every_output_is_that_of_the_embedded_server_in_a_plain_surrounding(project, small_result):
    """Another project of the suite ran the same configuration with the embedded server and the settings of the tests."""
    found = project.outputs()
    assert len(found) >= 18
    assert found == small_result.outputs()


def test_online_equals_offline_in_a_server_whose_zone_is_not_utc_and_one_changed_value_is_named(project):
    fee = "UPDATE feast.streamflow_subs_profile_fv SET monthly_fee = {} WHERE user_id = '7590-VHVEG'"
    project.streamflow("db", "psql", "--", "-c", fee.format(93.85))
    code, found = skew(project)
    assert (code, found["findings"]) == (
        1,
        ["monthly_fee differs for 1 user", "churn_probability differs for 1 user"],
    )
    assert found["features"]["first"] == [
        {
            "user_id": "7590-VHVEG",
            "feature": "monthly_fee",
            "online": 93.85,
            "offline": 29.85,
            "readers": ["serving", "feast"],
        }
    ]
    told = project.streamflow("check-skew", check=False).stdout
    assert "monthly_fee differs for 1 user" in told
    assert "7590-VHVEG" in told
    project.streamflow("db", "psql", "--", "-c", fee.format(29.85))
    assert skew(project)[0] == 0


def skew(project, *options):
    """Exit code and facts of `streamflow check-skew`."""
    done = project.streamflow("check-skew", "--json", *options, check=False, TZ="Asia/Tokyo")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["online_as_of"] == [found["as_of"]] == ["2024-01-31"]
    assert (found["users"], found["only_online"], found["only_offline"]) == (400, 0, 0)
    assert found["features"]["compared"]["serving"] == found["features"]["compared"]["feast"] == 400 * 14
    assert sum(found["probabilities"]["compared"].values()) == 400
    return done.returncode, found


def test_a_second_run_converges(project):
    done = project.streamflow("repro")
    assert "ingest: 2 of 2 months are as at the last look" in done.stdout
    assert "holds model" in done.stdout
    assert "are online already" in done.stdout


def test_serving_answers_from_the_named_server(project, tmp_path):
    with serving(project, tmp_path / "serve.log") as client:
        row = pq.read_table(project.path / "artifacts/evaluation/predictions.parquet").to_pylist()[0]
        rows = pq.read_table(project.path / "data/dataset/dataset.parquet").to_pylist()
        (known,) = (each for each in rows if each["user_id"] == row["user_id"])
        answer = client.post("/predict", json={"user_id": row["user_id"]})
        assert answer.status_code == 200
        assert answer.json()["features_used"].items() <= known.items()
        assert answer.json()["probability"] == pytest.approx(row["churn_probability"], abs=1e-6)
        assert answer.json()["feature_timestamp"] == "2024-01-31T00:00:00Z"
        code, found = skew(project, "--url", str(client.base_url))
        assert (code, found["served_version"], found["findings"]) == (0, "1", [])
        assert found["features"]["compared"]["server"] == 400 * 14
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
