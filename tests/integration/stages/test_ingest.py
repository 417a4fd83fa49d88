"""Stage `ingest` over a real Postgres: bad input changes nothing, a correction is a version, tampering is named."""

import hashlib
import io
import json
import shutil
import subprocess
from contextlib import closing

import pandas as pd
import pytest
import yaml
from extract_files import edit, file_names, set_value, write_month
from project import ROOT

from stages import ingest
from streamflow.core.config import Config, LimitConfig, SourceConfig
from streamflow.core.errors import ExtractError, HistoryError
from streamflow.core.schema import SUBSCRIPTIONS, TABLES, USAGE, USERS
from streamflow.postgres.connection import connect
from streamflow.provenance.erasures import ErasedContent, Erasures
from streamflow.snapshots.profile import waved_through
from streamflow.warehouse.history import warehouse
from streamflow.warehouse.plausible import kept

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder with two good months of extracts."""
    monkeypatch.chdir(tmp_path)
    write_month(tmp_path / "extracts" / JANUARY, 120, JANUARY)
    write_month(tmp_path / "extracts" / FEBRUARY, 120, FEBRUARY)
    return tmp_path


def config(limits=None, **source):
    values = {"name": "csv", "dir": "extracts", "max_row_drop": 0.5, "first_month": JANUARY, **source}
    return Config(source=SourceConfig(**values), limits=limits or {})


def ingest_month(url, month=JANUARY, **source):
    settings = config(**source)
    with warehouse(url, settings.source.name) as store:
        ingest.run(settings, month, store)


def content(url):
    """Every row of live and history, as text."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        state = {}
        for schema in ("live", "history"):
            for table in TABLES:
                cursor.execute(f"SELECT t::text FROM {schema}.{table.name} t ORDER BY 1")
                state[schema, table.name] = cursor.fetchall()
        cursor.execute("SELECT t::text FROM history.extracts t ORDER BY 1")
        state["ledger"] = cursor.fetchall()
        return state


def tamper(url, statement):
    """Change the history as a superuser can, its triggers off."""
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)


def land(url):
    """What others do for source=postgres: fill the live tables, without naming a source."""
    ingest_month(url)
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        for table in TABLES:
            columns = ", ".join(["as_of", *table.header])
            cursor.execute(f"INSERT INTO live.{table.name} ({columns}) SELECT {columns} FROM live.{table.name}")


def test_another_source_leaves_rows_that_others_landed_alone(project, database_url):
    land(database_url)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE live.subscriptions SET monthly_fee = 55 WHERE source = 'postgres'")
    ingest_month(database_url)
    settings = Config(source=SourceConfig(name="synthetic", users=150, seed=1, max_row_drop=0.5))
    with warehouse(database_url, "synthetic users=150 seed=1") as store:
        ingest.run(settings, JANUARY, store)
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT source, count(*), min(monthly_fee) = 55 FROM live.subscriptions GROUP BY 1 ORDER BY 1")
        assert cursor.fetchall() == [
            ("csv", 120, False),
            ("postgres", 120, True),
            ("synthetic users=150 seed=1", 150, False),
        ]


def collapse(folder):
    for name in file_names():
        edit(folder / name, lambda text: "".join(text.splitlines(keepends=True)[:13]))


