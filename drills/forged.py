"""What the drill of forgeries works on: a project with three versions, and the owner of its registry, who has no key.

Version 1 was Production, version 2 is, version 3 is signed and nobody derived it again.
"""

import base64
import json
import os
import shutil
import subprocess
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
from project import Project, small
from registered_models import model_folder
from securesystemslib.signer import CryptoSigner

from streamflow.core.digest import bytes_sha256
from streamflow.core.schema import LABEL, MODEL_NAME
from streamflow.pipeline.layout import DATASET_ROWS, MODEL_FILES
from streamflow.postgres.connection import connect
from streamflow.provenance.record import PREFIX
from streamflow.registry.registry import ENVELOPES, PRODUCTION, Registry
from streamflow.trust.envelope import IN_TOTO, canonical, sign

WEAK = small("model.n_estimators=1", "+model.max_depth=1")
"""A first version that the second one is surely better than."""
# Few users: only this score tells the two surely apart.
SECOND = small("promotion.metric=average_precision")
THIRD = small("promotion.metric=average_precision", "seed=7")
OLD_KEY = "keys/revoked/old.pem"


def prepared(path: Path, old_pem: bytes) -> tuple[Project, Path]:
    """The project, and a copy of it from before version 2: its next run makes version 2 Production.

    `old_pem` is a key that the project has revoked.
    """
    project = Project.copy(path / "streamflow", *WEAK)
    (project.path / OLD_KEY).parent.mkdir(parents=True)
    (project.path / OLD_KEY).write_bytes(old_pem)
    commit(project, "a key is revoked")
    project.streamflow("repro")
    project.streamflow("tag", "one")
    choose(project, *SECOND)
    before = path / "before"
    keep(project, before)
    project.streamflow("repro")
    assert registered(project)["production"] == "2", registered(project)
    project.streamflow("tag", "two")
    choose(project, *THIRD)
    project.streamflow("repro")
    assert registered(project)["production"] == "2", registered(project)
    project.streamflow("tag", "three")
    return project, before


def choose(project: Project, *overrides: str) -> None:
    """Compose params.yaml and commit it."""
    compose = "import sys; from streamflow.operations.repro.compose import compose; compose(sys.argv[1:])"
    project.run(project.python, "-c", compose, *overrides)
    commit(project, "another configuration")


def commit(project: Project, message: str) -> None:
    """Commit all files."""
    project.run("git", "add", "--all")
    project.run("git", "commit", "-q", "-m", message)


def registered(project: Project) -> dict[str, str]:
    """The version of the last run, the Production version, and why."""
    found: dict[str, str] = json.loads(project.text("var/registered.json"))
    return found


def keep(project: Project, folder: Path) -> None:
    """Copy a project whose database is stopped."""
    project.streamflow("db", "stop", check=False)
    subprocess.run(["cp", "--archive", f"{project.path}/.", str(folder)], check=True)


def restore(project: Project, folder: Path) -> None:
    """Bring every file of a project back, but its environment."""
    if project.postgres_is_up():
        project.streamflow("db", "stop")
    for each in project.path.iterdir():
        if each.name != ".venv":
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    subprocess.run(["cp", "--archive", f"{folder}/.", str(project.path)], check=True)


