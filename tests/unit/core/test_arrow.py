"""Text becomes typed columns, or the first field that can't is named with its row and user."""

import pyarrow as pa
import pytest

from streamflow.core.arrow import ARROW_TYPES, arrow_schema, field_error, sorted_by_user, typed_rows
from streamflow.core.errors import ExtractError
from streamflow.core.schema import Column, Table

EVERY_KIND = Table(
    "things",
    (
        Column("word", "text", ""),
        Column("yes", "boolean", ""),
        Column("maybe", "boolean", "", nullable=True),
        Column("count", "integer", ""),
        Column("size", "real", ""),
        Column("day", "date", ""),
    ),
)
GOOD = {
    "user_id": ["b", "a"],
    "word": ["fine\nday", ""],
    "yes": ["True", "false"],
    "maybe": [None, "true"],
    "count": ["-7", "42"],
    "size": ["-1.5e3", "2"],
    "day": ["2024-02-29", "2024-01-31"],
}


def text(**changed):
    """The good rows, fields of the second one changed."""
    columns = {name: [values[0], changed.get(name, values[1])] for name, values in GOOD.items()}
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def test_text_becomes_the_types_of_the_schema_and_keeps_its_order():
    rows = typed_rows(EVERY_KIND, text(), "things.csv")
    assert rows.schema.equals(arrow_schema(EVERY_KIND))
    assert rows.to_pydict() | {"day": [str(day) for day in rows["day"].to_pylist()]} == {
        "user_id": ["b", "a"],
        "word": ["fine\nday", ""],
        "yes": [True, False],
        "maybe": [None, True],
        "count": [-7, 42],
        "size": [-1500.0, 2.0],
        "day": ["2024-02-29", "2024-01-31"],
    }


def test_a_column_may_hold_null_only_where_the_schema_says_so():
    assert [field.nullable for field in arrow_schema(EVERY_KIND)] == [False, False, False, True, False, False, False]
    assert [str(field.type) for field in arrow_schema(EVERY_KIND)] == [
        *("string", "string", "bool", "bool", "int64", "double", "date32[day]"),
    ]
    assert list(ARROW_TYPES) == ["text", "boolean", "integer", "real", "date"]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("word", None, "nothing where text must be"),
        ("yes", None, "nothing where True or False must be"),
        ("count", None, "nothing where a whole number must be"),
        ("day", None, "nothing where a date (YYYY-MM-DD) must be"),
        ("yes", "TRUE", "'TRUE' is not True or False"),
        ("yes", "xTrue", "'xTrue' is not True or False"),
        ("yes", "falsey", "'falsey' is not True or False"),
        ("maybe", "yes", "'yes' is not True or False"),
        ("count", "1.0", "'1.0' is not a whole number"),
        ("count", "+1", "'+1' is not a whole number"),
        ("count", "1" * 19, "is not a whole number"),
        ("size", "nan", "'nan' is not a number"),
        ("size", "1,5", "'1,5' is not a number"),
        ("size", ".5", "'.5' is not a number"),
        ("size", "1e400", "'1e400' is not a number that fits into 64 bits"),
        ("day", "2024-02-30", "'2024-02-30' is not a date (YYYY-MM-DD)"),
        ("day", "24-02-03", "'24-02-03' is not a date (YYYY-MM-DD)"),
    ],
)
def test_a_field_that_is_not_of_its_type_is_named(column, value, words):
    with pytest.raises(ExtractError) as refused:
        typed_rows(EVERY_KIND, text(**{column: value}), "things.csv")
    assert str(refused.value).startswith(f"things.csv: column {column}, row 3, user a: ")
    assert words in str(refused.value)
    assert " more)" not in str(refused.value)


def test_the_first_of_several_bad_fields_is_named_and_the_others_are_counted():
    rows = text(count="x").set_column(4, "count", pa.array(["y", "x"]))
    with pytest.raises(ExtractError, match=r"column count, row 2, user b: 'y' .* \(and 1 more\);"):
        typed_rows(EVERY_KIND, rows, "things.csv")


@pytest.mark.parametrize("value", ["9" * 18, "-" + "9" * 18])
def test_whole_numbers_of_18_digits_are_held_exactly(value):
    assert typed_rows(EVERY_KIND, text(count=value), "things.csv")["count"].to_pylist() == [-7, int(value)]


def test_users_are_sorted_by_the_bytes_of_their_id():
    rows = pa.chunked_array([["ä", "b"], ["B", "a"]])
    ordered = sorted_by_user(pa.table({"user_id": rows, "n": [1, 2, 3, 4]}))
    assert ordered.to_pydict() == {"user_id": ["B", "a", "b", "ä"], "n": [3, 4, 2, 1]}
    assert ordered["user_id"].num_chunks == 1


def test_an_error_of_a_field_says_what_is_known_and_no_more():
    error = field_error("a.csv", "fee", 7, "ada", 12.5, "is above 10", more=2)
    assert str(error).startswith("a.csv: column fee, row 7, user ada: 12.5 is above 10 (and 2 more); ")
    assert "row 7: " in str(field_error("a.csv", "fee", 7, None, 12.5, "is above 10"))
    assert "row 7: 'ada' is there twice; " in str(field_error("a.csv", "user_id", 7, "ada", "ada", "is there twice"))
