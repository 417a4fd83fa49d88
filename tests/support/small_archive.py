"""A small archive: Anna built the model and moved Production, Ben derived it again, and Anna packed it."""

import json
from dataclasses import dataclass, replace
from functools import cache

from registered_models import model_folder
from signers import key, trusting
from small_month import joined_month

from streamflow.core.digest import bytes_sha256
from streamflow.operations.evidence.composition import Gathered, compose_archive
from streamflow.operations.evidence.contents import contents_statement
from streamflow.operations.evidence.layout import CONTENTS, project_path
from streamflow.operations.evidence.subject import Subject, subject_of
from streamflow.pipeline.lock import LockedStage
from streamflow.provenance.result import Result
from streamflow.trust.acceptance import read_evidence
from streamflow.trust.chain import Move, chain_of, move_statement
from streamflow.trust.claims import (
    RebuiltOut,
    model_subjects,
    provenance_statement,
    received_digest,
    verdict_statement,
)
from streamflow.trust.envelope import canonical, sign_statement

ANNA, BEN, EVE = key("anna"), key("ben"), key("eve")
COMMIT = "c" * 40
AT = "2024-02-01T00:00:00Z"
LOCK = (
    b"# by make lock\nnumpy==2.4.6 \\\n    --hash=sha256:" + b"1" * 64 + b" \\\n    --hash=sha256:" + b"2" * 64
    + b"\n    # via scikit-learn\nruamel.yaml==0.18+x \\\n    --hash=sha256:" + b"3" * 64 + b"\n"
)  # fmt: skip
DATA = {
    "data/dataset/dataset.parquet": "a" * 64,
    "data/dataset/dataset.json": "b" * 64,
    "data/snapshots/2024-01-31/users.parquet": "d" * 64,
}
PARAMS = {
    "as_of": "2024-01-31",
    "months": ["2024-01-31"],
    "features": {"service": "churn_v1"},
    "source": {"name": "synthetic"},
    "model_name": "logistic_regression",
    "model": {"_target_": "sklearn.linear_model.LogisticRegression"},
}
_OUTS = {
    "data/snapshots/2024-01-31": "snapshot@2024-01-31",
    "data/dataset": "dataset",
    "artifacts/model": "train",
    "artifacts/evaluation/report.html": "evaluate",
    "artifacts/sha256/train.json": "train",
}


