"""`streamflow serve` and `ui` over a real registry: what is checked before Ray starts, and Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest
from http_server import free_port
from project import ROOT


@pytest.fixture
def started(tmp_path, registry_database_url):
    """Starts a command of the project, with a state folder of its own, over an empty registry."""

    def start(*command, **environment):
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={
                **os.environ,
                "STREAMFLOW_STATE_DIR": str(tmp_path),
                "STREAMFLOW_DATABASE_URL": registry_database_url,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ended(process):
    """Exit code, stdout and stderr."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("model", ["99", "Production", "challenger"])
def test_a_version_that_is_not_there_is_one_line_before_ray_starts(started, model):
    process = started("streamflow.cli.main", "serve", "--port", str(free_port()), f"model={model}")
    assert ended(process) == (
        2, "", f"streamflow serve: streamflow_churn has no version or alias {model}; `streamflow models` lists them\n",
    )  # fmt: skip


def test_an_mlflow_that_is_away_stops_a_start_unless_a_version_was_verified_here(started, tmp_path):
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    check = "from serve.checks import *; require_version(parse_arguments(('model=v3',))); print('starts')"
    code, out, err = ended(started("streamflow.cli.main", "serve", "--port", str(free_port()), "model=v3", **away))
    assert (code, out) == (2, "")
    assert err.startswith("streamflow serve: MLflow at http://127.0.0.1:1: Connection refused; start that server")
    assert err.count("\n") == 1
    kept = tmp_path / "serve/verified/v3-churn_v1"
    kept.mkdir(parents=True)
    (kept / "version.json").write_text("{}")
    environment = {**os.environ, **away, "STREAMFLOW_STATE_DIR": str(tmp_path),
                   "STREAMFLOW_DATABASE_URL": "postgresql://unused@localhost/x"}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "starts\n"), done.stderr
    assert done.stderr.startswith(
        "warning: starting with the version verified on this machine before: MLflow at http://"
    )
    shutil.rmtree(kept)


def test_ctrl_c_ends_mlflow_s_pages_with_one_plain_line(started):
    port = free_port()
    process = started("streamflow.cli.main", "ui", "--port", str(port))
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.25)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 130
    assert out.splitlines()[-1] == "stopped"
    assert "Traceback" not in err
    assert "Aborted" not in err