BAD = {
    "missing file": (lambda f: (f / "labels.csv").unlink(), "labels.csv: no such file"),
    "missing column": (
        lambda f: edit(f / "users.csv", lambda t: t.replace("has_family", "family", 1)),
        "column has_family",
    ),
    "extra column": (lambda f: edit(f / "labels.csv", lambda t: t.replace("\n", ",x\n")), "column x, row 1"),
    "duplicate user": (lambda f: edit(f / "users.csv", lambda t: t + t.splitlines()[1] + "\n"), "is there twice"),
    "unknown user": (lambda f: set_value(f / "labels.csv", 0, "user_id", "0000-NOBODY"), "'0000-NOBODY' is not in"),
    "negative fee": (lambda f: set_value(f / "subscriptions.csv", 1, "monthly_fee", "-1"), "-1.0 is below 0"),
    "text for a number": (lambda f: set_value(f / "subscriptions.csv", 1, "monthly_fee", "x"), "'x' is not a number"),
    "empty file": (lambda f: (f / "users.csv").write_text(""), "the file is empty"),
    "truncated file": (lambda f: edit(f / "users.csv", lambda t: t[:-7]), "looks truncated"),
    "wrong encoding": (
        lambda f: (f / "users.csv").write_bytes((f / "users.csv").read_bytes() + b"\xff\n"),
        "not UTF-8",
    ),
    "collapse": (collapse, "12 rows, 90% fewer than the 120 of 2024-01-31"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_bad_input_is_refused_and_changes_neither_postgres_nor_the_receipt(project, database_url, kind):
    ingest_month(database_url)
    before, receipt = content(database_url), (project / f"artifacts/ingest/{JANUARY}.json").read_bytes()
    spoil, said = BAD[kind]
    for month in (JANUARY, FEBRUARY):
        spoil(project / "extracts" / month)
        with pytest.raises(ExtractError) as refused:
            ingest_month(database_url, month)
        assert said in str(refused.value)
        assert month in str(refused.value)
        assert "\n" not in str(refused.value)
    assert content(database_url) == before
    assert (project / f"artifacts/ingest/{JANUARY}.json").read_bytes() == receipt
    assert not (project / f"artifacts/ingest/{FEBRUARY}.json").exists()


def test_eleven_kinds_of_bad_input_are_tried():
    assert len(BAD) == 11


def test_a_second_run_changes_nothing(project, database_url):
    ingest_month(database_url)
    before, receipt = content(database_url), (project / f"artifacts/ingest/{JANUARY}.json").read_bytes()
    ingest_month(database_url)
    assert content(database_url) == before
    assert (project / f"artifacts/ingest/{JANUARY}.json").read_bytes() == receipt


def test_a_corrected_extract_adds_a_version_to_the_chain_of_the_receipt(project, database_url):
    ingest_month(database_url)
    first = ingest_receipt(project)
    set_value(project / "extracts" / JANUARY / "subscriptions.csv", 3, "monthly_fee", "77.7")
    ingest_month(database_url)
    second = ingest_receipt(project)
    digests = [each["subscriptions"]["content_sha256"] for each in (first, second)]
    assert first["subscriptions"]["versions"] == digests[:1]
    assert second["subscriptions"]["versions"] == digests
    assert digests[0] != digests[1]
    assert first["subscriptions"]["chain_sha256"] == sha256(digests[0])
    assert second["subscriptions"]["chain_sha256"] == sha256(sha256(digests[0]) + digests[1])
    assert first.pop("subscriptions") != second.pop("subscriptions")
    assert first == second


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def ingest_receipt(project):
    return json.loads((project / f"artifacts/ingest/{JANUARY}.json").read_text())["tables"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE history.subscriptions SET monthly_fee = 1 WHERE user_id = '7590-VHVEG'",
            "1 row changed in monthly_fee (7590-VHVEG)",
        ),
        ("DELETE FROM history.subscriptions WHERE user_id = '7590-VHVEG'", "1 row missing (7590-VHVEG)"),
        (
            "INSERT INTO history.subscriptions SELECT source, as_of, '0000-GHOST', recorded_at, months_active,"
            " plan_stream_tv, plan_stream_movies, contract_type, paperless_billing, monthly_fee, total_paid,"
            " net_service, retracted"
            " FROM history.subscriptions WHERE user_id = '7590-VHVEG'",
            "1 row added (0000-GHOST)",
        ),
    ],
)
def test_history_that_was_tampered_with_is_named_and_the_receipt_stays(project, database_url, statement, said, capsys):
    ingest_month(database_url)
    receipt = (project / f"artifacts/ingest/{JANUARY}.json").read_bytes()
    tamper(database_url, statement)
    before = content(database_url)
    ingest_month(database_url)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "drift: history.subscriptions of 2024-01-31 was changed after it was recorded" in lines[0]
    assert said in lines[0]
    assert (project / f"artifacts/ingest/{JANUARY}.json").read_bytes() == receipt
    assert content(database_url) == before


