"""A seeded generator of monthly extracts: synthetic users whose churn depends on the values in the tables.

Every table and month draws from a random stream of its own, so the bytes of a month do not depend on the other months.
A column of the schema that has no model here gets values of its kind and bounds, from a stream of its own.
Values derived with exp() are only compared or rounded, so that no CPU's last bit reaches a file.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from streamflow.core.calendar import FIRST_SYNTHETIC_MONTH, months_between
from streamflow.core.schema import ENTITY_KEY, NO_INTERNET, TABLES
from streamflow.extracts.allowed_values import allowed_values

KNOWN_USER = "7590-VHVEG"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGIT_CODES = 10_000
_ID_CODES = _DIGIT_CODES * len(_LETTERS) ** 5
_ID_STRIDE = 48_271_000_039  # coprime to _ID_CODES, so that no two users share an id
_STREAMS = {
    name: number for number, name in enumerate(("profile", "contract", "usage", "payments", "support", "churn"))
}

Columns = dict[str, np.ndarray[Any, Any]]


# User 7590-VHVEG in January, to which docs and tests point.
_KNOWN_PROFILE = {"user_gender": "Female", "user_is_senior": False, "has_family": True, "has_dependents": False}
_KNOWN_CONTRACT = {
    "net_service": "DSL",
    "contract_type": "Month-to-month",
    "paperless_billing": True,
    "plan_stream_tv": False,
    "plan_stream_movies": False,
    "monthly_fee": 29.85,
    "months_active": 1,
}
_KNOWN_USAGE = {
    "watch_hours_30d": 24.483650766787413,
    "avg_session_mins_7d": 29.14104464084511,
    "unique_devices_30d": 3,
    "skips_7d": 4,
    "rebuffer_events_7d": 1,
}
_KNOWN_PAYMENTS = {"failed_payments_90d": 1}
_KNOWN_SUPPORT = {"support_tickets_90d": 0, "ticket_avg_resolution_hrs_90d": 16.0}


def generate_month(users: int, month: str, seed: int) -> dict[str, pa.Table]:
    """The six extracts of one month, each with `users` rows in the order of user number.

    `month` is a date at or after FIRST_SYNTHETIC_MONTH; months in between evolve from it. Plans are NULL exactly where
    net_service is "No".
    """
    elapsed = months_between(FIRST_SYNTHETIC_MONTH, month)
    if elapsed < 0:
        raise ValueError(f"{month} is before the first synthetic month {FIRST_SYNTHETIC_MONTH}")
    profile = _profile(users, seed)
    contract = _contract(users, seed, elapsed)
    usage, payments, support = (make(contract, seed, elapsed) for make in (_usage, _payments, _support))
    if elapsed == 0:
        _place(usage, _KNOWN_USAGE)
        _place(payments, _KNOWN_PAYMENTS)
        _place(support, _KNOWN_SUPPORT)
    columns = {ENTITY_KEY: user_ids(users), **profile, **contract, **usage, **payments, **support}
    columns |= _labels(columns, seed, elapsed)
    for table in TABLES:
        for column in table.columns:
            if column.name not in columns:
                # The first byte of a name is above every number of _STREAMS, so no stream is drawn from twice.
                stream = np.random.SeedSequence([seed, *f"{table.name}.{column.name}".encode(), elapsed])
                columns[column.name] = allowed_values(column, users, np.random.Generator(np.random.PCG64(stream)))
    return {table.name: pa.table({name: _arrow(columns[name]) for name in table.header}) for table in TABLES}


def _arrow(values: Any) -> pa.Array:
    # Of an array of objects, pyarrow would ask pandas, whose import takes longer than making the month.
    return pa.array(values.tolist() if values.dtype == object else values)


def user_ids(users: int) -> np.ndarray[Any, Any]:
    """Distinct ids of the form 7590-VHVEG, that one first; shape (users,)."""
    digits, letters = KNOWN_USER.split("-")
    start = int(digits) + _DIGIT_CODES * _letters_code(letters)
    codes = [(start + number * _ID_STRIDE) % _ID_CODES for number in range(users)]
    return np.array([f"{code % _DIGIT_CODES:04d}-{_letters(code // _DIGIT_CODES)}" for code in codes], dtype=object)


def _profile(users: int, seed: int) -> Columns:
    random = _random(seed, "profile")
    first_day = date(2022, 1, 1)
    columns: Columns = {
        "signup_date": np.array([first_day + timedelta(days=int(day)) for day in random.integers(0, 37, users)]),
        "user_gender": random.choice(np.array(["Female", "Male"], dtype=object), users),
        "user_is_senior": random.random(users) < 0.162,
        "has_family": random.random(users) < 0.483,
        "has_dependents": random.random(users) < 0.30,
    }
    _place(columns, _KNOWN_PROFILE)
    return columns


def _contract(users: int, seed: int, elapsed: int) -> Columns:
    random = _random(seed, "contract")
    tenure = np.minimum(np.floor(72.5 * random.beta(0.75, 0.95, users)), 72).astype(np.int64)
    net = random.choice(np.array(["DSL", "Fiber optic", NO_INTERNET], dtype=object), users, p=[0.344, 0.440, 0.216])
    longer = np.clip(0.06 + tenure / 90, 0, 0.9)
    term, second = random.random(users), random.random(users)
    contract_type = np.where(term > longer, "Month-to-month", np.where(second < 0.5, "One year", "Two year"))
    tv, movies = random.random(users) < 0.49, random.random(users) < 0.495
    extra = random.uniform(0, 25, users)
    columns: Columns = {
        "net_service": net,
        "contract_type": contract_type.astype(object),
        "paperless_billing": random.random(users) < np.where(net == NO_INTERNET, 0.29, 0.68),
        "plan_stream_tv": tv.astype(object),
        "plan_stream_movies": movies.astype(object),
        "monthly_fee": _fee(net, tv, movies, extra),
        "months_active": tenure,
    }
    _place(columns, _KNOWN_CONTRACT)
    paid = columns["monthly_fee"] * columns["months_active"]
    for step in range(1, elapsed + 1):
        _next_contract(columns, _random(seed, "contract", step))
        paid = paid + columns["monthly_fee"]
    without_internet = columns["net_service"] == NO_INTERNET
    columns["plan_stream_tv"][without_internet] = None
    columns["plan_stream_movies"][without_internet] = None
    columns["total_paid"] = np.round(paid, 2)
    return columns


def _fee(net: Any, tv: Any, movies: Any, extra: Any) -> Any:
    access = np.where(net == "Fiber optic", 70.0, np.where(net == "DSL", 44.0, 19.0))
    options = np.where(net == NO_INTERNET, extra * 0.2, 10.0 * tv + 10.0 * movies + extra)
    return np.round(np.round((access + options) * 20) / 20, 2)


def _next_contract(columns: Columns, random: np.random.Generator) -> None:
    users = len(columns["months_active"])
    columns["months_active"] = columns["months_active"] + 1
    signs_longer = (random.random(users) < 0.02) & (columns["contract_type"] == "Month-to-month")
    columns["contract_type"] = np.where(signs_longer, "One year", columns["contract_type"])
    pays_more = random.random(users) < 0.05
    columns["monthly_fee"] = np.round(columns["monthly_fee"] + np.where(pays_more, 5.0, 0.0), 2)


def _usage(contract: Columns, seed: int, elapsed: int) -> Columns:
    users = len(contract["months_active"])
    random = _random(seed, "usage")
    taste = random.normal(0, 1, users)
    line = np.where(contract["net_service"] == "Fiber optic", 2.6, 1.8)
    devices = random.integers(1, 4, users)
    session = np.round(np.clip(29 + 6 * random.normal(0, 1, users), 5, 90), 4)
    month = _random(seed, "usage", elapsed + 1)
    hours = 29.6 + 5.5 * taste + 3.5 * month.normal(0, 1, users) - 0.6 * elapsed
    return {
        "watch_hours_30d": np.round(np.clip(hours, 0.5, 700), 4),
        "avg_session_mins_7d": np.round(np.clip(session + month.normal(0, 1.5, users), 1, 180), 4),
        "unique_devices_30d": devices,
        "skips_7d": np.clip(np.round(5 + 2.2 * month.normal(0, 1, users)), 0, 40).astype(np.int64),
        "rebuffer_events_7d": np.clip(np.round(line + 0.2 * elapsed + 1.5 * month.normal(0, 1, users)), 0, 40).astype(
            np.int64
        ),
    }


def _payments(contract: Columns, seed: int, elapsed: int) -> Columns:
    users = len(contract["months_active"])
    monthly = contract["contract_type"] == "Month-to-month"
    draw = _random(seed, "payments", elapsed).random(users)
    chance = np.where(monthly, 0.21, 0.07)
    return {"failed_payments_90d": (draw < chance).astype(np.int64) + (draw < chance * 0.12)}


def _support(contract: Columns, seed: int, elapsed: int) -> Columns:
    users = len(contract["months_active"])
    random = _random(seed, "support", elapsed)
    draw = random.random(users)
    fiber = contract["net_service"] == "Fiber optic"
    chance = np.where(fiber, 0.34, 0.20)
    tickets = (draw < chance).astype(np.int64) + (draw < chance * 0.18) + (draw < chance * 0.02)
    return {
        "support_tickets_90d": tickets,
        "ticket_avg_resolution_hrs_90d": np.round(np.clip(10 + 4 * random.normal(0, 1, users), 1, 40), 1),
    }


def _labels(columns: Columns, seed: int, elapsed: int) -> Columns:
    churns = _random(seed, "churn", elapsed).random(len(columns["months_active"])) < _churn_probability(columns)
    if elapsed == 0:
        churns[0] = False
    return {"churn_label": churns}


def _churn_probability(columns: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    tenure = columns["months_active"]
    net, term = columns["net_service"], columns["contract_type"]
    score = (
        -2.25
        + 1.9 * np.exp(-tenure / 14.0)
        - 0.012 * tenure
        + np.where(net == "Fiber optic", 1.15, np.where(net == NO_INTERNET, -1.0, 0.0))
        + np.where(term == "Two year", -1.5, np.where(term == "One year", -0.8, 0.35))
        + 0.35 * columns["paperless_billing"]
        + 0.30 * columns["user_is_senior"]
        - 0.20 * columns["has_dependents"]
        + 0.75 * columns["failed_payments_90d"]
        + 0.45 * columns["support_tickets_90d"]
        + 0.16 * (columns["rebuffer_events_7d"] - 2)
        - 0.055 * (columns["watch_hours_30d"] - 29.6)
        + 0.03 * (columns["ticket_avg_resolution_hrs_90d"] - 10)
    )
    return np.asarray(1 / (1 + np.exp(-score)))


def _place(columns: Columns, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        columns[name][0] = value


def _random(seed: int, stream: str, step: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _STREAMS[stream], step])))


def _letters(code: int) -> str:
    text = ""
    for _ in range(5):
        code, letter = divmod(code, len(_LETTERS))
        text = _LETTERS[letter] + text
    return text


def _letters_code(letters: str) -> int:
    code = 0
    for letter in letters:
        code = code * len(_LETTERS) + _LETTERS.index(letter)
    return code
