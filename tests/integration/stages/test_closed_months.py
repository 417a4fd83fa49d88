"""Months that nothing has happened to are not read again, and whatever happens to one opens it."""

import json
from contextlib import closing

import pytest
from extract_files import set_value, write_month

from stages import ingest
from streamflow.core.config import Config, LimitConfig, SourceConfig, source_identity
from streamflow.postgres.connection import connect
from streamflow.warehouse.closed_months import touched, witness, witness_file
from streamflow.warehouse.history import warehouse

MONTHS = ("2024-01-31", "2024-02-29", "2024-03-31")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path / "state"))
    for month in MONTHS:
        write_month(tmp_path / "extracts" / month, 60, month)
    return tmp_path


def settings(limits=None, months=MONTHS, **source):
    values = {"name": "csv", "dir": "extracts", "max_row_drop": 0.5, "first_month": MONTHS[0], **source}
    return Config(source=SourceConfig(**values), limits=limits or {}, months=list(months))


@pytest.fixture
def ingested(project, database_url, monkeypatch, capsys):
    """Ingests all months; returns which months were really read, the rest of what was said is in `said`."""

    def run(config=None):
        read = []
        config = config or settings()
        with monkeypatch.context() as patch:
            reading = ingest.read_extracts
            patch.setattr(
                ingest,
                "read_extracts",
                lambda source, month, store: (read.append(month), reading(source, month, store))[1],
            )
            with warehouse(database_url, source_identity(config.source)) as store:
                ingest.run_all(config, store)
        run.said = capsys.readouterr().out
        return read

    run.url = database_url
    assert run() == list(MONTHS)
    assert run() == []
    assert run.said == "ingest: 3 of 3 months are as at the last look; `streamflow doctor` reads every row\n"
    return run


def execute(url, statement, as_superuser=False):
    with closing(connect(url)) as connection, connection, connection.cursor() as cursor:
        if as_superuser:
            cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)


def test_a_corrected_file_opens_its_month_only(project, ingested):
    set_value(project / "extracts" / MONTHS[1] / "usage_agg_30d.csv", 3, "skips_7d", "77")
    assert ingested() == [MONTHS[1]]
    assert "usage_agg_30d +1" in ingested.said
    assert ingested() == []


def test_the_same_bytes_in_another_file_are_the_same_delivery(project, ingested):
    path = project / "extracts" / MONTHS[0] / "users.csv"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert ingested() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE live.users SET user_gender = 'Male' WHERE as_of = '2024-02-29'",
        "DELETE FROM live.labels WHERE as_of = '2024-02-29'",
        "UPDATE history.users SET user_gender = user_gender WHERE as_of = '2024-02-29'",
        "DELETE FROM history.usage_agg_30d WHERE as_of = '2024-02-29' AND user_id ="
        " (SELECT min(user_id) FROM history.usage_agg_30d)",
        "UPDATE history.extracts SET rows = rows WHERE as_of = '2024-02-29'",
    ],
)
def test_a_row_that_anybody_touched_opens_its_month_even_past_the_triggers(ingested, statement):
    execute(ingested.url, statement, as_superuser=True)
    assert ingested() == [MONTHS[1]]


def test_a_month_with_a_changed_history_stays_open(ingested, capsys):
    changed = "UPDATE history.users SET has_family = NOT has_family WHERE as_of = '2024-01-31'"
    execute(ingested.url, changed, as_superuser=True)
    assert ingested() == [MONTHS[0]]
    assert ingested() == [MONTHS[0]]


def test_an_edited_or_missing_receipt_is_written_again(project, ingested):
    receipt = project / "artifacts/ingest" / f"{MONTHS[2]}.json"
    content = receipt.read_bytes()
    receipt.write_bytes(content.replace(b'"rows": 60', b'"rows": 61'))
    assert ingested() == [MONTHS[2]]
    assert receipt.read_bytes() == content
    receipt.unlink()
    assert ingested() == [MONTHS[2]]
    assert receipt.read_bytes() == content


def test_another_limit_code_source_or_a_lost_file_of_witnesses_opens_all(project, ingested, monkeypatch):
    assert ingested(settings({"scale": LimitConfig(limit=4.0, action="warn")})) == list(MONTHS)
    assert ingested(settings(max_row_drop=0.6)) == list(MONTHS)
    assert ingested() == list(MONTHS)
    monkeypatch.setattr(ingest, "CHECKING_ROOMS", ("core",))
    assert ingested() == list(MONTHS)
    assert ingested() == []
    witness_file().write_text('{"csv": []}')
    assert ingested() == list(MONTHS)
    witness_file().unlink()
    assert ingested() == list(MONTHS)


