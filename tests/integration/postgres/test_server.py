"""The embedded server: shared by processes, gone with the last, never broken by a kill."""

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from project import ROOT

from streamflow.core.errors import EnvironmentFault
from streamflow.postgres.connection import connect, connection_fields, sqlalchemy_url, without_password
from streamflow.postgres.server import EmbeddedPostgres, database

HOLD = """
import sys, time
from pathlib import Path
from streamflow.postgres.server import database
from streamflow.postgres.connection import connect
with database(Path(sys.argv[1])) as url:
    connection = connect(url); cursor = connection.cursor(); cursor.execute("SELECT 1"); connection.close()
    print("up", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.delenv("STREAMFLOW_DATABASE_URL", raising=False)
    yield tmp_path
    EmbeddedPostgres(tmp_path).stop()


def holder(state, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state), str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def is_up(state):
    return (state / "postgres" / "postmaster.pid").exists()


def test_four_processes_that_start_at_once_share_one_server_and_leave_none(state):
    started = [holder(state, 0.5) for _ in range(4)]
    outcomes = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0, 0], outcomes
    assert all(out == b"up\n" for out, _ in outcomes)
    assert not is_up(state)


def test_a_killed_process_does_not_keep_the_server_up_once_another_leaves(state):
    lost = holder(state, 60)
    assert lost.stdout.readline() == b"up\n"
    lost.send_signal(signal.SIGKILL)
    lost.wait()
    assert is_up(state)
    with database(state) as url:
        connect(url).close()
    assert not is_up(state)
    lost.stdout.close()
    lost.stderr.close()


def test_a_leaving_process_leaves_the_server_to_the_others(state):
    with database(state) as url:
        other = holder(state, 0)
        assert other.communicate(timeout=60)[0] == b"up\n"
        connect(url).close()
    assert not is_up(state)


def test_a_killed_server_is_started_again(state):
    with database(state) as url:
        pid = int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
    with database(state) as url:
        connect(url).close()


def test_an_interrupted_initdb_is_made_again(state):
    (state / "postgres").mkdir()
    (state / ".postgres-new-1").mkdir()
    with database(state) as url:
        connect(url).close()


def test_a_kept_server_stays_until_it_is_stopped(state):
    server = EmbeddedPostgres(state)
    server.acquire()
    server.keep()
    server.release()
    assert is_up(state)
    with database(state), pytest.raises(EnvironmentFault, match="in use"):
        EmbeddedPostgres(state).stop()
    assert is_up(state)
    assert EmbeddedPostgres(state).stop() is True
    assert EmbeddedPostgres(state).stop() is False
    assert not is_up(state)


ODD_NAMES = ["long" * 30, "a b", "näher", "a$HOME'\"b", "100%,x"]


@pytest.fixture(params=["plain", *ODD_NAMES])
def odd_state(monkeypatch, request):
    monkeypatch.delenv("STREAMFLOW_DATABASE_URL", raising=False)
    # Short, so that the socket would lie in the folder itself if it could; open to all, as a shared machine's folders are.
    with tempfile.TemporaryDirectory(prefix="s", dir="/tmp") as short:
        Path(short).chmod(0o755)
        links = Path(short) / "links"
        links.mkdir()
        links.chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", str(links))
        state = Path(short) / request.param
        state.mkdir()
        yield state
        EmbeddedPostgres(state).stop()


def answer_to(user, url):
    """What the server answers to another user of the machine."""
    entry, (reads, writes) = pwd.getpwnam(user), os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        try:
            psycopg2.connect(url)
            os.write(writes, b"connected")
        except psycopg2.Error as error:
            os.write(writes, str(error).encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as answer:
        words = answer.read()
    os.waitpid(child, 0)
    return words


def test_the_server_has_a_socket_on_any_path_and_no_other_user_reaches_it(odd_state):
    with database(odd_state) as url:
        connect(url).close()
        host = Path(psycopg2.extensions.parse_dsn(url)["host"])
        server_user = pwd.getpwnam("pgserver").pw_uid if os.geteuid() == 0 else os.geteuid()
        sockets = host / ".s.PGSQL.5432", odd_state / "postgres" / ".s.PGSQL.5432"
        assert sockets[0].samefile(sockets[1])
        assert stat.S_IMODE(sockets[0].stat().st_mode) == 0o700
        folder = sockets[1].parent.stat()
        assert (folder.st_uid, stat.S_IMODE(folder.st_mode)) == (server_user, 0o700)
        if os.geteuid() == 0:
            assert "Permission denied" in answer_to("nobody", url)


@pytest.mark.parametrize("odd_state", ["a b"], indirect=True)
def test_something_else_in_the_place_of_the_link_is_refused(odd_state):
    with database(odd_state):
        pass
    (link,) = Path(tempfile.tempdir).glob("streamflow-*")
    link.unlink()
    link.mkdir()
    with pytest.raises(EnvironmentFault, match="is not a link to"), database(odd_state):
        pass
    link.rmdir()


def test_a_url_of_the_user_is_taken_as_it_is_and_checked(monkeypatch):
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", "postgres://me:secret@db:5433/churn")
    with database() as url:
        assert url == "postgresql://me:secret@db:5433/churn"
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", "mysql://me:secret@db/churn")
    with pytest.raises(EnvironmentFault, match=r"mysql://me:\*\*\*@db/churn names no database") as refused, database():
        pass
    assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_one_line_without_the_password():
    url = "postgresql://me:secret@127.0.0.1:1/churn"
    with pytest.raises(EnvironmentFault, match="Connection refused") as refused:
        connect(url)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%zzSECRET@127.0.0.1:1/churn",
        "postgresql://me:SECRET/with/slashes@127.0.0.1:1/churn",
        "postgresql://me:SECRET#hash@127.0.0.1:1/churn",
        "postgresql://me:SECRET?query@127.0.0.1:1/churn",
        "postgresql://me:SECRET@one@127.0.0.1:1/churn",
        "postgresql://127.0.0.1:1/churn?user=me&password=SECRET",
        "postgresql://me:SECRET@one:1,two:2/churn",
    ],
)
def test_a_url_that_is_hard_to_read_never_shows_its_password(monkeypatch, url):
    monkeypatch.setenv("STREAMFLOW_DATABASE_URL", url)
    with pytest.raises(EnvironmentFault) as refused, database() as given:
        connect(given)
    assert "SECRET" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parts_of_a_url_survive_their_quoting():
    url = "postgresql://us%40er:p%40ss%27w%3Ard%2F%25@db:5433/churn?sslmode=require"
    assert connection_fields(url) == {
        "host": "db",
        "port": "5433",
        "database": "churn",
        "user": "us@er",
        "password": "p@ss'w:rd/%",
        "sslmode": "require",
    }
    assert without_password(url) == "postgresql://us%40er:***@db:5433/churn?sslmode=require"
    assert sqlalchemy_url(url, "mlflow") == (
        "postgresql+psycopg2://us%40er:p%40ss%27w%3Ard%2F%25@db:5433/churn?sslmode=require&options=-csearch_path%3Dmlflow"
    )
    assert psycopg2.extensions.parse_dsn(url)["password"] == "p@ss'w:rd/%"


def test_a_locale_that_this_machine_lacks_does_not_keep_the_server_down(state, monkeypatch):
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "tr_TR.UTF-8")
    monkeypatch.setenv("LC_CTYPE", "nonesuch")
    with database(state) as url, closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = 'streamflow'")
        assert cursor.fetchone() == ("UTF8", "C")
    assert os.environ["LC_CTYPE"] == "nonesuch"
