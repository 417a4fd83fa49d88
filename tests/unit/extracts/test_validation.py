"""The pandera schema of an extract: derived from the project's schema, with no column more or less."""

import pandas as pd
import pandera.errors
import pytest

from streamflow.core.schema import Column, Table
from streamflow.extracts.validation import extract_schema

THINGS = Table(
    "things",
    (
        Column("size", "real", "", minimum=0, maximum=10),
        Column("kind", "text", "", allowed=("a", "b")),
        Column("maybe", "boolean", "", nullable=True),
    ),
)
ID_RULE = "printable characters in normal form NFC, no white space around them"
GOOD = {"user_id": ["u", "v" * 64], "size": [0.0, 10.0], "kind": ["a", "b"], "maybe": [True, None]}


def failures(**columns):
    frame = pd.DataFrame({**GOOD, **columns})
    try:
        extract_schema(THINGS).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return [(row["column"], row["check"]) for row in errors.failure_cases.to_dict("records")]
    return []


def test_what_the_schema_allows_passes():
    assert failures() == []
    assert extract_schema(THINGS).name == "things"


@pytest.mark.parametrize(
    ("column", "values", "check"),
    [
        ("size", [-0.1, 1.0], "is below 0"),
        ("size", [10.1, 1.0], "is above 10"),
        ("kind", ["a", "c"], "is not one of a, b"),
        ("user_id", ["u", "u"], "field_uniqueness"),
        ("user_id", ["u", "v" * 65], "is longer than 64 characters"),
        ("user_id", ["u", ""], "is longer than 64 characters"),
        *(
            ("user_id", ["u", bad], f"is not an id: {ID_RULE}")
            for bad in (" v", "v\t", "v ", "v\x1bw", "v\u200bw", "e\u0301")
        ),
        ("size", [None, 1.0], "not_nullable"),
    ],
)
def test_a_breach_is_named_by_its_column_and_its_rule(column, values, check):
    assert (column, check) in failures(**{column: values})


def test_no_column_more_or_less_and_none_in_another_place():
    assert failures(more=[1, 2]) == [("things", "column_in_schema")]
    frame = pd.DataFrame(GOOD)
    for other in (frame.drop(columns=["kind"]), frame[["size", "user_id", "kind", "maybe"]]):
        with pytest.raises(pandera.errors.SchemaErrors):
            extract_schema(THINGS).validate(other, lazy=True)
