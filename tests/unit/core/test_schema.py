"""What the extracts hold, as whoever delivers one must know it; and what is derived from that."""

import pytest

from streamflow.core.schema import (
    ENTITY_KEY,
    FEATURE_SERVICES,
    FEATURE_VIEWS,
    LABELS,
    SUBSCRIPTIONS,
    TABLES,
    USERS,
    feature_column,
    feature_view_of,
    service_features,
    views_of,
)

# ? may be NULL, LOW..HIGH inclusive, A|B the only values.
EXTRACTS = {
    "users": """
        signup_date date
        user_gender text Female|Male
        user_is_senior boolean
        has_family boolean
        has_dependents boolean
    """,
    "subscriptions": """
        months_active integer 0..1200
        plan_stream_tv boolean?
        plan_stream_movies boolean?
        contract_type text Month-to-month|One year|Two year
        paperless_billing boolean
        monthly_fee real 0..10000
        total_paid real 0..10000000
        net_service text DSL|Fiber optic|No
    """,
    "usage_agg_30d": """
        watch_hours_30d real 0..720
        avg_session_mins_7d real 0..10080
        unique_devices_30d integer 0..1000
        skips_7d integer 0..100000
        rebuffer_events_7d integer 0..100000
    """,
    "payments_agg_90d": """
        failed_payments_90d integer 0..1000
    """,
    "support_agg_90d": """
        support_tickets_90d integer 0..10000
        ticket_avg_resolution_hrs_90d real 0..2160
    """,
    "labels": """
        churn_label boolean
    """,
}


def stated(column):
    """A column as EXTRACTS writes it."""
    limits = ["" if limit is None else str(limit) for limit in (column.minimum, column.maximum)]
    rest = "..".join(limits) if any(limits) else "|".join(column.allowed)
    return f"{column.name} {column.kind}{'?' if column.nullable else ''} {rest}".strip()


def test_every_number_is_finite_by_its_bounds():
    numbers = [column for table in TABLES for column in table.columns if column.kind in ("integer", "real")]
    assert len(numbers) == 11
    assert [column.name for column in numbers if None in (column.minimum, column.maximum)] == []


def test_every_column_has_the_type_the_null_policy_and_the_range_that_a_delivery_is_held_to():
    found = {table.name: [stated(column) for column in table.columns] for table in TABLES}
    assert found == {name: [line.strip() for line in text.strip().splitlines()] for name, text in EXTRACTS.items()}
    assert list(found) == list(EXTRACTS)


def test_the_key_comes_first_in_every_file():
    assert ENTITY_KEY == "user_id"
    assert LABELS.header == ("user_id", "churn_label")
    assert USERS.header[:2] == ("user_id", "signup_date")


def test_a_column_is_found_by_name_and_an_unknown_one_is_not():
    assert SUBSCRIPTIONS.column("monthly_fee").maximum == 10_000
    with pytest.raises(KeyError, match="nonesuch"):
        SUBSCRIPTIONS.column("nonesuch")
    with pytest.raises(KeyError, match="churn_label"):
        feature_view_of("churn_label")
    with pytest.raises(KeyError, match="user_id"):
        feature_view_of("user_id")


def test_every_view_serves_one_table_and_no_feature_is_served_twice():
    assert {view: table.name for view, table in FEATURE_VIEWS.items()} == {
        "subs_profile_fv": "subscriptions",
        "usage_agg_30d_fv": "usage_agg_30d",
        "payments_agg_90d_fv": "payments_agg_90d",
        "support_agg_90d_fv": "support_agg_90d",
        "user_profile_fv": "users",
    }
    names = [column.name for table in FEATURE_VIEWS.values() for column in table.columns]
    assert len(names) == len(set(names)) == 21
    assert feature_view_of("monthly_fee") == "subs_profile_fv"
    assert feature_column("skips_7d").kind == "integer"


def test_a_model_takes_its_features_in_this_order():
    first = FEATURE_SERVICES["churn_v1"]
    assert first == (
        *("months_active", "monthly_fee", "paperless_billing", "plan_stream_tv", "plan_stream_movies", "net_service"),
        *("watch_hours_30d", "avg_session_mins_7d", "unique_devices_30d", "skips_7d", "rebuffer_events_7d"),
        *("failed_payments_90d", "support_tickets_90d", "ticket_avg_resolution_hrs_90d"),
    )
    more = ("contract_type", "total_paid", "user_gender", "user_is_senior", "has_family", "has_dependents")
    assert FEATURE_SERVICES["churn_v2"] == (*first, *more)
    assert list(FEATURE_SERVICES) == ["churn_v1", "churn_v2"]
    assert tuple(column.name for column in service_features("churn_v2")) == FEATURE_SERVICES["churn_v2"]


def test_a_service_takes_from_each_view_what_it_wants_in_the_order_of_the_tables():
    assert views_of("churn_v1") == {
        "subs_profile_fv": (
            *("months_active", "plan_stream_tv", "plan_stream_movies", "paperless_billing", "monthly_fee"),
            "net_service",
        ),
        "usage_agg_30d_fv": (
            *("watch_hours_30d", "avg_session_mins_7d", "unique_devices_30d", "skips_7d", "rebuffer_events_7d"),
        ),
        "payments_agg_90d_fv": ("failed_payments_90d",),
        "support_agg_90d_fv": ("support_tickets_90d", "ticket_avg_resolution_hrs_90d"),
    }
    assert views_of("churn_v2")["user_profile_fv"] == ("user_gender", "user_is_senior", "has_family", "has_dependents")
