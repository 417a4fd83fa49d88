"""docker-compose.yml against the Compose specification, as `docker-compose config` checks it without an engine."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from project import ROOT

COMPOSE = ROOT / "docker-compose.yml"


def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="needs docker-compose: apt-get install docker-compose")
@pytest.mark.parametrize(("password", "accepted"), [("secret", True), (None, False)])
def test_the_schema_accepts_the_file_and_a_missing_password_is_refused(password, accepted):
    environment = {name: value for name, value in os.environ.items() if name != "STREAMFLOW_DB_PASSWORD"}
    if password:
        environment["STREAMFLOW_DB_PASSWORD"] = password
    done = subprocess.run(
        ["docker-compose", "-f", str(COMPOSE), "config"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is accepted, done.stderr
    if accepted:
        assert "postgresql://streamflow:secret@postgres:5432/streamflow" in done.stdout
    else:
        assert "put STREAMFLOW_DB_PASSWORD=... into .env" in done.stderr


def test_there_is_no_default_password():
    assert set(re.findall(r"\$\{STREAMFLOW_DB_PASSWORD[^}]*\}", COMPOSE.read_text())) == {
        "${STREAMFLOW_DB_PASSWORD:?put STREAMFLOW_DB_PASSWORD=... into .env}"
    }


def test_every_port_is_on_loopback():
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_services_wait_for_each_other_and_are_watched():
    found = services()
    assert list(found) == ["postgres", "mlflow", "pipeline", "serve"]
    assert found["postgres"]["image"] == "postgres:16"
    assert found["serve"]["depends_on"] == {"pipeline": {"condition": "service_completed_successfully"}}
    assert found["pipeline"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert all("healthcheck" in found[name] for name in ("postgres", "mlflow", "serve"))
    assert found["pipeline"]["restart"] == "no"


def test_the_commands_of_the_services_exist():
    from streamflow.cli.main import cli

    for name, service in services().items():
        if name != "postgres":
            program, command, *options = service["command"]
            assert program == "streamflow"
            known = {option for parameter in cli.commands[command].params for option in parameter.opts}
            assert {option for option in options if option.startswith("--")} <= known


def test_the_image_is_made_from_the_lock_with_hashes_and_runs_as_a_user():
    text = (ROOT / "Dockerfile").read_text()
    assert "FROM python:3.11" in text
    assert "--require-hashes --requirement requirements.lock" in text
    assert "USER streamflow" in text


@pytest.mark.parametrize("ignored", [".gitignore", ".dockerignore"])
def test_the_file_with_the_password_is_neither_committed_nor_copied_into_an_image(ignored):
    assert ".env" in (ROOT / ignored).read_text().splitlines()


def test_git_does_not_add_the_file_with_the_password(tmp_path):
    (tmp_path / ".env").write_text("STREAMFLOW_DB_PASSWORD=secret\n")
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    listed = subprocess.run(["git", "ls-files"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert listed.split() == [".gitignore"]
