"""Months of CSV extracts for tests, written from the synthetic generator."""

from pathlib import Path

import pandas as pd

from streamflow.core.schema import TABLES
from streamflow.extracts.synthetic import generate_month


def write_month(folder: Path, users: int, month: str, seed: int = 7) -> Path:
    """The six files of a month as a business system would deliver them: True/False, empty for NULL."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in generate_month(users, month, seed).items():
        frame = rows.to_pandas().astype(object)
        frame.where(frame.notna(), None).to_csv(folder / f"{name}.csv", index=False)
    return folder


def edit(path: Path, change) -> None:
    """Rewrite a file's text by `change(text)`."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def set_value(path: Path, row: int, column: str, value: str) -> str:
    """Put `value` into a data row (0 is the first below the header); returns that row's user."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.loc[row, column] = value
    frame.to_csv(path, index=False)
    return str(frame.loc[row, "user_id"])


def file_names() -> list[str]:
    """The six file names."""
    return [f"{table.name}.csv" for table in TABLES]
