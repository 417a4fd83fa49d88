"""README, CONTRIBUTING, operations and the decisions name files that exist, and nobody names the old layout."""

import re
import subprocess

import pytest
from project import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "docs/operations.md",
    *sorted((ROOT / "docs/adr").glob("*.md")),
]
PLACES = "streamflow|stages|serve|feature_repo|conf|tests|drills|benchmarks|docs|data|artifacts"
OLD_FILES = (
    "arrow|attestation|batch|calendar|calibration|challenge|charts|comparison|config|cross_validation|data_drift|dataset|decisions"
    "|digest|drift|drift_page|errors|estimators|experiment|export|health|importance|leakage|ledger|metrics|model|model_card"
    "|month_profile|overlap|pipeline_lock|provenance|publication|reasons|recipe|rederivation|report|result|schema|scoring|search"
    "|segments|serving|shifts|skew|splits|synthetic|tag_message|thresholds|training|two_sample|validation"
)
"""What lay in streamflow/ itself before there were rooms."""


def code_of(document):
    """What stands in backticks, examples of additions left out."""
    text = re.sub(r"```diff.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_and_folder_that_a_document_names_exists(document):
    named = {
        path
        for code in code_of(document)
        for path in re.findall(rf"(?<![\w/.-])(?:{PLACES})/[\w./@-]*", code)
        if not re.search(r"[A-Z]{2,}|^(data|artifacts)/", path)
    }
    missing = [path for path in named if not (ROOT / path).exists() and not list(ROOT.glob(f"{path}*"))]
    assert missing == []
    if document.name in ("README.md", "CONTRIBUTING.md"):
        assert len(named) >= 10


def test_no_name_of_the_old_layout_is_left():
    files = subprocess.run(["git", "grep", "-lIE", "."], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    read = [name for name in files.splitlines() if name != "tests/unit/repository/test_documents.py"]
    old = re.compile(rf"streamflow[./]adapters|streamflow/({OLD_FILES})\.py")
    found = [name for name in read if (ROOT / name).is_file() and old.search((ROOT / name).read_text(encoding="utf-8"))]
    assert found == []
    assert len(read) >= 300