def test_a_corrected_extract_is_not_recorded_on_top_of_a_tampered_history(project, database_url):
    ingest_month(database_url)
    tamper(database_url, "DELETE FROM history.subscriptions WHERE user_id = '7590-VHVEG'")
    set_value(project / "extracts" / JANUARY / "subscriptions.csv", 6, "monthly_fee", "61.25")
    before = content(database_url)
    with pytest.raises(HistoryError, match=r"1 row missing \(7590-VHVEG\)|its digest is not"):
        ingest_month(database_url)
    assert content(database_url) == before


def test_a_wiped_database_is_filled_again(project, database_url):
    ingest_month(database_url)
    receipt = (project / f"artifacts/ingest/{JANUARY}.json").read_bytes()
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA live CASCADE; DROP SCHEMA history CASCADE")
    ingest_month(database_url)
    assert (project / f"artifacts/ingest/{JANUARY}.json").read_bytes() == receipt
    with warehouse(database_url, "csv") as store:
        assert store.history_rows(USAGE, JANUARY).num_rows == 120


def test_truncated_live_rows_are_put_right(project, database_url):
    ingest_month(database_url)
    before = content(database_url)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("TRUNCATE live.subscriptions; UPDATE live.users SET has_family = NOT has_family")
    ingest_month(database_url)
    assert content(database_url) == before


def test_rows_that_others_landed_are_recorded_and_stay_when_the_live_rows_go(project, database_url):
    land(database_url)
    before = content(database_url)
    ingest_month(database_url, name="postgres")
    after = content(database_url)
    assert {key: after[key] for key in after if key[0] == "live"} == {
        key: before[key] for key in before if key[0] == "live"
    }
    with warehouse(database_url, "postgres") as store:
        assert store.history_rows(SUBSCRIPTIONS, JANUARY).num_rows == 120
    receipt = (project / f"artifacts/ingest/{JANUARY}.json").read_bytes()
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("".join(f"TRUNCATE live.{table.name};" for table in TABLES))
    ingest_month(database_url, name="postgres")
    assert (project / f"artifacts/ingest/{JANUARY}.json").read_bytes() == receipt


def test_a_month_that_nobody_landed_is_refused(project, database_url):
    with pytest.raises(ExtractError, match="has no rows with as_of 2024-02-29"):
        ingest_month(database_url, FEBRUARY, name="postgres")


def test_landed_rows_that_break_a_rule_are_refused_by_table_and_user(project, database_url):
    land(database_url)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("UPDATE live.subscriptions SET monthly_fee = -5 WHERE user_id = '7590-VHVEG'")
    with pytest.raises(
        ExtractError, match=r"live.subscriptions: column monthly_fee, row \d+, user 7590-VHVEG: -5.0 is below 0"
    ):
        ingest_month(database_url, name="postgres")


def test_users_of_the_synthetic_source_are_those_of_its_generator(project, database_url):
    settings = Config(source=SourceConfig(name="synthetic", users=150, seed=1, max_row_drop=0.5))
    with warehouse(database_url, "synthetic") as store:
        ingest.run(settings, JANUARY, store)
        assert "7590-VHVEG" in store.history_rows(USERS, JANUARY)["user_id"].to_pylist()