class Owner:
    """Who owns database, MLflow and artifact store, and has no key that counts. In the project's folder, its database up."""

    def __init__(self, registry: Registry, url: str, stolen: CryptoSigner) -> None:
        self.registry, self.url, self.stolen = registry, url, stolen
        self.client = mlflow.MlflowClient()
        self.key = CryptoSigner.generate_ed25519()

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as a superuser can, triggers off."""
        with closing(connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def tags(self, version: str) -> dict[str, str]:
        """The tags of a version."""
        return dict(self.registry.version(version).tags)

    def commit(self, version: str) -> str:
        """The commit that a version's tag names."""
        return self.tags(version)[f"{PREFIX}git_commit"]

    def folder(self, version: str) -> Path:
        """Where the artifact store holds the files of a version."""
        source = str(self.registry.version(version).source)
        if source.startswith("file:"):
            return Path(source.removeprefix("file://"))
        (found,) = Path("var").rglob(f"models/{source.removeprefix('models:/')}/artifacts")
        return found

    @cached_property
    def inverted(self) -> Path:
        """A model that was fitted on inverted labels, with its schema and golden rows."""
        rows = pq.read_table(DATASET_ROWS)
        place = rows.column_names.index(LABEL)
        wrong = rows.set_column(place, LABEL, pa.array([not value for value in rows[LABEL].to_pylist()]))
        return model_folder(Path("var/inverted").resolve(), wrong, 1.0)[0]

    def put(self, version: str, files: Path, names: tuple[str, ...] = MODEL_FILES) -> None:
        """Other files in a version's place, with every digest that MLflow keeps of them put right."""
        for name in names:
            (self.folder(version) / name).write_bytes((files / name).read_bytes())
        self.agree(version)

    def agree(self, version: str) -> None:
        """Put the digests in tags and record of a version right."""
        found, files = self.registry.version(version), self.folder(version)
        digests = {name: bytes_sha256((files / name).read_bytes()) for name in MODEL_FILES}
        record = self.registry.record(found)
        record["model_sha256"] = digests["model.onnx"]
        record["artifacts"] |= {f"model/{name}": digest for name, digest in digests.items()}
        text = json.dumps(record, indent=2, sort_keys=True)
        self.registry.attach(found, "provenance.json", text)
        self.registry.set_tags(
            version, {"model_sha256": digests["model.onnx"], "provenance_sha256": bytes_sha256(text.encode())}
        )

    def register(self, files: Path, like: str) -> str:
        """A new version with these files, the run and all tags of another; returns its number."""
        known = self.registry.version(like)
        place = Path("var/mlartifacts/forged").resolve() / bytes_sha256(os.urandom(8))[:8]
        shutil.copytree(files, place)
        tags = {**known.tags, f"{PREFIX}model_sha256": bytes_sha256((files / "model.onnx").read_bytes())}
        made = self.client.create_model_version(MODEL_NAME, place.as_uri(), known.run_id, tags=tags)
        return str(made.version)

    def envelopes(self, version: str) -> list[str]:
        """The signed statements that a run keeps."""
        return self.registry.envelopes(self.registry.version(version))

    def set_envelopes(self, version: str, envelopes: list[str]) -> None:
        """Other statements instead of those that a run keeps."""
        self.registry.attach(self.registry.version(version), ENVELOPES, "\n".join(envelopes) + "\n")

    def alias(self, version: str) -> None:
        """Move the alias as MLflow's pages do."""
        self.client.set_registered_model_alias(MODEL_NAME, PRODUCTION, version)

    def moves(self) -> list[str]:
        """The envelopes of the ledger."""
        return [line for (line,) in self.sql("SELECT envelope FROM ledger.production ORDER BY number")]

    def add_move(self, to: str, envelope: str | None) -> None:
        """A row of the ledger."""
        self.sql(
            "INSERT INTO ledger.production (who, action, from_version, to_version, why, gates, envelope)"
            " VALUES ('root', 'promote', '2', %s, 'every gate passed', '{}', %s)",
            to,
            envelope,
        )


def content_of(envelope: str) -> dict[str, Any]:
    """The statement in an envelope, unverified."""
    found: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return found


def with_content(envelope: str, statement: dict[str, Any]) -> str:
    """An envelope with another statement and the signature that it had."""
    return json.dumps({**json.loads(envelope), "payload": base64.b64encode(canonical(statement)).decode()})


def signed_by(signer: CryptoSigner, statement: dict[str, Any], keyid: str | None = None) -> str:
    """A statement signed by some key, under another key's id if one is given."""
    made = json.loads(sign(canonical(statement), IN_TOTO, signer))
    if keyid:
        made["signatures"][0]["keyid"] = keyid
    return json.dumps(made)


def about(statement: dict[str, Any], files: Path, commit: str = "") -> dict[str, Any]:
    """A provenance that names other files, and another commit if one is given."""
    for each in statement["subject"]:
        each["digest"]["sha256"] = bytes_sha256((files / Path(each["name"]).name).read_bytes())
    if commit:
        for each in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if each["name"] == "source":
                each["digest"]["gitCommit"] = commit
    return statement


def is_provenance(envelope: str) -> bool:
    """Whether a statement says where a model comes from."""
    return "provenance" in str(content_of(envelope)["predicateType"])
