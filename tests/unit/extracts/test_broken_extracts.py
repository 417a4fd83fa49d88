"""More than 500 broken extracts: each is refused in one printable line that names the file; none ends in a traceback."""

import csv
import shutil
from datetime import date

import pytest
from broken_extracts import broken_fields, broken_files
from extract_files import file_names, write_month
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamflow.core.errors import ExtractError
from streamflow.extracts.csv_files import read_month
from streamflow.extracts.validation import check_month

MONTH = "2024-01-31"
LONGEST_MESSAGE = 600


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_month(tmp_path_factory.mktemp("good") / MONTH, 12, MONTH)


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / MONTH)


def message(folder):
    """What the month is refused with; None if it is accepted."""
    try:
        extracts, origins = read_month(folder)
        check_month(extracts, origins, date.fromisoformat(MONTH))
    except ExtractError as error:
        text = str(error)
        assert text.isprintable()
        assert len(text.replace(str(folder), "")) <= LONGEST_MESSAGE
        return text
    return None


def test_each_broken_field_is_refused_by_file_and_row(good, folder):
    tried = 0
    for table, column, value in broken_fields():
        path = folder / f"{table}.csv"
        with (good / path.name).open(newline="") as file:
            header, *rows = csv.reader(file)
        rows[5][header.index(column)] = value
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
        said = message(folder)
        shutil.copy(good / path.name, path)
        tried += 1
        assert said is not None, (table, column, value[:20])
        assert str(path) in said, (table, column, value[:20], said)
        assert "row 7" in said or column == "user_id", (table, column, value[:20], said)
    assert tried >= 400


@pytest.mark.parametrize("how", broken_files())
@pytest.mark.parametrize("name", ["users.csv", "labels.csv"])
def test_each_broken_file_is_refused_by_name(folder, how, name):
    broken_files()[how](folder / name)
    said = message(folder)
    assert said is not None
    assert str(folder / name) in said


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(file_names()),
    at=st.integers(0, 10**6),
    length=st.integers(0, 4),
    put=st.binary(max_size=6),
)
def test_bytes_changed_at_random_are_accepted_or_refused_in_one_line(good, tmp_path_factory, name, at, length, put):
    folder = shutil.copytree(good, tmp_path_factory.mktemp("any") / MONTH)
    content = (folder / name).read_bytes()
    at %= len(content)
    (folder / name).write_bytes(content[:at] + put + content[at + length :])
    message(folder)
