"""What a mapping may say, and that each mistake in one is named with its key."""

import copy

import pytest

from streamflow.core.errors import ConfigError
from streamflow.core.schema import FEATURE_SERVICES, features_of, service_name, service_without
from streamflow.core.source_mapping import Rule, mapped_tables

ABSENT = ["usage_agg_30d", "payments_agg_90d", "support_agg_90d", "users.signup_date", "subscriptions.total_paid"]
READING = {"file": "{month}.csv", "key": "id", "true_values": [True, 1], "false_values": [False, "nein"]}
TABLES = {
    "users": {
        "columns": {
            "user_gender": {"column": "sex", "values": {"f": "Female", "m": "Male", "?": None}},
            "user_is_senior": "senior",
            "has_family": {"is_not_empty": "partner"},
            "has_dependents": {"constant": False},
        }
    },
    "subscriptions": {
        "delimiter": ";",
        "columns": {
            "months_active": {"months_since": "joined"},
            "plan_stream_tv": {"column": "tv", "null_values": ["none"]},
            "plan_stream_movies": "films",
            "contract_type": "contract",
            "paperless_billing": "paperless",
            "monthly_fee": {"product": ["yearly", 0.25]},
            "net_service": {"column": "net", "empty": "No"},
        },
    },
    "labels": {"columns": {"churn_label": "left"}},
}


def mapped(change=lambda tables: None, reading=None, absent=ABSENT, kind="csv"):
    tables = copy.deepcopy(TABLES)
    change(tables)
    found = mapped_tables(kind, READING if reading is None else reading, tables, absent)
    return {each.table.name: each for each in found}


def test_a_mapping_says_for_each_column_where_it_comes_from_and_how_it_is_read():
    found = mapped()
    assert list(found) == ["users", "subscriptions", "usage_agg_30d", "payments_agg_90d", "support_agg_90d", "labels"]
    assert [name for name, each in found.items() if each.is_absent] == ABSENT[:3]
    assert found["users"].table.header == ("user_id", "user_gender", "user_is_senior", "has_family", "has_dependents")
    reading = found["users"].reading
    assert (reading.file, reading.key, reading.delimiter, reading.null_values) == ("{month}.csv", "id", ",", ("",))
    assert found["subscriptions"].reading.delimiter == ";"
    # YAML reads Yes and No as truth values, so these stand for all their spellings.
    assert {"Yes", "yes", "true", "ON", "1"} <= set(reading.true_values)
    assert {"No", "no", "False", "nein"} <= set(reading.false_values)
    assert "0" not in reading.false_values
    rules = {name: rule for each in found.values() for name, (_, rule) in each.rules.items()}
    assert rules["user_gender"] == Rule(column="sex", values={"f": "Female", "m": "Male", "?": None})
    assert rules["has_dependents"] == Rule(constant="false")
    assert rules["monthly_fee"] == Rule(compute="product", operands=("yearly", 0.25))
    assert rules["monthly_fee"].reads == ("yearly",)
    assert rules["net_service"] == Rule(column="net", empty="No")
    own, _ = found["subscriptions"].rules["plan_stream_tv"]
    assert (own.null_values, own.delimiter) == (("none",), ";")


def put(table, column, value):
    return lambda tables: tables[table]["columns"].__setitem__(column, value)


