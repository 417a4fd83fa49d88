"""Bad extracts are refused in one line that names file, column, row and value."""

import random
from datetime import date
from pathlib import Path

import pytest
from extract_files import edit, file_names, set_value, write_month

from streamflow.core.arrow import sorted_by_user
from streamflow.core.digest import rows_sha256
from streamflow.core.errors import ExtractError
from streamflow.core.schema import TABLES
from streamflow.extracts.csv_files import month_folder, read_month
from streamflow.extracts.synthetic import generate_month
from streamflow.extracts.validation import check_month, check_row_count

MONTH = "2024-01-31"


@pytest.fixture
def folder(tmp_path):
    return write_month(tmp_path / MONTH, 120, MONTH)


def accept(folder):
    extracts, origins = read_month(folder)
    check_month(extracts, origins, date(2024, 1, 31))
    return extracts


def refusal(folder):
    with pytest.raises(ExtractError) as refused:
        accept(folder)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_written_and_read_again_a_month_has_the_content_it_had(folder):
    generated = generate_month(120, MONTH, 7)
    for name, rows in accept(folder).items():
        assert rows_sha256(sorted_by_user(rows)) == rows_sha256(sorted_by_user(generated[name])), name


def test_the_order_of_rows_and_a_byte_order_mark_do_not_matter(folder):
    before = rows_sha256(sorted_by_user(accept(folder)["usage_agg_30d"]))

    def shuffled(text):
        header, *rows = text.splitlines(keepends=True)
        random.Random(1).shuffle(rows)
        return "\ufeff" + header + "".join(rows)

    edit(folder / "usage_agg_30d.csv", shuffled)
    assert rows_sha256(sorted_by_user(accept(folder)["usage_agg_30d"])) == before


@pytest.mark.parametrize("name", file_names())
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{folder / name}: no such file" in refusal(folder)


def test_a_missing_column(folder):
    edit(folder / "subscriptions.csv", lambda text: text.replace("monthly_fee", "fee", 1))
    assert "subscriptions.csv: column monthly_fee, row 1: is missing" in refusal(folder)


def test_an_extra_column(folder):
    edit(folder / "labels.csv", lambda text: text.replace("\n", ",1\n").replace("churn_label,1", "churn_label,more", 1))
    assert "labels.csv: column more, row 1: is not in the schema" in refusal(folder)


def test_a_column_twice(folder):
    edit(
        folder / "labels.csv",
        lambda text: text.replace("\n", ",True\n").replace("churn_label,True", "churn_label,churn_label", 1),
    )
    assert "column churn_label, row 1: is there twice" in refusal(folder)


def test_a_user_twice(folder):
    user = set_value(folder / "users.csv", 0, "user_id", "7590-VHVEG")
    edit(folder / "users.csv", lambda text: text + text.splitlines()[1] + "\n")
    text = refusal(folder)
    assert "users.csv: column user_id" in text
    assert f"'{user}' is there twice" in text


def test_an_unknown_user_in_a_child_file(folder):
    set_value(folder / "payments_agg_90d.csv", 4, "user_id", "0000-NOBODY")
    text = refusal(folder)
    assert "payments_agg_90d.csv: column user_id, row 6: '0000-NOBODY' is not in" in text


def test_a_user_without_a_row_in_a_child_file(folder):
    edit(folder / "labels.csv", lambda text: "".join(text.splitlines(keepends=True)[:-1]))
    text = refusal(folder)
    assert "labels.csv: column user_id: user" in text
    assert "has no row here (119 rows for 120 users)" in text


@pytest.mark.parametrize(
    ("file", "column", "value", "said"),
    [
        ("subscriptions", "monthly_fee", "-3.5", "-3.5 is below 0"),
        ("subscriptions", "monthly_fee", "cheap", "'cheap' is not a number"),
        ("subscriptions", "monthly_fee", "", "nothing where a number must be"),
        ("subscriptions", "monthly_fee", "nan", "'nan' is not a number"),
        ("subscriptions", "monthly_fee", "inf", "'inf' is not a number"),
        ("subscriptions", "monthly_fee", "1e999", "'1e999' is not a number that fits into 64 bits"),
        ("subscriptions", "monthly_fee", "1,5", "'1,5' is not a number"),
        ("subscriptions", "months_active", "1.5", "'1.5' is not a whole number"),
        ("subscriptions", "months_active", "99999", "99999 is above 1200"),
        ("subscriptions", "contract_type", "Forever", "'Forever' is not one of Month-to-month"),
        ("subscriptions", "paperless_billing", "yes", "'yes' is not True or False"),
        ("usage_agg_30d", "watch_hours_30d", "721", "721.0 is above 720"),
        ("users", "signup_date", "31.01.2024", "is not a date (YYYY-MM-DD)"),
        ("users", "signup_date", "2024-02-31", "'2024-02-31' is not a date"),
        ("users", "signup_date", "2024-02-01", "2024-02-01 is after the month's date 2024-01-31"),
        ("labels", "churn_label", "", "nothing where True or False must be"),
        ("users", "user_id", " 1234-ABCDE", "' 1234-ABCDE' is not an id: printable"),
        ("users", "user_id", "X" * 65, "is longer than 64 characters"),
    ],
)
def test_a_wrong_value_is_named_with_file_column_and_row(folder, file, column, value, said):
    user = set_value(folder / f"{file}.csv", 2, column, value)
    text = refusal(folder)
    assert f"{file}.csv: column {column}, row 4" in text
    assert said in text
    if column != "user_id":
        assert f"user {user}" in text


