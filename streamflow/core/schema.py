"""The schema of the six monthly extracts: names, types, NULL policy and ranges, written once.

Validation, Postgres, Parquet, Feast, training and serving derive from this module.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal["text", "boolean", "integer", "real", "date"]

ENTITY = "user"
ENTITY_KEY = "user_id"
EVENT_TIMESTAMP = "as_of"
LABEL = "churn_label"
LABEL_TABLE = "labels"
FEAST_PROJECT = "streamflow"
MODEL_NAME = "streamflow_churn"

LONGEST_ID = 64
"""Characters of a user's id. It is printable, in Unicode's normal form NFC, and has no white space around it."""
EARLIEST_DATE = date(1900, 1, 1)
"""No date of an extract is before it."""

NO_INTERNET = "No"
"""The value of net_service for users who have no internet, hence no streaming plan."""


@dataclass(frozen=True)
class Column:
    """One column of an extract.

    `nullable` columns hold NULL by design; NULL is then a value of its own, neither False nor missing.
    `minimum` and `maximum` are inclusive, and each number has both, so that it is finite; `allowed` is the closed domain of
    a text column.
    """

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One extract: a row for each user, `user_id` unique and never NULL."""

    name: str
    columns: tuple[Column, ...]

    @property
    def header(self) -> tuple[str, ...]:
        """Column names in file order, the key first."""
        return (ENTITY_KEY, *(column.name for column in self.columns))

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if the table has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


USERS = Table(
    "users",
    (
        Column("signup_date", "date", "day the account was opened"),
        Column("user_gender", "text", "as the user stated it", allowed=("Female", "Male")),
        Column("user_is_senior", "boolean", "65 or older"),
        Column("has_family", "boolean", "lives with a partner"),
        Column("has_dependents", "boolean", "has dependents"),
    ),
)
SUBSCRIPTIONS = Table(
    "subscriptions",
    (
        Column("months_active", "integer", "completed months", minimum=0, maximum=1200),
        Column("plan_stream_tv", "boolean", "TV plan; NULL without internet", nullable=True),
        Column("plan_stream_movies", "boolean", "film plan; NULL without internet", nullable=True),
        Column(
            "contract_type",
            "text",
            "term of the contract",
            allowed=("Month-to-month", "One year", "Two year"),
        ),
        Column("paperless_billing", "boolean", "bills by mail only on request"),
        Column("monthly_fee", "real", "USD a month", minimum=0, maximum=10_000),
        Column("total_paid", "real", "USD since the account was opened", minimum=0, maximum=10_000_000),
        Column(
            "net_service",
            "text",
            "kind of internet access",
            allowed=("DSL", "Fiber optic", NO_INTERNET),
        ),
    ),
)
USAGE = Table(
    "usage_agg_30d",
    (
        Column("watch_hours_30d", "real", "hours, last 30 days", minimum=0, maximum=720),
        Column("avg_session_mins_7d", "real", "minutes, last 7 days", minimum=0, maximum=10_080),
        Column("unique_devices_30d", "integer", "devices, last 30 days", minimum=0, maximum=1000),
        Column("skips_7d", "integer", "skipped titles, last 7 days", minimum=0, maximum=100_000),
        Column("rebuffer_events_7d", "integer", "stalls, last 7 days", minimum=0, maximum=100_000),
    ),
)
PAYMENTS = Table(
    "payments_agg_90d",
    (Column("failed_payments_90d", "integer", "payments, last 90 days", minimum=0, maximum=1000),),
)
SUPPORT = Table(
    "support_agg_90d",
    (
        Column("support_tickets_90d", "integer", "tickets, last 90 days", minimum=0, maximum=10_000),
        Column(
            "ticket_avg_resolution_hrs_90d",
            "real",
            "hours to resolve a ticket, last 90 days",
            minimum=0,
            maximum=2160,
        ),
    ),
)
LABELS = Table(LABEL_TABLE, (Column(LABEL, "boolean", "churned in the month of the snapshot"),))