@pytest.mark.parametrize(
    ("statement", "error", "said"),
    [
        (
            "UPDATE live.users SET signup_date = 'infinity'",
            HistoryError,
            "table users, column signup_date: 'infinity' is no value of an extract",
        ),
        (
            "UPDATE live.users SET signup_date = '0044-03-15 BC'",
            HistoryError,
            "table users, column signup_date: '0044-03-15 BC' is no value of an extract",
        ),
        (
            "UPDATE live.users SET signup_date = '12024-01-01'",
            HistoryError,
            "table users, column signup_date: '12024-01-01' is no value of an extract",
        ),
        (
            "UPDATE live.users SET signup_date = '0001-01-01'",
            ExtractError,
            "live.users: column signup_date, row 60, user 7590-VHVEG: '0001-01-01' is before 1900-01-01",
        ),
        (
            "UPDATE live.subscriptions SET total_paid = 1e39",
            ExtractError,
            "live.subscriptions: column total_paid, row 60, user 7590-VHVEG: 1e+39 is above 1e+07",
        ),
        (
            "UPDATE live.subscriptions SET total_paid = 'Infinity'",
            ExtractError,
            "live.subscriptions: column total_paid, row 60, user 7590-VHVEG: inf is above 1e+07",
        ),
        (
            "UPDATE live.labels SET user_id = user_id || ' '",
            ExtractError,
            "live.labels: column user_id, row 60: '7590-VHVEG ' is not an id",
        ),
        (
            r"UPDATE live.labels SET user_id = user_id || E'\x1b[2J'",
            ExtractError,
            r"live.labels: column user_id, row 60: '7590-VHVEG\x1b[2J' is not an id",
        ),
    ],
)
def test_landed_values_that_no_extract_can_have_are_refused(project, database_url, statement, error, said):
    land(database_url)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"{statement} WHERE source = 'postgres' AND user_id = '7590-VHVEG'")
    with pytest.raises(error) as refused:
        ingest_month(database_url, name="postgres")
    assert str(refused.value).startswith(said)
    with closing(connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM history.extracts WHERE source = 'postgres'")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("setting", ["extra_float_digits = 0", "datestyle = 'German'", "timezone = 'Asia/Tokyo'"])
def test_what_a_database_shows_its_users_changes_nothing(project, database_url, capsys, setting):
    ingest_month(database_url)
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        cursor.execute(f'ALTER DATABASE "{cursor.fetchone()[0]}" SET {setting}')
    before = content(database_url)
    capsys.readouterr()
    ingest_month(database_url)
    assert capsys.readouterr().err == ""
    assert content(database_url) == before


LIMITS = {
    name: LimitConfig(**each)
    for name, each in yaml.safe_load((ROOT / "conf/source/limits/default.yaml").read_text()).items()
}


WARNED = {**LIMITS, "scale": LimitConfig(limit=5, action="warn")}


def dearer(text, times=80):
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    frame["monthly_fee"] = [str(float(fee) * times) for fee in frame["monthly_fee"]]
    return frame.to_csv(index=False)


def test_a_month_that_is_not_plausible_is_refused_and_changes_nothing(project, database_url):
    ingest_month(database_url, limits=LIMITS)
    edit(project / "extracts" / FEBRUARY / "subscriptions.csv", dearer)
    before = content(database_url)
    with pytest.raises(ExtractError) as refused:
        ingest_month(database_url, FEBRUARY, limits=LIMITS)
    words = str(refused.value)
    assert words.startswith("2024-02-29 is not plausible: the median of subscriptions.monthly_fee is ")
    assert " times the " in words
    assert words.endswith("`streamflow repro … limits.scale.action=warn`; nothing was written")
    assert content(database_url) == before
    assert not (project / "artifacts/ingest" / f"{FEBRUARY}.json").exists()


def test_a_month_under_another_date_is_refused(project, database_url):
    ingest_month(database_url, limits=LIMITS)
    for name in file_names():
        shutil.copy(project / "extracts" / JANUARY / name, project / "extracts" / FEBRUARY / name)
    with pytest.raises(ExtractError, match="5 of 5 tables with facts have the same rows as 2024-01-31"):
        ingest_month(database_url, FEBRUARY, limits=LIMITS)


def test_what_is_let_pass_is_said_and_stays_in_the_receipt(project, database_url, capsys):
    ingest_month(database_url, limits=LIMITS)
    receipt = project / "artifacts/ingest" / f"{JANUARY}.json"
    assert "waved_through" not in json.loads(receipt.read_text())
    edit(project / "extracts" / FEBRUARY / "subscriptions.csv", dearer)
    ingest_month(database_url, FEBRUARY, limits=WARNED)
    assert (
        "ingest 2024-02-29: not plausible, let pass: the median of subscriptions.monthly_fee" in capsys.readouterr().err
    )
    path = project / "artifacts/ingest" / f"{FEBRUARY}.json"
    first = path.read_bytes()
    (kept,) = json.loads(first)["waved_through"]
    assert kept["what"].startswith("the median of subscriptions.monthly_fee is ")
    digests = [json.loads(each.read_text())["tables"]["subscriptions"]["content_sha256"] for each in (receipt, path)]
    assert {**kept, "what": ""} == {
        "limit": "scale",
        "of": "subscriptions.monthly_fee",
        "contents": sorted(digests),
        "what": "",
    }
    ingest_month(database_url, FEBRUARY, limits=LIMITS)  # it is recorded, so it is not asked again
    assert path.read_bytes() == first
    assert waved_through(FEBRUARY) == (kept["what"],)


def wipe(url):
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA live CASCADE; DROP SCHEMA history CASCADE")


def receipts(project):
    return {path.name: path.read_bytes() for path in (project / "artifacts/ingest").glob("*.json")}


def fees(project, month):
    return project / "extracts" / month / "subscriptions.csv"


@pytest.mark.parametrize("order", [(JANUARY, FEBRUARY), (FEBRUARY, JANUARY)])
@pytest.mark.parametrize("wrong", [JANUARY, FEBRUARY])
def test_what_was_let_pass_is_let_pass_again_in_an_empty_database(project, database_url, capsys, order, wrong):
    edit(fees(project, wrong), dearer)
    for month in order:
        ingest_month(database_url, month, limits=WARNED)
    first = receipts(project)
    assert [name for name in first if b"waved_through" in first[name]] == [f"{order[1]}.json"]
    for again in (order, order[::-1]):
        wipe(database_url)
        capsys.readouterr()
        for month in again:
            ingest_month(database_url, month, limits=LIMITS)
        assert "not plausible, let pass before: the median of subscriptions.monthly_fee" in capsys.readouterr().err
        assert receipts(project) == first


def test_only_the_same_finding_of_the_same_rows_is_let_pass_again(project, database_url):
    edit(fees(project, FEBRUARY), dearer)
    for month in (JANUARY, FEBRUARY):
        ingest_month(database_url, month, limits=WARNED)
    first = receipts(project)
    wipe(database_url)
    ingest_month(database_url, limits=LIMITS)
    good = fees(project, FEBRUARY).read_text()
    edit(fees(project, FEBRUARY), lambda text: dearer(text, 1.01))
    with pytest.raises(ExtractError, match=r"limits\.scale\.action=warn"):
        ingest_month(database_url, FEBRUARY, limits=LIMITS)
    fees(project, FEBRUARY).write_text(good)
    path = project / "artifacts/ingest" / f"{FEBRUARY}.json"
    edit(path, lambda text: text.replace('"scale"', '"constant"'))
    with pytest.raises(ExtractError, match=r"limits\.scale\.action=warn"):
        ingest_month(database_url, FEBRUARY, limits=LIMITS)
    assert path.read_bytes() != first[path.name]


def test_what_git_holds_as_let_pass_counts_after_another_delivery(project, database_url):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=project, check=True)

    sent = fees(project, FEBRUARY).read_text()
    edit(fees(project, FEBRUARY), dearer)
    accepted = fees(project, FEBRUARY).read_text()
    for month in (JANUARY, FEBRUARY):
        ingest_month(database_url, month, limits=WARNED)
    first = json.loads(receipts(project)[f"{FEBRUARY}.json"])
    git("init", "-q")
    git("add", "artifacts")
    git("commit", "-qm", "receipts")
    fees(project, FEBRUARY).write_text(sent)
    ingest_month(database_url, FEBRUARY, limits=LIMITS)  # mends it, so it is not compared with what was wrong
    assert "waved_through" not in json.loads(receipts(project)[f"{FEBRUARY}.json"])
    fees(project, FEBRUARY).write_text(accepted)
    with pytest.raises(ExtractError, match="of the version before"):  # beside January it was let pass, not beside this
        ingest_month(database_url, FEBRUARY, limits=LIMITS)
    wipe(database_url)
    for month in (JANUARY, FEBRUARY):
        ingest_month(database_url, month, limits=LIMITS)
    assert json.loads(receipts(project)[f"{FEBRUARY}.json"])["waved_through"] == first["waved_through"]