MISTAKES = {
    "no table": (lambda t: t.pop("labels"), {}, "source.tables.labels is not mapped; map it, or say"),
    "unknown table": (lambda t: t.update(user={}), {}, "source.tables.user: 'user' is not known (did you mean users?)"),
    "unknown column": (put("users", "gender", "sex"), {}, "'gender' is not known (did you mean user_gender?)"),
    "column left out": (lambda t: t["users"]["columns"].pop("has_family"), {}, "source.absent=[users.has_family]"),
    "mapped and absent": (put("users", "signup_date", "joined"), {}, "and source.absent names it too"),
    "table mapped and absent": (lambda t: t.update(usage_agg_30d={}), {}, "source.tables.usage_agg_30d is mapped, and"),
    "two ways": (put("users", "has_family", {"column": "a", "constant": 1}), {}, "needs one of column, constant, sum"),
    "no way": (put("users", "has_family", {"empty": 1}), {}, "there are 0"),
    "unknown way": (put("users", "has_family", {"python": "1"}), {}, "python is none of them"),
    "two of one": (put("users", "has_family", {"is_empty": ["a", "b"]}), {}, "must be one column"),
    "ratio of three": (put("users", "has_family", {"ratio": ["a", 1, 2]}), {}, "must be two columns or numbers"),
    "no operand": (put("users", "has_family", {"sum": [1, 2]}), {}, "must be columns and numbers (the sum of columns"),
    "text for a number": (put("users", "has_family", {"months_since": 3}), {}, "must be one column"),
    "truth as a key": (put("users", "user_gender", {"column": "a", "values": {True: "Male"}}), {}, "write it in quotes"),
    "list for text": (put("users", "has_family", ["a"]), {}, "must be a section of keys and values"),
    "delimiter": (lambda t: t["users"].update(delimiter=";;"), {}, "must be one character"),
    "decimal": (lambda t: t["users"].update(decimal="_"), {}, "must be '.' or ','"),
    "encoding": (lambda t: t["users"].update(encoding="utf-9"), {}, "is no encoding that Python knows"),
    "above": (lambda t: t["users"].update(file="../{month}.csv"), {}, "must lie below source.dir"),
    "elsewhere": (lambda t: t["users"].update(file="/etc/passwd"), {}, "must lie below source.dir"),
    "query of files": (lambda t: t["users"].update(query="SELECT 1"), {}, "needs a file, and no query"),
    "files of a query": (lambda t: None, {"kind": "postgres"}, "needs a query, and no file"),
    "unknown reading": (lambda t: None, {"reading": {"files": "a"}}, "'files' is not known (did you mean file?)"),
    "labels absent": (lambda t: None, {"absent": ["labels"]}, "can't be trained on; map it"),
    "label absent": (lambda t: None, {"absent": ["labels.churn_label"]}, "can't be trained on; map it"),
    "users absent": (lambda t: None, {"absent": ["users"]}, "can't be trained on; map it"),
    "unknown absent": (lambda t: None, {"absent": ["usage"]}, "source.absent: 'usage' is not known (did you mean"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "more", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_mapping_is_named_with_its_key(change, more, message):
    with pytest.raises(ConfigError) as caught:
        mapped(change, **more)
    assert message in str(caught.value)
    assert "source." in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_service_without_what_a_source_lacks_says_so_in_its_name():
    name = service_without("churn_v1", ["support_agg_90d", "usage_agg_30d", "subscriptions.monthly_fee", "users"])
    assert name == "churn_v1 without usage_agg_30d, support_agg_90d, monthly_fee"
    assert service_name(name) == "churn_v1"
    lacking = {"watch_hours_30d", "avg_session_mins_7d", "unique_devices_30d", "skips_7d", "rebuffer_events_7d",
               "support_tickets_90d", "ticket_avg_resolution_hrs_90d", "monthly_fee"}  # fmt: skip
    assert features_of(name) == tuple(each for each in FEATURE_SERVICES["churn_v1"] if each not in lacking)
    assert service_without("churn_v1", ["users.signup_date", "subscriptions.total_paid"]) == "churn_v1"
    assert service_without("churn_v2", ["users"]) == "churn_v2 without users"
    assert features_of("churn_v1") == FEATURE_SERVICES["churn_v1"]


@pytest.mark.parametrize(
    "name",
    [
        "churn_v9",
        "churn_v1 without nothing",
        "churn_v1 without monthly_fee, usage_agg_30d",  # another order: two names for one service
        "churn_v1 without usage_agg_30d, watch_hours_30d",
        "churn_v1 without users",  # it has none of its features
        "churn_v1 without ",
    ],
)
def test_a_service_has_one_name(name):
    with pytest.raises(KeyError):
        features_of(name)