def test_a_plan_that_contradicts_the_internet_access(folder):
    net = [row["net_service"] for row in accept(folder)["subscriptions"].to_pylist()]
    set_value(folder / "subscriptions.csv", net.index("No"), "plan_stream_tv", "True")
    assert f"column plan_stream_tv, row {net.index('No') + 2}" in refusal(folder)


def test_an_empty_plan_with_internet_access(folder):
    net = [row["net_service"] for row in accept(folder)["subscriptions"].to_pylist()]
    set_value(folder / "subscriptions.csv", net.index("DSL"), "plan_stream_movies", "")
    assert "nothing contradicts net_service 'DSL'" in refusal(folder)


@pytest.mark.parametrize("content", ["", "\n", "   \n"])
def test_an_empty_file(folder, content):
    (folder / "users.csv").write_text(content)
    assert "users.csv: the file is empty" in refusal(folder)


def test_a_file_with_nothing_but_a_header(folder):
    edit(folder / "users.csv", lambda text: text.splitlines(keepends=True)[0])
    assert "users.csv: no rows below the header" in refusal(folder)


@pytest.mark.parametrize("cut", [1, 2, 5, 200])
def test_a_truncated_file(folder, cut):
    edit(folder / "usage_agg_30d.csv", lambda text: text[:-cut])
    text = refusal(folder)
    assert "usage_agg_30d.csv: row" in text
    assert "looks truncated" in text


def test_a_row_with_too_few_fields(folder):
    def shortened(text):
        lines = text.splitlines(keepends=True)
        lines[3] = lines[3].rsplit(",", 2)[0] + "\n"
        return "".join(lines)

    edit(folder / "users.csv", shortened)
    text = refusal(folder)
    assert "users.csv: row 4" in text
    assert "Expected 6 columns, got 4" in text


def test_another_encoding(folder):
    path = folder / "users.csv"
    path.write_bytes(path.read_bytes().replace(b"Female", "Féminin".encode("latin-1"), 1))
    text = refusal(folder)
    assert "users.csv: column user_gender, row" in text
    assert "byte 0xe9 is not UTF-8" in text


def test_utf_16(folder):
    path = folder / "users.csv"
    path.write_bytes(path.read_text().encode("utf-16"))
    assert "users.csv: row 1: it is text in UTF-16; deliver it as CSV in UTF-8" in refusal(folder)


def test_a_folder_instead_of_a_file(folder):
    (folder / "users.csv").unlink()
    (folder / "users.csv").mkdir()
    assert "users.csv: is not a regular file" in refusal(folder)


def test_a_collapse_of_rows_is_refused_and_growth_is_not():
    with pytest.raises(ExtractError, match=r"704 rows, 90% fewer than the 7043 of 2024-01-31"):
        check_row_count(704, 7043, "2024-01-31", 0.5, "users.csv")
    check_row_count(3522, 7043, "2024-01-31", 0.5, "users.csv")
    check_row_count(90_000, 7043, "2024-01-31", 0.5, "users.csv")


@pytest.mark.parametrize(
    ("existing", "folders", "month", "found"),
    [
        ("2024-01-31", {}, "2024-01-31", "2024-01-31"),
        ("month_000", {}, "2024-01-31", "month_000"),
        ("month_002", {}, "2024-03-31", "month_002"),
        ("january", {"2024-01-31": "january"}, "2024-01-31", "january"),
    ],
)
def test_a_month_is_found_by_date_number_or_configuration(tmp_path, existing, folders, month, found):
    (tmp_path / existing).mkdir()
    assert month_folder(tmp_path, month, folders, "2024-01-31") == tmp_path / found


def test_a_month_that_is_not_there_says_what_was_looked_for(tmp_path):
    with pytest.raises(ExtractError, match="no folder 2024-02-29 or month_001"):
        month_folder(tmp_path, "2024-02-29", {}, "2024-01-31")
    with pytest.raises(ExtractError, match="is not a folder"):
        month_folder(Path(tmp_path / "none"), "2024-02-29", {}, "2024-01-31")


def test_every_table_is_covered():
    assert len(TABLES) == len(file_names()) == 6


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (lambda lines: [*lines[:5], "", *lines[5:]], "users.csv: row 6: is empty"),
        (
            lambda lines: [*lines[:3], lines[3].replace(",", '\n",', 1).replace("", '"', 1), *lines[4:]],
            "users.csv: row 4: has",
        ),
        (lambda lines: [*lines, ""], "users.csv: row 122: is empty"),
    ],
)
def test_rows_are_counted_as_an_editor_counts_lines(folder, put, said):
    path = folder / "users.csv"
    path.write_text("\n".join(put(path.read_text().splitlines())) + "\n")
    assert said in refusal(folder)


def test_a_field_that_is_longer_than_a_reader_takes_is_refused_in_one_line(folder):
    path = folder / "users.csv"
    header, rest = path.read_text().split("\n", 1)
    path.write_text(header + "\n" + '"' + ("x" * 90_000 + "\n") * 2 + '",' + rest)
    assert "users.csv" in refusal(folder)


def test_carriage_returns_before_line_feeds_are_lines_as_well(folder):
    path = folder / "users.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert accept(folder)["users"].num_rows == 120