def test_a_correction_is_compared_with_the_month_after_and_with_the_version_before(project, database_url):
    for month in (JANUARY, FEBRUARY):
        ingest_month(database_url, month, limits=LIMITS)
    before = content(database_url)
    edit(fees(project, JANUARY), dearer)
    with pytest.raises(ExtractError, match=rf"of {FEBRUARY} \(at most 5 times\) \(and 1 more\); deliver it again"):
        ingest_month(database_url, JANUARY, limits=LIMITS)
    assert content(database_url) == before
    ingest_month(database_url, JANUARY, limits=WARNED)
    first = json.loads(receipts(project)[f"{JANUARY}.json"])
    assert [each["what"].split(" of ")[-1] for each in first["waved_through"]] == [
        f"{FEBRUARY} (at most 5 times)",
        "the version before (at most 5 times)",
    ]
    set_value(project / "extracts" / JANUARY / "users.csv", 3, "user_gender", "Male")
    set_value(project / "extracts" / JANUARY / "users.csv", 4, "user_gender", "Female")
    ingest_month(database_url, JANUARY, limits=LIMITS)  # the fees are those that were let pass
    again = json.loads(receipts(project)[f"{JANUARY}.json"])
    assert again["tables"]["users"] != first["tables"]["users"]
    assert again["waved_through"] == first["waved_through"][:1]