def test_a_record_of_an_erasure_opens_every_month(project, ingested):
    (project / "artifacts/erasures").mkdir(parents=True)
    (project / "artifacts/erasures/0001.dsse.json").write_text("another signature")
    assert ingested() == list(MONTHS)


def test_a_trigger_that_is_off_is_restored_though_no_month_is_read(ingested, capsys):
    execute(ingested.url, "ALTER TABLE history.users DISABLE TRIGGER append_only")
    with warehouse(ingested.url, "csv") as store:
        assert store.unprotected() == ["table history.users"]
        ingest.run_all(settings(), store)
        assert store.unprotected() == []
    assert "table history.users no longer refused changes; restored" in capsys.readouterr().err


def test_a_wiped_database_is_filled_again(ingested):
    execute(ingested.url, "DROP SCHEMA live CASCADE; DROP SCHEMA history CASCADE")
    assert ingested() == list(MONTHS)
    assert "users +60" in ingested.said


def test_rows_of_other_programs_that_change_open_a_month_of_the_live_tables(ingested):
    def from_live():
        return ingested(settings(name="postgres"))

    execute(
        ingested.url,
        "\n".join(
            f"CREATE TEMP TABLE copied AS SELECT * FROM live.{name}; UPDATE copied SET source = 'postgres';"
            f" INSERT INTO live.{name} SELECT * FROM copied; DROP TABLE copied;"
            for name in ("users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels")
        ),
    )
    assert from_live() == list(MONTHS)
    assert from_live() == []
    execute(
        ingested.url, "UPDATE live.usage_agg_30d SET skips_7d = 5 WHERE source = 'postgres' AND as_of = '2024-03-31'"
    )
    assert from_live() == [MONTHS[2]]
    assert from_live() == []


def test_rows_that_are_landed_while_the_others_are_read_keep_the_month_open(ingested, monkeypatch):
    copied = "\n".join(
        f"CREATE TEMP TABLE copied AS SELECT * FROM live.{name}; UPDATE copied SET source = 'postgres';"
        f" INSERT INTO live.{name} SELECT * FROM copied; DROP TABLE copied;"
        for name in ("users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels")
    )
    execute(ingested.url, copied)
    recording = ingest.Warehouse.record
    late = "UPDATE live.usage_agg_30d SET skips_7d = 6 WHERE source = 'postgres' AND as_of = '2024-03-31'"

    def record_while_others_write(store, month, *rest):
        if month == MONTHS[2]:
            execute(ingested.url, late)
        return recording(store, month, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(ingest.Warehouse, "record", record_while_others_write)
        assert ingested(settings(name="postgres")) == list(MONTHS)
    assert ingested(settings(name="postgres")) == [MONTHS[2]]
    assert "usage_agg_30d +" in ingested.said
    assert ingested(settings(name="postgres")) == []


def test_an_earlier_month_may_come_late_and_a_gap_is_said(project, database_url, capsys):
    with warehouse(database_url, "csv") as store:
        ingest.run_all(settings(months=[MONTHS[2]]), store)
        ingest.run_all(settings(months=[MONTHS[2], MONTHS[0]]), store)
    said = capsys.readouterr().out
    assert f"ingest: 1 month is missing between {MONTHS[0]} and {MONTHS[2]}; nothing is derived from them\n" in said
    assert f"ingest {MONTHS[0]}: 60 users; users +60" in said
    with warehouse(database_url, "csv") as store:
        assert {month: store.tables_of(month) for month in MONTHS} == {MONTHS[0]: 6, MONTHS[1]: 0, MONTHS[2]: 6}


def test_a_refused_month_is_named_and_those_around_it_stay_closed(project, ingested, capsys):
    path = project / "extracts" / MONTHS[1] / "users.csv"
    good = path.read_text()
    path.write_text(good[:-4])
    with pytest.raises(SystemExit) as ended:
        ingested()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"ingest {MONTHS[1]}: extracts/{MONTHS[1]}/users.csv: row 61 ends without a newline")
    path.write_text(good)
    assert ingested() == []


def test_the_witness_needs_a_receipt_and_rows(project, ingested):
    with warehouse(ingested.url, "csv") as store:
        rows = touched(store)
    receipt = project / "artifacts/ingest" / f"{MONTHS[0]}.json"
    assert set(rows) == set(MONTHS)
    assert rows[MONTHS[0]]["history.users"][0] == 60
    assert len(witness({"a": "b"}, receipt, rows[MONTHS[0]])) == 64
    assert witness({"a": "b"}, receipt, rows[MONTHS[0]]) != witness({"a": "c"}, receipt, rows[MONTHS[0]])
    assert witness({"a": "b"}, receipt, None) == ""
    assert witness({"a": "b"}, project / "nothing", rows[MONTHS[0]]) == ""
    assert set(json.loads(witness_file().read_text())["csv"]) == set(MONTHS)
