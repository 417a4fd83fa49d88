"""`streamflow serve` and `ui` refuse an address, a database or an MLflow that can't be used, before anything starts."""

import socket

import pytest
from click.testing import CliRunner
from project import ROOT

from serve import checks
from serve.arguments import Arguments
from streamflow.cli import listening, servers
from streamflow.cli.main import cli
from streamflow.core.errors import ConfigError, EnvironmentFault
from streamflow.registry import connection


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch):
    """Here is the project; no server and no embedded database may start."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(servers, "_foreground", refuse_to_start)
    monkeypatch.setattr(servers.lifeline, "lifeline", refuse_to_start)
    for name in ("STREAMFLOW_DATABASE_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def refuse_to_start(*arguments, **options):
    raise AssertionError(f"started: {arguments}")


def refusal(*arguments):
    """The one line on stderr; the exit code is 2."""
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def silent():
    """host:port of a socket that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("command", ["serve", "ui"])
@pytest.mark.parametrize("port", ["99999", "0", "-1"])
def test_a_port_that_is_none_is_refused_with_its_range(command, port):
    assert refusal(command, "--port", port) == (
        f"streamflow {command}: Invalid value for '--port': {port} is not in the range 1<=x<=65535;"
        f" `streamflow {command} --help`"
    )


@pytest.mark.parametrize("command", ["serve", "ui"])
def test_a_host_that_is_no_address_of_this_machine_is_not_called_taken(command, monkeypatch):
    monkeypatch.setattr(servers, "database", refuse_to_start)
    choices = "--host 127.0.0.1 listens for this machine, 0.0.0.0 for all networks"
    assert refusal(command, "--host", "no such host") == (
        f"streamflow: --host 'no such host' is no address and no name of a machine; {choices}"
    )
    # An address of documentation, RFC 5737: no machine has it.
    assert refusal(command, "--host", "192.0.2.1") == (
        f"streamflow: --host '192.0.2.1' is no address of this machine; {choices}"
    )


def test_a_port_for_root_only_says_so():
    denied = OSError(13, "Permission denied")
    assert listening._refusal(denied, "127.0.0.1", 80) == (
        "--port 80 is allowed to root only; use a port above 1023, for example --port 8000"
    )


def test_a_taken_port_names_what_is_known_and_a_free_one_passes(silent):
    host, port = silent.split(":")
    with pytest.raises(EnvironmentFault, match=rf"{silent} is taken \(Address already in use\); stop that server"):
        listening.require_free(host, int(port))
    with socket.socket() as probe:
        probe.bind((host, 0))
        free = probe.getsockname()[1]
    listening.require_free("localhost", free)
    assert listening.web_address("::1", 8000) == "http://[::1]:8000"


@pytest.mark.parametrize("command", ["serve", "ui", "models"])
def test_a_dead_database_is_named_without_its_password(command, monkeypatch):
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", "postgresql://anna:secret@127.0.0.1:1/churn")
    assert refusal(command) == (
        "streamflow: Postgres at postgresql://anna:***@127.0.0.1:1/churn: Connection refused; check STREAMFLOW_DATABASE_URL"
    )


@pytest.mark.parametrize("command", [("models",), ("repro",), ("promote", "v1"), ("rollback",)])
def test_an_mlflow_that_does_not_answer_is_named_without_its_password(command, monkeypatch):
    monkeypatch.setattr("streamflow.cli.repro.single_run", refuse_to_start)
    # Nothing asks the database before.
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", "postgresql://anna:secret@127.0.0.1:1/churn")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:secret@127.0.0.1:1")
    assert refusal(*command) == (
        "streamflow: MLflow at http://anna:***@127.0.0.1:1: Connection refused; start that server, or set"
        " MLFLOW_TRACKING_URI to one that runs (unset, MLflow is in the project's own database)"
    )


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://{silent}", "no answer within 0.5 s"),
        ("https://{silent}", "no answer within 0.5 s"),
        ("http://no-such-host.invalid:5000", "Name or service not known|No address|Temporary failure"),
        ("postgresql+psycopg2://anna:secret@127.0.0.1:1/mlflow", "Connection refused"),
        ("http://:secret@", "Invalid URL"),
    ],
)
def test_an_mlflow_that_is_silent_or_nowhere_is_asked_no_longer_than_its_patience(uri, reason, silent, monkeypatch):
    monkeypatch.setattr(connection, "_PATIENCE_SECONDS", 0.5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(silent=silent))
    with pytest.raises(connection.RegistryError, match=f": ({reason})") as refused:
        connection.answering_server()
    assert "secret" not in str(refused.value)


def test_an_mlflow_that_answers_anything_is_there_and_so_is_a_file(monkeypatch, tmp_path, http_server):
    assert connection._PATIENCE_SECONDS < 10
    for uri in (http_server, f"postgresql://{http_server.removeprefix('http://')}/x", f"sqlite:///{tmp_path}/m.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert connection.answering_server() == uri
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert connection.answering_server() is None


@pytest.fixture
def http_server():
    """URL of a server that answers 501 to everything."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_pages_of_an_mlflow_server_are_its_own(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:secret@mlflow:5000")
    assert refusal("ui") == (
        "streamflow: MLFLOW_TRACKING_URI names a server with pages of its own: open http://anna:***@mlflow:5000 in a"
        " browser, or `env -u MLFLOW_TRACKING_URI streamflow ui` for the project's own database"
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("modle=3",), "'modle' is no argument (did you mean model?); KEY=VALUE takes graph, model, feature_service"),
        (("fused",), "'fused' is no argument; KEY=VALUE takes graph, "),
        (("graph=fussed",), "graph='fussed': Input should be 'split' or 'fused'; `streamflow serve --help`"),
        (("replicas=0",), "replicas='0': Input should be greater than or equal to 1"),
    ],
)
def test_an_argument_that_does_not_exist_is_refused_with_those_that_do(texts, message):
    with pytest.raises(ConfigError) as refused:
        checks.parse_arguments(texts)
    assert str(refused.value).startswith(message)
    assert checks.parse_arguments(("graph=fused", "model=v3")) == Arguments(graph="fused", model="v3")
