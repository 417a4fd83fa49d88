"""The ledger of erasures in git: artifacts/erasures/NNNN.json, a record for each; the database has the same."""

from pathlib import Path

from streamflow.pipeline.layout import ERASURES
from streamflow.provenance.erasures import Erasures, merged, read_erasure


def erasures(folder: Path = ERASURES) -> Erasures:
    """The erasures that the project's files record. Raises HistoryError naming a damaged one."""
    return merged(tuple(read_erasure(path.read_bytes(), str(path)) for path in record_files(folder)))


def record_files(folder: Path = ERASURES) -> list[Path]:
    """The records, oldest first."""
    return sorted(path for path in folder.glob("*.json") if path.stem.isdigit())
