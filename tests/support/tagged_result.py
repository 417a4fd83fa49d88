"""Questions to a project with a tagged Production model."""

import json
import subprocess

from project import Project

from drills.attacks import TAG


def answer(done: subprocess.CompletedProcess[str]) -> dict:
    """What a command with --json printed."""
    return json.loads(done.stdout)


def production(project: Project) -> str:
    """Version behind the alias, as the registry's table has it."""
    query = "SELECT version FROM mlflow.registered_model_aliases WHERE alias = 'Production'"
    return project.streamflow("db", "psql", "--", "-At", "-c", query).stdout.strip()


def model_sha256(project: Project) -> str:
    """SHA-256 of the tagged model, as git has it."""
    receipt = project.run("git", "show", f"{TAG}:artifacts/sha256/train.json").stdout
    return json.loads(receipt)["files"]["artifacts/model/model.onnx"]
