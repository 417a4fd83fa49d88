"""A mapped source over a real Postgres: absent tables, corrections, queries of a schema that others own."""

import calendar
import json
from contextlib import closing
from datetime import date

import pyarrow.parquet as pq
import pytest
import yaml
from project import ROOT
from telephone import HEADER, customers, write_telephone

from stages import ingest, snapshot
from streamflow.core.config import Config, SourceConfig, source_identity
from streamflow.core.errors import ExtractError, HistoryError
from streamflow.core.schema import features_of
from streamflow.pipeline.complete import complete_month
from streamflow.postgres.connection import connect
from streamflow.snapshots.frozen import snapshot_rows
from streamflow.warehouse.history import warehouse

JANUARY, FEBRUARY = "2024-01-31", "2024-02-29"
SERVICE = "churn_v1 without usage_agg_30d, payments_agg_90d, support_agg_90d"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_telephone(tmp_path / "telephone", 80)
    return tmp_path


def settings(**changes):
    content = yaml.safe_load((ROOT / "conf/source/telephone.yaml").read_text())
    del content["defaults"]
    return Config(source=SourceConfig(**{**content, "dir": "telephone", **changes}), limits={}, known_at=None)


def load(url, config, month=JANUARY):
    with warehouse(url, source_identity(config.source)) as store:
        ingest.run(config, month, store)
        snapshot.run(config, month, store)


def rows_of(url, query):
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_what_a_source_does_not_deliver_is_recorded_as_not_delivered(project, database_url):
    load(database_url, settings())
    receipt = json.loads((project / f"artifacts/ingest/{JANUARY}.json").read_text())
    assert receipt["source"] == "mapped telephone"
    assert {name: each["rows"] for name, each in receipt["tables"].items()} == dict.fromkeys(receipt["tables"], 80)
    columns = dict(rows_of(database_url, "SELECT table_name, columns FROM history.extracts"))
    assert columns["usage_agg_30d"] == [["user_id", "text"]]
    assert len(columns["subscriptions"]) == 9
    held = rows_of(database_url, "SELECT count(*), count(watch_hours_30d) FROM history.usage_agg_30d")
    assert held == [(80, 0)]
    frozen = project / "data/snapshots" / JANUARY
    assert pq.read_schema(frozen / "usage_agg_30d.parquet").names == ["user_id", "as_of"]

    batches = list(snapshot_rows(SERVICE, frozen))
    assert batches[0].schema.names == ["user_id", "as_of", *features_of(SERVICE)]
    assert [row["months_active"] for batch in batches for row in batch.to_pylist()] == [
        int(each["tenure"]) for each in customers(80, 0)
    ]
    with pytest.raises(
        HistoryError, match=r"was recorded without usage_agg_30d\.watch_hours_30d, which may not be NULL"
    ):
        list(snapshot_rows("churn_v1", frozen))
    with complete_month(frozen) as whole:
        assert pq.read_table(whole / "usage_agg_30d.parquet")["skips_7d"].null_count == 80


def test_a_second_time_nothing_is_new_and_a_corrected_file_is_a_version(project, database_url, capsys):
    load(database_url, settings())
    load(database_url, settings())
    assert "nothing new" in capsys.readouterr().out
    path = project / "telephone" / f"{JANUARY}.csv"
    lines = path.read_text().splitlines()
    lines[5] = lines[5].replace("Male", "Female") if "Male" in lines[5] else lines[5].replace("Female", "Male")
    path.write_text("\n".join(lines) + "\n")
    load(database_url, settings())
    assert "users +1" in capsys.readouterr().out
    found = rows_of(database_url, "SELECT count(DISTINCT user_gender) FROM history.users WHERE user_id = '00004-TEL'")
    assert found == [(2,)]


def test_another_source_may_not_lack_a_column(project, database_url):
    load(database_url, settings())
    with pytest.raises(Exception, match="usage_agg_30d_complete"), closing(connect(database_url)) as connection:
        connection.cursor().execute(f"INSERT INTO live.usage_agg_30d (as_of, user_id) VALUES ('{JANUARY}', 'a')")


@pytest.fixture
def theirs(project, database_url):
    """A schema of others, with the rows of the wide file as it would be there: numbers, truth and dates of Postgres."""
    kinds = {"tenure": "int", "MonthlyCharges": "numeric(8,2)", "TotalCharges": "numeric(10,2)", "Churn": "boolean"}
    with closing(connect(database_url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA crm")
        columns = ", ".join(f'"{name}" {kinds.get(name, "text")}' for name in HEADER)
        cursor.execute(f"CREATE TABLE crm.customers (month date, {columns})")
        for number, month in enumerate((JANUARY, FEBRUARY)):
            for each in customers(80, number):
                values = [each[name].strip() or None for name in HEADER]
                cursor.execute(
                    f"INSERT INTO crm.customers VALUES (%s, {', '.join(['%s'] * len(HEADER))})", (month, *values)
                )
    return database_url


def of_query(query='SELECT * FROM crm.customers WHERE month = {as_of} ORDER BY "customerID"', **changes):
    config = settings(kind="postgres", dir=None, **changes)
    reading = {**config.source.reading, "query": query}
    del reading["file"]
    reading["true_values"], reading["false_values"] = ["Yes", "1", "t"], ["No", "0", "f"]
    config.source.reading = reading
    return config


def test_a_schema_that_others_own_is_read_by_a_query_and_gives_the_same_rows(project, theirs):
    load(theirs, settings())
    receipt = project / f"artifacts/ingest/{JANUARY}.json"
    of_files = json.loads(receipt.read_text())["tables"]
    load(theirs, of_query(name="crm"))
    of_tables = json.loads(receipt.read_text())
    assert of_tables["source"] == "mapped crm"
    assert {name: each["content_sha256"] for name, each in of_tables["tables"].items()} == {
        name: each["content_sha256"] for name, each in of_files.items()
    }


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM crm.nothing", 'relation "crm.nothing" does not exist'),
        ("SELECT 1 FROM crm.customers WHERE false", "column customerID, row 1: is missing|no rows below the header"),
        ("DELETE FROM crm.customers RETURNING *", "cannot execute DELETE in a read-only transaction"),
        ("SELECT * FROM crm.customers", "is there twice; a user has one row"),
    ],
)
def test_a_query_that_does_not_do_is_refused_and_nothing_is_written(project, theirs, query, message):
    with pytest.raises(ExtractError, match=message):
        load(theirs, of_query(query))
    assert rows_of(theirs, "SELECT count(*) FROM crm.customers") == [(160,)]
    assert rows_of(theirs, "SELECT count(*) FROM history.extracts") == [(0,)]
    assert not (project / "artifacts").exists()


def month_end_before(months):
    year, month = divmod(2024 * 12 - months, 12)
    return date(year, month + 1, calendar.monthrange(year, month + 1)[1])


def test_the_signup_date_is_counted_back_to_the_end_of_a_month(project, database_url):
    load(database_url, settings())
    load(database_url, settings(), FEBRUARY)
    found = rows_of(database_url, "SELECT DISTINCT signup_date FROM history.users WHERE user_id = '00001-TEL'")
    assert found == [(month_end_before(int(customers(80, 0)[1]["tenure"])),)]