@cache
def model() -> dict[str, bytes]:
    """Files of a trained model by name."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = model_folder(Path(scratch) / "model", joined_month(300), 1.0)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def project_files() -> dict[str, bytes]:
    """The files of the commit, by their name in the archive, receipts and all."""
    files = {f"model/{name}": content for name, content in model().items()}
    files |= {"report.html": b"<html>good</html>", "metrics.json": b'{"f1": 0.6, "roc_auc": 0.8125}'}
    files |= {"params.yaml": b"as_of: '2024-01-31'\n", "requirements.lock": LOCK, "dvc.lock": b"{}", "dvc.yaml": b"{}"}
    files["artifacts/ingest/2024-01-31.json"] = b'{"tables": {}}'
    made = {project_path(name): bytes_sha256(content) for name, content in files.items()}
    wrote = {
        "train": {path: digest for path, digest in made.items() if path.startswith("artifacts/model/")},
        "evaluate": {path: digest for path, digest in made.items() if path.startswith("artifacts/evaluation/")},
        "dataset": {path: digest for path, digest in DATA.items() if "dataset" in path},
        "snapshot@2024-01-31": {path: digest for path, digest in DATA.items() if "snapshots" in path},
    }
    for stage, listed in wrote.items():
        files[f"artifacts/sha256/{stage}.json"] = json.dumps({"stage": stage, "files": listed}).encode()
    return files


@dataclass(frozen=True)
class Signed:
    """What the archive is made of: change a part, then `archive`."""

    files: dict[str, bytes]
    provenance: str
    verdicts: tuple[str, ...]
    moves: tuple[str, ...]

    def archive(self, *trusted, by=ANNA) -> dict[str, bytes]:
        """The files of the archive that `by` makes in a place that trusts some keys (default: Anna, Ben)."""
        keys = trusting(*(trusted or (ANNA, BEN)))
        evidence = read_evidence([self.provenance, *self.verdicts], keys)
        gathered = Gathered(self.files, evidence.claims[0], evidence, "2")
        return compose_archive(gathered, chain_of(self.moves, [], keys), keys, by.signer)


def result() -> Result:
    """The result of the commit, as its receipts have it."""
    receipts: dict[str, str] = {}
    for name, content in project_files().items():
        if name.startswith("artifacts/sha256/"):
            receipts |= json.loads(content)["files"]
    stages = {stage: LockedStage(stage, "x", {}, {}, {}) for stage in _OUTS.values()}
    for path, stage in _OUTS.items():
        stages[stage] = replace(stages[stage], outs={**stages[stage].outs, path: "5" * 32})
    return Result(PARAMS, stages, "", LOCK.decode(), {}, receipts)


def source(commit: str) -> dict[str, str]:
    """A commit and its files, as statements name them; each commit here has a tree of its own."""
    return {"gitCommit": commit, "gitTree": bytes_sha256(commit.encode())[:40]}


def provenance(by=ANNA, commit=COMMIT) -> str:
    """Who built the model from what."""
    names = ("params.yaml", "requirements.lock", "dvc.lock", "dvc.yaml", "artifacts/ingest/2024-01-31.json")
    materials = {name: bytes_sha256(project_files()[name]) for name in names}
    return sign_statement(provenance_statement(result(), source(commit), materials, {"cpu": "x"}, AT), by.signer)


def verdict(by=BEN, said="identical", commit=COMMIT, **other) -> str:
    """Who derived it again; `other` are outputs that came out otherwise, by their last name without its ending."""
    found, files = result(), project_files()
    outs = [
        RebuiltOut(
            path,
            stage,
            "." not in path.rpartition("/")[2],
            "",
            other.get(path.rpartition("/")[2].partition(".")[0])
            or (bytes_sha256(files[path]) if path in files else received_digest(found.receipts, path)),
        )
        for path, (stage, _) in found.outs.items()
    ]
    first = None if said == "identical" else {"stage": "train", "cause": "code", "detail": "x"}
    return sign_statement(
        verdict_statement(source(commit), model_subjects(found.receipts), said, outs, first, {}, AT), by.signer
    )


def moves(*rests_on: str, by=ANNA, after=()) -> tuple[str, ...]:
    """Production moved to another model, to ours (resting on some envelopes), then to the models of `after`."""
    digests = tuple(statement_sha256(line) for line in rests_on)
    ours = bytes_sha256(model()["model.onnx"])
    lines: list[str] = []
    previous = ""
    for number, (onnx, evidence) in enumerate([("e" * 64, ()), (ours, digests), *((each, ()) for each in after)], 1):
        move = Move(number, previous, "promote", None, str(number), onnx, COMMIT, "anna", "why", {}, evidence, AT)
        statement = move_statement(move, "f" * 64)
        previous = bytes_sha256(canonical(statement))
        lines.append(sign_statement(statement, by.signer))
    return tuple(lines)


def statement_sha256(line: str) -> str:
    """Digest of the statement in an envelope."""
    import base64

    return bytes_sha256(base64.b64decode(json.loads(line)["payload"]))


@cache
def signed() -> Signed:
    """The parts of an archive that holds."""
    built, again = provenance(), verdict()
    return Signed(project_files(), built, (again,), moves(built, again))


def packed_again(files: dict[str, bytes], by=ANNA) -> dict[str, bytes]:
    """The archive after a change, its contents signed again: what an insider could do."""
    claim = read_evidence([signed().provenance], trusting(ANNA, BEN)).claims[0]
    inner = {name: content for name, content in files.items() if name != CONTENTS}
    made = sign_statement(contents_statement(inner, claim, "2"), by.signer)
    return {**inner, CONTENTS: f"{made}\n".encode()}


def subject(files=None, *trusted) -> Subject:
    """The subject of an archive where some keys count (default: Anna's and Ben's)."""
    return subject_of(files or signed().archive(), trusting(*(trusted or (ANNA, BEN))))