def test_what_was_let_pass_stays_after_an_erasure_and_beside_damaged_receipts(project, database_url):
    edit(fees(project, FEBRUARY), dearer)
    for month in (JANUARY, FEBRUARY):
        ingest_month(database_url, month, limits=WARNED)
    receipt = json.loads(receipts(project)[f"{FEBRUARY}.json"])
    digests = {name: table["content_sha256"] for name, table in receipt["tables"].items()}
    assert kept(FEBRUARY, digests, Erasures()) == receipt["waved_through"]
    gone = ErasedContent("users", FEBRUARY, 120, "f" * 64, "c" * 64, (), "")
    erased = Erasures(contents={digests["users"]: gone})
    assert kept(FEBRUARY, {**digests, "users": "f" * 64}, erased) == receipt["waved_through"]
    assert kept(FEBRUARY, digests, erased) == []
    for damage in ("", "[]", '{"waved_through": 1}', '{"waved_through": [1, {}, {"contents": 3}], "tables": 7}'):
        (project / f"artifacts/ingest/{FEBRUARY}.json").write_text(damage)
        assert kept(FEBRUARY, digests, Erasures()) == []
        wipe(database_url)
        ingest_month(database_url, limits=LIMITS)
        with pytest.raises(ExtractError, match="is not plausible"):
            ingest_month(database_url, FEBRUARY, limits=LIMITS)


def test_all_that_is_refused_is_in_the_command_that_lets_it_pass(project, database_url):
    ingest_month(database_url, limits=LIMITS)
    edit(fees(project, FEBRUARY), dearer)
    for row in range(120):
        set_value(project / "extracts" / FEBRUARY / "usage_agg_30d.csv", row, "skips_7d", "0")
    with pytest.raises(ExtractError) as refused:
        ingest_month(database_url, FEBRUARY, limits=LIMITS)
    assert str(refused.value).endswith(
        "(and 1 more); deliver it again, or let it pass: `streamflow repro … limits.constant.action=warn"
        " limits.scale.action=warn`; nothing was written"
    )
