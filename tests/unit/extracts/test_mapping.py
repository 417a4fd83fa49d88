"""Texts of a team's own columns become typed values of the schema's."""

from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamflow.core.errors import ExtractError
from streamflow.core.schema import Column, Table
from streamflow.core.source_mapping import COMPUTED, MappedTable, Reading, Rule
from streamflow.extracts.mapping import mapped_rows

AS_OF = date(2024, 2, 29)


def column(kind, rule, text, nullable=True, reading=None, more=None, as_of=AS_OF):
    """The values of one column that is read from the column A (and others in `more`) by a rule."""
    reading = reading or Reading(key="id", true_values=("Yes",), false_values=("No",), null_values=("", " "))
    table = Table("made", (Column("value", kind, "", nullable=nullable, minimum=0, maximum=1),))
    rows = pa.table({"id": [f"u{at}" for at in range(len(text))], "A": pa.array(text, pa.string()), **(more or {})})
    mapped = MappedTable(table, reading, {"value": (reading, rule)})
    return mapped_rows(mapped, rows, as_of, "made.csv")["value"].to_pylist()


A = Rule(column="A")


def test_texts_get_their_meaning():
    assert column("boolean", A, ["Yes", "No", " ", None]) == [True, False, None, None]
    assert column("integer", A, ["3", "-2", ""]) == [3, -2, None]
    assert column("real", A, ["3", "2.50", "1e-3"]) == [3.0, 2.5, 0.001]
    assert column("text", Rule(column="A", values={"a": "Alpha", "?": None}), ["a", "b", "?"]) == ["Alpha", "b", None]
    assert column("boolean", Rule(column="A", values={"maybe": "false"}), ["maybe", "Yes"]) == [False, True]
    assert column("real", Rule(column="A", empty="0"), [" ", "5"], nullable=False) == [0.0, 5.0]
    assert column("text", Rule(constant="DSL"), ["x", "y"]) == ["DSL", "DSL"]
    comma = Reading(key="id", decimal=",", dates="%d.%m.%Y")
    assert column("real", A, ["1,5", "20"], reading=comma) == [1.5, 20.0]
    assert column("date", A, ["31.01.2024", None], reading=comma) == [date(2024, 1, 31), None]


@pytest.mark.parametrize(
    ("rule", "kind", "text", "values"),
    [
        (Rule(compute="sum", operands=("A", "B", 1)), "real", ["1", "2.5", ""], [11.0, 22.5, None]),
        (Rule(compute="difference", operands=("B", "A")), "integer", ["1", "2", ""], [8, 17, None]),
        (Rule(compute="product", operands=("A", 0.5)), "real", ["1", "3", "0"], [0.5, 1.5, 0.0]),
        (Rule(compute="ratio", operands=("B", "A")), "real", ["3", "0", "8"], [3.0, None, 3.625]),
        (Rule(compute="months_before", operands=("A",)), "date", ["0", "12", ""], [AS_OF, date(2023, 2, 28), None]),
        (Rule(compute="is_empty", operands=("A",)), "boolean", ["x", " ", None], [False, True, True]),
        (Rule(compute="is_not_empty", operands=("A",)), "boolean", ["x", " ", None], [True, False, False]),
    ],
)
def test_a_column_is_computed(rule, kind, text, values):
    assert column(kind, rule, text, more={"B": ["9", "19", "29"]}) == values


def test_days_and_months_since_a_date():
    dates = ["2024-01-31", "2024-02-01", "2023-02-28", "2024-02-29", ""]
    assert column("integer", Rule(compute="days_since", operands=("A",)), dates) == [29, 28, 366, 0, None]
    # The last day of a month ends it, however long the month is.
    assert column("integer", Rule(compute="months_since", operands=("A",)), dates) == [1, 0, 12, 0, None]
    middle = date(2024, 2, 15)
    dates = ["2024-01-15", "2024-01-16", "2023-12-01", "2024-02-15", ""]
    assert column("integer", Rule(compute="months_since", operands=("A",)), dates, as_of=middle) == [1, 0, 2, 0, None]


def test_every_computation_that_is_offered_is_there():
    from streamflow.extracts.mapping import _COMPUTE

    assert list(_COMPUTE) == list(COMPUTED)


@pytest.mark.parametrize(
    ("kind", "rule", "text", "reading", "message"),
    [
        ("boolean", A, ["Yes", "perhaps"], None, "column A (value), row 3, user u1: 'perhaps' is not True or False"),
        ("integer", A, ["1.5"], None, "column A (value), row 2, user u0: '1.5' is not a whole number"),
        ("real", A, ["1", "n/a", "x"], None, "column A (value), row 3, user u1: 'n/a' is not a number"),
        ("real", A, ["1.234,5"], Reading(key="id", decimal=","), "'1.234,5' has a point, and the decimal sign is a comma"),
        ("date", A, ["31.02.2024"], Reading(key="id", dates="%d.%m.%Y"), "'31.02.2024' is not a date as %d.%m.%Y"),
        ("real", Rule(compute="sum", operands=("A", 1)), ["1", "one"], None, "column A, row 3, user u1: 'one' is not a"),
        ("date", Rule(compute="months_before", operands=("A",)), ["2.5"], None, "'2.5' is not a whole number of months"),
        ("integer", Rule(compute="product", operands=("A", 0.5)), ["3"], None, "'1.5' is not a whole number"),
        ("real", Rule(compute="ratio", operands=("A", 1e-300)), ["1e300"], None, "'inf' is not a number"),
    ],
)  # fmt: skip
def test_a_text_without_meaning_is_named_with_the_teams_own_column(kind, rule, text, reading, message):
    with pytest.raises(ExtractError) as caught:
        column(kind, rule, text, reading=reading)
    assert str(caught.value).startswith("made.csv: column ")
    assert message in str(caught.value)


def test_an_empty_value_where_one_must_be_is_named():
    with pytest.raises(ExtractError, match=r"column A \(value\), row 3, user u1: nothing where a number must be"):
        column("real", A, ["1", " "], nullable=False)
    rows, keyed = pa.table({"id": pa.array([None], pa.string())}), MappedTable(Table("made", ()), Reading(key="id"), {})
    with pytest.raises(ExtractError, match=r"made.csv: column id, row 2: nothing where an id must be"):
        mapped_rows(keyed, rows, AS_OF, "made.csv")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6).map(lambda value: round(value, 2))), min_size=1, max_size=8))
def test_the_same_numbers_in_another_notation_are_the_same_values(numbers):
    points = [None if each is None else f"{each:.2f}" for each in numbers]
    commas = [None if each is None else each.replace(".", ",") for each in points]
    plain = column("real", A, points)
    assert plain == [None if each is None else each for each in numbers]
    assert column("real", A, commas, reading=Reading(key="id", decimal=",")) == plain


@settings(max_examples=200, deadline=None)
@given(st.dates(date(1950, 1, 1), AS_OF))
def test_months_since_and_months_before_are_each_others_reversal(day):
    (months,) = column("integer", Rule(compute="months_since", operands=("A",)), [day.isoformat()])
    (back,) = column("date", Rule(compute="months_before", operands=("A",)), [str(months)])
    assert months >= 0
    assert day <= back
    (one_more,) = column("date", Rule(compute="months_before", operands=("A",)), [str(months + 1)])
    assert one_more < day
