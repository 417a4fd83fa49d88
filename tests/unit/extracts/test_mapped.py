"""A month read by a mapping: one wide file, several files, other notations, and what is missing in them."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from project import ROOT
from telephone import HEADER, customers, write_telephone

from streamflow.core.config import SourceConfig, identity_in, source_identity
from streamflow.core.errors import ExtractError
from streamflow.core.schema import TABLES
from streamflow.extracts.mapped import delivered_files, read_mapped
from streamflow.extracts.validation import check_month

JANUARY = "2024-01-31"


def source(folder, **changes):
    content = yaml.safe_load((ROOT / "conf/source/telephone.yaml").read_text())
    del content["defaults"]
    return SourceConfig(**{**content, "dir": str(folder), **changes})


def no_query(_):
    raise AssertionError("files are no query")


@pytest.fixture
def folder(tmp_path):
    write_telephone(tmp_path, 60)
    return tmp_path


def test_all_tables_come_out_of_one_wide_file(folder):
    rows, origins = read_mapped(source(folder), JANUARY, no_query)
    assert list(rows) == [table.name for table in TABLES]
    assert set(origins.values()) == {str(folder / f"{JANUARY}.csv")}
    assert {name: each.num_columns - 1 for name, each in rows.items()} == {
        "users": 5, "subscriptions": 8, "usage_agg_30d": 0, "payments_agg_90d": 0, "support_agg_90d": 0, "labels": 1,
    }  # fmt: skip
    check_month(rows, origins, date(2024, 1, 31))
    expected = customers(60, 0)
    for at, known in enumerate(expected):
        users, plans = rows["users"].slice(at, 1).to_pylist()[0], rows["subscriptions"].slice(at, 1).to_pylist()[0]
        assert users["user_id"] == known["customerID"] == rows["support_agg_90d"]["user_id"][at].as_py()
        assert users["user_is_senior"] == (known["SeniorCitizen"] == "1")
        assert users["has_family"] == (known["Partner"] == "Yes")
        months = 12 * (2024 - users["signup_date"].year) + 1 - users["signup_date"].month
        assert months == int(known["tenure"]) == plans["months_active"]
        assert plans["plan_stream_tv"] == {"Yes": True, "No": False}.get(known["StreamingTV"])
        assert plans["total_paid"] == float(known["TotalCharges"].strip() or 0)
        assert rows["labels"]["churn_label"][at].as_py() == (known["Churn"] == "Yes")
    assert any(not known["TotalCharges"].strip() for known in expected)


def test_another_notation_gives_the_same_rows(folder):
    wide = (folder / f"{JANUARY}.csv").read_text()
    usual, _ = read_mapped(source(folder), JANUARY, no_query)
    swapped = "\n".join(line.replace(".", "§").replace(",", ";").replace("§", ",") for line in wide.split("\n"))
    (folder / "umlaut.csv").write_bytes(swapped.replace("customerID", "Kunde Ä").encode("cp1252"))
    other = source(folder)
    other.reading = {
        **other.reading, "file": "umlaut.csv", "key": "Kunde Ä", "delimiter": ";", "decimal": ",", "encoding": "cp1252",
    }  # fmt: skip
    found, _ = read_mapped(other, JANUARY, no_query)
    assert all(found[name].equals(rows) for name, rows in usual.items())


def test_a_table_may_have_a_file_and_a_key_of_its_own(folder):
    lines = (folder / f"{JANUARY}.csv").read_text().splitlines()
    at = HEADER.index("Churn")
    labels = ["id,left", *(f"{line.split(',')[0]},{line.split(',')[at]}" for line in lines[1:])]
    (folder / "labels").mkdir()
    (folder / "labels" / "2024-01-31-left.csv").write_text("\n".join(labels) + "\n")
    usual, _ = read_mapped(source(folder), JANUARY, no_query)
    own = {"file": "labels/{month}-left.csv", "key": "id", "columns": {"churn_label": "left"}}
    split = source(folder)
    split.tables = {**split.tables, "labels": own}
    found, origins = read_mapped(split, JANUARY, no_query)
    assert found["labels"].equals(usual["labels"])
    assert origins["labels"].endswith("labels/2024-01-31-left.csv")
    assert delivered_files(split, JANUARY) == [folder / f"{JANUARY}.csv", Path(origins["labels"])]


def test_a_month_may_lie_in_a_folder_of_another_name(folder):
    (folder / "jan").mkdir()
    (folder / f"{JANUARY}.csv").rename(folder / "jan" / "wide.csv")
    moved = source(folder, folders={JANUARY: "jan"})
    moved.reading = {**moved.reading, "file": "{month}/wide.csv"}
    assert read_mapped(moved, JANUARY, no_query)[0]["users"].num_rows == 60


def break_header(old, new):
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (break_header("SeniorCitizen", "seniorcitizen"),
         "column SeniorCitizen, row 1: is missing, and users.user_is_senior is read from it (did you mean seniorcitizen?)"),
        (break_header("customerID", "id"), "column customerID, row 1: is missing, and users.user_id is read from it"),
        (break_header("PaymentMethod", "Churn"), "column Churn, row 1: is there twice"),
        (break_header(",Male,", ",male,"), "column user_gender, row 3, user 00001-TEL: 'male' is not one of Female, Male"),
        (break_header(",Two year,", ",Perhaps,"), "'Perhaps' is not one of Month-to-month, One year, Two year"),
        (lambda text: text[:-3], "the file looks truncated"),
        (lambda text: text.split("\n")[0] + "\n", "no rows below the header"),
        (lambda text: text + text.split("\n")[1] + "\n", "is there twice; a user has one row"),
        (lambda text: text.replace("\n", ";\n"), "is missing, and labels.churn_label is read from it (did you mean Churn;"),
        (lambda text: text + "\n", "is empty"),
        (lambda text: text.replace("00000-TEL", '"00000\nTEL"', 1), "has a field with a line feed"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(folder, change, message):
    path = folder / f"{JANUARY}.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(ExtractError) as caught:
        check_month(*read_mapped(source(folder), JANUARY, no_query), date(2024, 1, 31))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_columns_that_nobody_reads_may_be_there_twice_or_have_no_name(folder):
    path = folder / f"{JANUARY}.csv"
    path.write_text(path.read_text().replace("PhoneService", "", 1).replace("MultipleLines", "PaymentMethod", 1))
    assert read_mapped(source(folder), JANUARY, no_query)[0]["users"].num_rows == 60


def test_a_mapped_source_has_an_identity_of_its_own(folder):
    assert source_identity(source(folder)) == "mapped telephone"
    assert identity_in({"name": "telephone", "tables": {"users": {}}}) == "mapped telephone"
    assert identity_in({"name": "csv"}) == "csv"
