"""Keys over whole projects: two rebuilders with keys of their own, and a registry from before signatures."""

import ast
import base64
import json
import shutil
import subprocess

import pytest
from project import KEY, Project, small
from tagged_result import production
from twins import twin

TWO = "exp/two"


@pytest.fixture
def project(small_result, tmp_path):
    return twin(small_result, tmp_path)


def refused(done, *words, code=2):
    assert done.returncode == code, done.stdout
    assert len(done.stderr.splitlines()) == 1
    for each in words:
        assert each in done.stderr
    return done.stderr


def test_two_rebuilders_open_what_one_can_not_and_one_who_disagrees_shuts_it(project, tmp_path):
    other_key = tmp_path / "other" / "private.pem"
    shutil.copy(KEY.with_name("public.pem"), tmp_path / "first.pem")
    other = Project(tmp_path / "elsewhere", STREAMFLOW_SIGNING_KEY=str(other_key))
    made = project.streamflow(
        "keys", "init", STREAMFLOW_SIGNING_KEY=str(other_key), STREAMFLOW_STATE_DIR=str(tmp_path / "other" / "var")
    )
    assert "made a key: " in made.stdout
    assert oct(other_key.stat().st_mode)[-3:] == "600"
    for name, file in (("first", "first.pem"), ("second", "other/public.pem")):
        project.streamflow("keys", "trust", str(tmp_path / file), "--name", name)
    assert "not committed" in project.streamflow("keys", "list").stdout
    project.run("git", "add", "keys")
    project.run("git", "commit", "-qm", "Two keys")
    project.streamflow("repro", *small("promotion.rebuilders=2", "seed=8"))
    project.streamflow("tag", "two")
    project.run("dvc", "push", "--quiet")
    project.streamflow("rerun", TWO)
    refused(
        project.streamflow("promote", "v2", "--reason", "two", check=False),
        "derived again: 1 of 2 rebuilders got the same bytes (first (",
        code=1,
    )

    project.run("git", "clone", "--quiet", str(project.path), str(other.path))
    found = other.streamflow("rerun", TWO, "--sign", "--json")
    assert json.loads(found.stdout)["verdict"] == "identical"
    (file,) = (other.path / "var" / "attestations").rglob("*-identical.jsonl")
    content = file.read_text()
    file.write_text(content.replace("A", "B", 1))
    refused(project.streamflow("attest", "import", str(file), check=False), "line 1: ", "nothing was taken")
    file.write_text(content)
    taken = project.streamflow("attest", "import", str(file)).stdout
    assert "the verdict identical by second (" in taken
    assert "a provenance by second (" in taken
    missing = "from streamflow.promotion.rebuilders import rebuilders_problem as p"
    missing += (
        "; from streamflow.registry.registry import open_registry; from streamflow.postgres.server import database"
    )
    missing += "\nwith database() as url: print([p(open_registry(url), '2', needed) for needed in (2, 3)])"
    two, three = ast.literal_eval(project.run(project.python, "-c", missing).stdout)
    assert two == ""
    assert three.startswith("2 of 3 rebuilders got the same bytes (")
    assert project.streamflow("doctor", check=False).stdout.count("FAILED") == 0
    # The model is no better than the champion, which is not what is asked here.
    project.streamflow("promote", "v2", "--reason", "two rebuilders", "--force")
    assert production(project) == "2"
    assert set(json.loads(project.streamflow("history", "--json").stdout)[-1]["gates"]) <= {"champion"}

    tampered = "from verdicts import say_verdict; from streamflow.provenance.git import resolve"
    tampered += f"; print(say_verdict(resolve('{TWO}'), 'diverged', at='2999-01-01T00:00:00Z', dataset='0' * 64))"
    support = str(KEY.parents[2] / "tests" / "support")
    line = other.run(other.python, "-c", tampered, PYTHONPATH=f"{other.path}:{support}").stdout
    (tmp_path / "tampered.jsonl").write_text(line)
    project.streamflow("attest", "import", str(tmp_path / "tampered.jsonl"))
    words = (
        "is refuted: second (",
        "it diverged, first at train: code: x",
        "the first stage that differs between first (",
    )
    refused(project.streamflow("promote", "v2", check=False), *words, "is dataset: data/dataset is", code=1)
    refused(project.streamflow("batch", "--as-of", "2024-01-31", "--out", "x.csv", check=False), *words)
    doctor = json.loads(project.streamflow("doctor", "--json", check=False).stdout)
    assert any("is refuted: second (" in each["what"] for check in doctor["checks"] for each in check["problems"])


