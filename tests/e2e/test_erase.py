"""Users are erased from a project with a remote and a registry: the rest is proven, a killed call is finished."""

import json
import re
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from project import Project

ROWS = "SELECT count(*) FROM history.{table} WHERE user_id = ANY('{users}')"
SMALL = ["source.users=400", "model=logistic_regression", "cross_validation.repeats=1", "cross_validation.folds=2"]
ARMED = (
    "SELECT count(*) FROM pg_trigger WHERE tgname = 'append_only' AND tgenabled = 'O'"
    " AND tgrelid::regclass::text LIKE 'history.%'"
)
TABLES = ("users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("erase")
    project = Project.copy(folder / "main", *SMALL)
    project.remote = folder / "remote"
    project.run(project.python, "-m", "dvc", "remote", "add", "--default", "store", str(project.remote))
    project.run("git", "commit", "-q", "--all", "-m", "a remote")
    project.streamflow("repro")
    project.run("git", "add", "--all")
    project.run("git", "commit", "-q", "-m", "results")
    project.streamflow("tag", "before")
    project.run(project.python, "-m", "dvc", "push")
    return project


def scanned(project, users):
    """Every file of the project and of its remote that holds a user: as bytes, or as a value in Parquet; written apart."""
    found, needles = [], [user.encode() for user in users]
    for root in (project.path, project.remote):
        for path in root.rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            content = path.read_bytes()
            values = set()
            if content[:4] == b"PAR1":
                for column in pq.read_table(pa.BufferReader(content)).columns:
                    values |= set(column.to_pylist()) if pa.types.is_string(column.type) else set()
            if any(needle in content for needle in needles) or values & set(users):
                found.append(path.relative_to(root.parent).as_posix())
    return sorted(found)


def users_of(project):
    return pq.read_table(project.path / "data/dataset/dataset.parquet")["user_id"].to_pylist()


def query(project, text):
    return project.streamflow("db", "psql", "--", "-At", "-c", text).stdout.strip()


def test_a_user_is_erased_everywhere_and_what_is_left_is_proven_to_be_what_it_was(project):
    (user,) = users_of(project)[40:41]
    other = {name: query(project, f"SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM history.{name} x"
                                  f" WHERE user_id <> '{user}'") for name in TABLES}  # fmt: skip
    before = scanned(project, [user])
    assert len([name for name in before if "/.dvc/cache/" in name]) >= 13
    assert len([name for name in before if name.startswith("remote/")]) >= 13
    assert [name for name in before if "pg_wal" in name] != []

    done = project.streamflow("erase", user, "--reason", "asked for in ticket 4711", "--yes")
    assert scanned(project, [user]) == []
    assert "no trace is left (erasure 1)" in done.stdout
    assert "version 1 was trained with 1 of them; serving: continue" in done.stdout
    assert done.stderr == ""
    record = project.text("artifacts/erasures/0001.json")
    assert json.loads(record)["reason"] == "asked for in ticket 4711"
    assert json.loads(record)["users"] == 1
    assert user not in record
    assert {name: query(project, f"SELECT md5(string_agg(x::text, ',' ORDER BY x::text)) FROM history.{name} x")
            for name in TABLES} == other  # fmt: skip
    assert query(project, ARMED) == "9"
    change = ("db", "psql", "--", "-c", "DELETE FROM history.users")
    assert "history.users is append-only: DELETE refused" in project.streamflow(*change, check=False).stderr
    assert query(project, "SELECT count(DISTINCT user_id) FROM history.users") == "399"

    again = project.streamflow("rerun", "exp/before", check=False)
    assert again.returncode == 1
    assert "is DERIVABLE BUT FOR 1 ERASED USER: every other row of its months is proven" in again.stdout
    assert "proven      2024-01-31: 2394 rows in 6 tables, by the root of the commit's own receipt" in again.stdout
    told = json.loads(project.streamflow("rerun", "exp/before", "--json", check=False).stdout)
    assert (told["verdict"], told["erased_users"], told["first_divergence"]) == ("erased", 1, None)


def test_one_changed_value_among_the_rest_is_not_proven(project):
    cache = project.path / ".dvc/cache/files/md5"
    snapshots = json.loads(project.text("artifacts/erasures/0001.json"))["snapshots"]
    lock = project.outputs("snapshot@2024-01-31")
    now = snapshots[lock["data/snapshots/2024-01-31"]]["now"]
    manifest = json.loads((cache / now[:2] / now[2:]).read_bytes())
    path = next(cache / each["md5"][:2] / each["md5"][2:] for each in manifest if each["relpath"] == "labels.parquet")
    record = project.path / "artifacts/erasures/0001.json"
    text = record.read_text()
    forged = {**json.loads(text)}
    digest = next(d for d, c in forged["contents"].items() if (c["table"], c["month"]) == ("labels", "2024-01-31"))
    forged["contents"][digest]["tombstones"] = ["00" * 32]
    record.write_text(json.dumps(forged))
    unsigned = project.streamflow("rerun", "exp/before", check=False)
    assert unsigned.returncode == 2
    assert "artifacts/erasures/0001.dsse.json signs another record than artifacts/erasures/0001.json" in unsigned.stderr
    signature = project.path / "artifacts/erasures/0001.dsse.json"
    signed = signature.read_text()
    signature.unlink()
    nobody = project.streamflow("rerun", "exp/before", check=False)
    assert nobody.returncode == 2, "a record that nobody signed changes nothing, and the rows are not there"
    sign = "from streamflow.trust.erasure_records import write_records; write_records({1: ''})"
    project.run(project.python, "-c", sign.replace("''", "open('artifacts/erasures/0001.json').read()"))
    refused = project.streamflow("rerun", "exp/before", check=False)
    record.write_text(text)
    signature.write_text(signed)
    assert path.exists()
    assert refused.returncode == 1
    assert "is DIVERGED: what is left of its rows can't be proven" in refused.stdout
    assert re.search(
        r"snapshot@2024-01-31: data: labels: the commitments of 399 rows and of 1 erased ones", refused.stdout
    )


def test_the_next_run_leaves_the_user_out_and_trains_without(project):
    done = project.streamflow("repro")
    assert "1 users of the extract were erased before; they are left out" in done.stdout
    assert "399 users" in done.stdout
    assert "ok      history" in project.streamflow("fsck", check=False).stdout
    project.run("git", "add", "--all")
    project.run("git", "commit", "-q", "-m", "without")
    project.streamflow("tag", "after")
    assert project.streamflow("rerun", "exp/after").returncode == 0
    checks = project.streamflow("doctor", check=False).stdout
    assert "ok      erasures" in checks
    assert "ok      history" in checks


def killed(project, seconds, *command):
    """Start a command and kill it, with its children, after some time; returns whether it was still at work."""
    process = subprocess.Popen(
        [project.python, "-m", "streamflow.cli.main", *command], cwd=project.path, env=project.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(seconds)
    at_work = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return at_work


def test_a_hundred_users_are_erased_whenever_the_call_is_killed(project, tmp_path):
    users = users_of(project)[100:200]
    listed = tmp_path / "ids.txt"
    listed.write_text("\n".join(users))
    at_work = [killed(project, 4.0, "erase", "--from", str(listed), "--reason", "contract ended", "--yes")]
    for seconds in (2.0, 5.0, 7.0):
        at_work.append(killed(project, seconds, "erase"))
    assert at_work[0]
    if (project.path / "var/erasing.json").exists():
        assert "an erasure was stopped before it was done" in project.streamflow("doctor", check=False).stdout
        done = project.streamflow("erase")
        assert "going on with the erasure of 100 users" in done.stdout
        assert "no trace is left (erasure 2)" in done.stdout
    assert scanned(project, users) == []
    assert query(project, ROWS.format(table="users", users="{" + ",".join(users) + "}")) == "0"
    assert query(project, "SELECT count(DISTINCT user_id) FROM history.users") == "299"
    proven = project.streamflow("rerun", "exp/before", check=False).stdout
    assert "is DERIVABLE BUT FOR 101 ERASED USERS" in proven
    assert "2024-02-29: 1794 rows in 6 tables, by the root of the commit's own receipt" in proven
    assert json.loads(project.text("artifacts/erasures/0002.json"))["users"] == 100
    datetime.fromisoformat(json.loads(project.text("artifacts/erasures/0002.json"))["at"]).astimezone(UTC)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["nobody-here", "--reason", "x"], "'nobody-here' had no row here, and no frozen file has one; check the id"),
        (["a\nb", "--reason", "x"], r"'a\nb' is no user's id"),
        ([], "no user is named; `streamflow erase USER --reason TEXT`"),
        (["0002-OBAMK"], "an erasure needs a reason"),
    ],
)
def test_a_call_that_can_not_be_meant_is_refused_in_one_line(project, command, message):
    refused = project.streamflow("erase", *command, check=False)
    assert refused.returncode == 2
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not Path(project.path, "var/erasing.json").exists()


def test_a_reason_that_names_the_user_is_refused(project):
    user = pq.read_table(project.path / "data/snapshots/2024-01-31/users.parquet")["user_id"][0].as_py()
    refused = project.streamflow("erase", user, "--reason", f"{user} asked", "--yes", check=False)
    assert (refused.returncode, "it is kept for ever" in refused.stderr) == (2, True)
    assert query(project, ROWS.format(table="users", users="{" + user + "}")) == "2"
