"""Where the files of an archive lie, and which files of the commit they are."""

from pathlib import PurePosixPath

from streamflow.pipeline.layout import INGEST_RECEIPTS, LOCK, METRICS, MODEL, PARAMS, PIPELINE, RECEIPTS, REPORT
from streamflow.pipeline.layout import REQUIREMENTS as PACKAGES

README = "README.md"
CONTENTS = "contents.jsonl"
"""One envelope: SHA-256 of every other file, signed by who made the archive."""
ENVELOPES = "attestations.jsonl"
MOVES = "promotions.jsonl"
BILL = "bom.cdx.json"
SIGNATURE = "model.sig"
SIGNATURE_KEY = "model_signing.pem"
KEYS = "keys/"
FOLDER_NAME = "model"
MODEL_FOLDER = f"{FOLDER_NAME}/"
REPORT_FILE = REPORT.name
METRICS_FILE = METRICS.name
REQUIREMENTS = str(PACKAGES)

COMMITTED = (str(PARAMS), REQUIREMENTS, str(LOCK), str(PIPELINE))
RECEIPT_FOLDERS = (f"{RECEIPTS}/", f"{INGEST_RECEIPTS}/")
_EVALUATION = {REPORT_FILE: str(REPORT), METRICS_FILE: str(METRICS)}


def project_path(name: str) -> str:
    """The path in the project of a file of the archive; empty if the archive alone has it."""
    if name.startswith(MODEL_FOLDER):
        return str(MODEL / name.removeprefix(MODEL_FOLDER))
    if name in COMMITTED or name.startswith(RECEIPT_FOLDERS):
        return name
    return _EVALUATION.get(name, "")


def key_name(name: str) -> str:
    """The name of a key from the path of its file in the archive."""
    return PurePosixPath(name).stem


def is_receipt(name: str) -> bool:
    """Whether a file is the receipt of a stage: the SHA-256 of what it wrote."""
    return name.startswith(RECEIPT_FOLDERS[0])