def test_a_registry_from_before_signatures_is_adopted_by_one_command(project):
    for ref in project.run(
        "git", "for-each-ref", "--format=%(refname)", "refs/notes", "refs/tags/production"
    ).stdout.split():
        project.run("git", "update-ref", "-d", ref)
    for kept in (project.path / "var" / "mlartifacts").rglob("attestations.jsonl"):
        kept.unlink()
    project.streamflow("db", "psql", "--", "-qc", "ALTER TABLE ledger.production DROP COLUMN envelope")
    batch = ("batch", "--as-of", "2024-01-31", "--out", "scores.csv")
    refused(project.streamflow(*batch, check=False), "version 1 is not accepted: nobody signed it")
    doctor = project.streamflow("doctor", check=False)
    assert "no signed move made version 1 Production" in doctor.stdout
    assert "`streamflow promote --adopt`" in doctor.stdout
    assert "400 users" in project.streamflow(*batch, STREAMFLOW_TRUST="warn").stdout
    assert "nobody: from before signatures" in project.streamflow("history").stdout

    adopted = project.streamflow("promote", "--adopt")
    assert "version 1 is identical; signed: " in adopted.stdout
    assert "version 1 is Production: adopted" in adopted.stdout
    assert "400 users" in project.streamflow(*batch).stdout
    assert project.status() in ("", "?? scores.csv\n")
    lines = json.loads(project.streamflow("history", "--json").stdout)
    assert [(line["action"], line["to_version"], bool(line["signer"])) for line in lines] == [
        ("promote", "1", False),
        ("promote", "1", True),
    ]
    assert "is Production already" in project.streamflow("promote", "--adopt").stdout
    # From the first signed move on, warn has no effect.
    project.run("git", "update-ref", "-d", "refs/notes/streamflow")
    for kept in (project.path / "var" / "mlartifacts").rglob("attestations.jsonl"):
        kept.unlink()
    refused(project.streamflow(*batch, check=False, STREAMFLOW_TRUST="warn"), "nobody signed it")


def test_no_private_key_and_no_password_is_in_anything_that_is_committed_uploaded_logged_or_exported(project, tmp_path):
    """A key of this project's own signs; then every file of it is read, git's objects too, but for the key's own file."""
    project.environment.pop("STREAMFLOW_SIGNING_KEY")
    shutil.copy(KEY.with_name("public.pem"), tmp_path / "environment.pem")
    project.streamflow("keys", "trust", str(tmp_path / "environment.pem"), "--name", "environment")
    project.run("git", "add", "keys")
    project.run("git", "commit", "-qm", "Who made the environment")
    project.streamflow("keys", "init")
    done = project.streamflow("rerun", "v1", "--sign")
    moved = project.streamflow("rollback", check=False)
    said = done.stdout + done.stderr + moved.stdout + moved.stderr
    private = project.path / "var" / "keys" / "private.pem"
    body = private.read_text().splitlines()[1]
    seed = base64.b64decode(body)[-32:]
    secrets = [body.encode(), seed, seed.hex().encode(), base64.b64encode(seed)[:40]]
    objects = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"], cwd=project.path, check=True, capture_output=True
    ).stdout
    assert body not in said
    assert len(objects) > 100_000
    assert [secret for secret in secrets if secret in objects] == []
    read = 0
    for path in project.path.rglob("*"):
        if path.is_file() and not path.is_symlink() and path != private and ".venv" not in path.parts:
            content = path.read_bytes()
            read += 1
            assert not any(secret in content for secret in secrets), path
    assert read > 500
    notes = project.run("git", "notes", "--ref=refs/notes/streamflow", "list").stdout
    assert notes.strip()
    signed = project.run(
        "git", "grep", "-l", "PRIVATE KEY", "--", "keys", "artifacts", "conf", "params.yaml", check=False
    )
    assert signed.stdout == ""
