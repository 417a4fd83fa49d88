"""Values of a column made up from its schema alone: kind, bounds, closed domain and NULL policy."""

import math
from datetime import date, timedelta
from typing import Any

import numpy as np

from streamflow.core.schema import Column


def allowed_values(column: Column, users: int, random: np.random.Generator) -> np.ndarray[Any, Any]:
    """Values that the schema allows in a column, shape (users,); of a nullable column a tenth is NULL, never the first."""
    low = column.minimum if column.minimum is not None else min(0, column.maximum or 0)
    high = column.maximum if column.maximum is not None else low + 100
    values: np.ndarray[Any, Any]
    if column.kind == "text":
        values = random.choice(np.array(column.allowed or ("a", "b", "c"), dtype=object), users)
    elif column.kind == "boolean":
        values = random.random(users) < 0.5
    elif column.kind == "integer":
        values = random.integers(math.ceil(low), math.floor(high), users, endpoint=True)
    elif column.kind == "real":
        values = np.clip(np.round(random.uniform(low, high, users), 2), low, high)
    else:
        values = np.array([date(2022, 1, 1) + timedelta(days=int(day)) for day in random.integers(0, 37, users)])
    if column.nullable:
        values = values.astype(object)
        values[1:][random.random(users)[1:] < 0.1] = None
    return values