TABLES: tuple[Table, ...] = (USERS, SUBSCRIPTIONS, USAGE, PAYMENTS, SUPPORT, LABELS)

FEATURE_VIEWS: dict[str, Table] = {
    "subs_profile_fv": SUBSCRIPTIONS,
    "usage_agg_30d_fv": USAGE,
    "payments_agg_90d_fv": PAYMENTS,
    "support_agg_90d_fv": SUPPORT,
    "user_profile_fv": USERS,
}
"""Feature view name to the table that feeds it. churn_v1 needs the first four."""

_CHURN_V1 = (
    "months_active",
    "monthly_fee",
    "paperless_billing",
    "plan_stream_tv",
    "plan_stream_movies",
    "net_service",
    "watch_hours_30d",
    "avg_session_mins_7d",
    "unique_devices_30d",
    "skips_7d",
    "rebuffer_events_7d",
    "failed_payments_90d",
    "support_tickets_90d",
    "ticket_avg_resolution_hrs_90d",
)
_CHURN_V2 = (
    *_CHURN_V1,
    "contract_type",
    "total_paid",
    "user_gender",
    "user_is_senior",
    "has_family",
    "has_dependents",
)
FEATURE_SERVICES: dict[str, tuple[str, ...]] = {"churn_v1": _CHURN_V1, "churn_v2": _CHURN_V2}
"""Feature service name to its features, in the order in which the model takes them."""
_WITHOUT = " without "


def service_without(service: str, absent: Collection[str]) -> str:
    """Name of a feature service whose source lacks what `absent` names: TABLE, or TABLE.COLUMN.

    The name says what is left out, tables and then columns in schema order: `churn_v1 without usage_agg_30d`. It is the
    service itself if nothing of it is absent; KeyError if there is no such service.
    """
    wanted = FEATURE_SERVICES[service]
    feeding = [table for table in TABLES if any(name in wanted for name in table.header[1:])]
    tables = [table.name for table in feeding if table.name in absent]
    columns = [
        column.name
        for table in feeding
        for column in table.columns
        if column.name in wanted and table.name not in absent and f"{table.name}.{column.name}" in absent
    ]
    return service + (_WITHOUT + ", ".join([*tables, *columns]) if tables or columns else "")


def service_name(service: str) -> str:
    """The feature service as conf/features calls it, whatever is left out of it."""
    return service.partition(_WITHOUT)[0]


def features_of(service: str) -> tuple[str, ...]:
    """The features of a service, or of one without something, in model order; KeyError if there is no such service."""
    name, _, rest = service.partition(_WITHOUT)
    left_out = rest.split(", ") if rest else []
    columns = [f"{table.name}.{each}" for each in left_out for table in TABLES if each in table.header[1:]]
    if service_without(name, {*left_out, *columns}) != service:
        raise KeyError(service)
    return tuple(
        feature
        for feature in FEATURE_SERVICES[name]
        if feature not in left_out and FEATURE_VIEWS[feature_view_of(feature)].name not in left_out
    )


def feature_view_of(feature: str) -> str:
    """Name of the feature view that serves a feature; KeyError if none does."""
    for view, table in FEATURE_VIEWS.items():
        if feature in table.header[1:]:
            return view
    raise KeyError(feature)


def feature_column(feature: str) -> Column:
    """The column behind a feature; KeyError if no feature view serves it."""
    return FEATURE_VIEWS[feature_view_of(feature)].column(feature)


def service_features(service: str) -> tuple[Column, ...]:
    """The columns of a feature service in model order; KeyError if there is no such service."""
    return tuple(feature_column(name) for name in features_of(service))


def views_of(service: str) -> dict[str, tuple[str, ...]]:
    """Feature view name to the features that a service takes from it, both in schema order."""
    wanted = features_of(service)
    return {
        view: features
        for view, table in FEATURE_VIEWS.items()
        if (features := tuple(name for name in table.header[1:] if name in wanted))
    }
