"""Files of a team's own, read as far as a mapping is proposed from them."""

import csv
import io
import re
from pathlib import Path

from streamflow.core.errors import ConfigError
from streamflow.extracts.csv_files import file_columns
from streamflow.operations.source.samples import Sample

_DELIMITERS = ",;\t|"
_DATE_IN_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COMMA_NUMBER = re.compile(r"-?[0-9]+,[0-9]+")


def sample_of(path: Path) -> Sample:
    """The text of a file by column, and how it is read. Raises ExtractError or ConfigError if it is no table."""
    encoding = _encoding(path)
    delimiter = _delimiter(path, encoding)
    text = file_columns(path, encoding, delimiter, ())
    if text.num_columns < 2:
        raise ConfigError(f"{path}: has one column only; name a CSV file with a header")
    columns = {name: [value or "" for value in text[name].to_pylist()] for name in text.column_names}
    decimal = "," if delimiter != "," and any(_is_comma_number(values) for values in columns.values()) else "."
    return Sample(_DATE_IN_NAME.sub("{month}", path.name), columns, delimiter, encoding, decimal)


def _encoding(path: Path) -> str:
    try:
        path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return "cp1252"
    except OSError:
        pass  # `file_columns` says what is wrong
    return "utf-8"


def _delimiter(path: Path, encoding: str) -> str:
    try:
        header = io.StringIO(path.read_bytes()[:100_000].decode(encoding, "replace")).readline()
    except OSError:
        return ","
    widths = {each: len(next(csv.reader([header], delimiter=each), [])) for each in _DELIMITERS}
    return max(widths, key=lambda each: widths[each])


def _is_comma_number(values: list[str]) -> bool:
    there = [value for value in values if value.strip()]
    return (
        bool(there)
        and all(_COMMA_NUMBER.fullmatch(value) or value.isdigit() for value in there)
        and "," in "".join(there)
    )
