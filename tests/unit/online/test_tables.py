"""The tables of the online store as SQL, text for text: Feast writes them, serving reads them."""

import pytest

from streamflow.core.errors import FeatureStoreError
from streamflow.online.tables import (
    COLUMNS_OF_TABLE,
    OnlineTable,
    online_table,
    quoted,
    service_statement,
    storable,
)

TABLE = OnlineTable("feast", "things", "id", {"size": "real", 'a "b"': "text"})


def test_a_table_has_key_features_and_two_times():
    assert TABLE.qualified == '"feast"."things"'
    assert TABLE.columns == {
        "id": "text",
        "size": "double precision",
        'a "b"': "text",
        "event_timestamp": "timestamp with time zone",
        "created_timestamp": "timestamp with time zone",
    }
    assert TABLE.create() == (
        'CREATE TABLE "feast"."things" ("id" text COLLATE "C" PRIMARY KEY, "size" double precision, "a ""b""" text,'
        " event_timestamp timestamptz NOT NULL, created_timestamp timestamptz)"
    )
    assert quoted('a"b') == '"a""b"'


def test_the_newer_of_two_rows_stays():
    assert TABLE.upsert("staging") == (
        'INSERT INTO "feast"."things" AS online ("id", "size", "a ""b""", "event_timestamp", "created_timestamp")'
        ' SELECT DISTINCT ON ("id") "id", "size", "a ""b""", "event_timestamp", "created_timestamp" FROM staging'
        ' ORDER BY "id", event_timestamp DESC, created_timestamp DESC NULLS LAST'
        ' ON CONFLICT ("id") DO UPDATE SET "size" = excluded."size", "a ""b""" = excluded."a ""b""",'
        ' "event_timestamp" = excluded."event_timestamp", "created_timestamp" = excluded."created_timestamp"'
        " WHERE (excluded.event_timestamp, coalesce(excluded.created_timestamp, '-infinity'))"
        " >= (online.event_timestamp, coalesce(online.created_timestamp, '-infinity'))"
    )


def test_rows_are_read_by_key():
    assert TABLE.select(["size"]) == 'SELECT "id", "event_timestamp", "size" FROM "feast"."things" WHERE "id" = ANY(%s)'
    assert COLUMNS_OF_TABLE.count("%s") == 2


FOUND = TABLE.columns
NEW = ['DROP TABLE IF EXISTS "feast"."things" CASCADE', TABLE.create()]


@pytest.mark.parametrize(
    ("found", "statements"),
    [
        (FOUND, []),
        ({}, NEW),
        ({**FOUND, "id": "bigint"}, NEW),
        ({**FOUND, "event_timestamp": "date"}, NEW),
        ({name: kind for name, kind in FOUND.items() if name != "created_timestamp"}, NEW),
        (
            {name: kind for name, kind in FOUND.items() if name != "size"},
            ['ALTER TABLE "feast"."things" ADD COLUMN "size" double precision'],
        ),
        ({**FOUND, "old": "text"}, ['ALTER TABLE "feast"."things" DROP COLUMN "old"']),
        (
            {**FOUND, "size": "bigint"},
            ['ALTER TABLE "feast"."things" DROP COLUMN "size", ADD COLUMN "size" double precision'],
        ),
    ],
)
def test_features_are_added_and_dropped_in_place_and_what_is_no_such_table_is_replaced(found, statements):
    assert TABLE.reshape(found) == statements


@pytest.mark.parametrize("name", ["id", "event_timestamp", "created_timestamp"])
def test_a_feature_by_the_name_of_a_fixed_column_is_refused(name):
    with pytest.raises(FeatureStoreError, match=f"online table things: {name} can't be a feature"):
        OnlineTable("feast", "things", "id", {name: "text", "size": "real"})


def test_names_of_63_bytes_are_the_longest():
    assert OnlineTable("feast", "t" * 63, "k", {"ä" * 31: "text"}).name == "t" * 63
    for table, feature in (("t" * 64, "f"), ("t", "ä" * 32)):
        with pytest.raises(FeatureStoreError, match="too long a name for Postgres"):
            OnlineTable("feast", table, "k", {feature: "text"})
    with pytest.raises(FeatureStoreError, match="too long a name"):
        OnlineTable("feast", "t", "k" * 64, {})


def test_a_view_has_the_table_that_feast_names():
    table = online_table("payments_agg_90d_fv")
    expected = OnlineTable("feast", "streamflow_payments_agg_90d_fv", "user_id", {"failed_payments_90d": "integer"})
    assert table == expected
    users = online_table("user_profile_fv")
    assert users.features == {
        "user_gender": "text",
        "user_is_senior": "boolean",
        "has_family": "boolean",
        "has_dependents": "boolean",
    }, "a date is no feature"
    assert list(users.columns.values())[:3] == ["text", "text", "boolean"]
    with pytest.raises(KeyError):
        online_table("nonesuch")


def test_one_statement_reads_a_whole_service_in_the_order_asked():
    views = ("subs_profile_fv", "usage_agg_30d_fv", "payments_agg_90d_fv", "support_agg_90d_fv")
    columns = (
        'v0."months_active", v0."plan_stream_tv", v0."plan_stream_movies", v0."paperless_billing", v0."monthly_fee",'
        ' v0."net_service", v1."watch_hours_30d", v1."avg_session_mins_7d", v1."unique_devices_30d", v1."skips_7d",'
        ' v1."rebuffer_events_7d", v2."failed_payments_90d", v3."support_tickets_90d",'
        ' v3."ticket_avg_resolution_hrs_90d", v0.event_timestamp, v1.event_timestamp, v2.event_timestamp,'
        " v3.event_timestamp"
    )
    joins = " ".join(
        f'LEFT JOIN "feast"."streamflow_{view}" v{number} ON v{number}."user_id" = asked.id'
        for number, view in enumerate(views)
    )
    assert service_statement("churn_v1", many=True) == (
        f"SELECT {columns} FROM unnest($1::text[]) WITH ORDINALITY AS asked(id, position) {joins} ORDER BY position"
    )
    alone = service_statement("churn_v1", many=False)
    assert alone.rstrip() == f"SELECT {columns} FROM (VALUES ($1::text)) AS asked(id) {joins}"


@pytest.mark.parametrize(
    ("user_id", "asked"),
    [("ada", "ada"), ("näher", "näher"), ("a\0b", None), ("ä\0b", None), ("\ud800", None), ("", "")],
)
def test_an_id_that_postgres_can_not_hold_equals_no_row(user_id, asked):
    assert storable(user_id) == asked
