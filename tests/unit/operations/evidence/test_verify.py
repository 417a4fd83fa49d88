"""`streamflow verify` in a folder that is no project: what a stranger sees, exit codes, and hostile archives."""

import base64
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from small_archive import ANNA, BEN, EVE, provenance, signed

from streamflow.cli.main import cli
from streamflow.operations.evidence.archive import pack
from streamflow.trust.envelope import IN_TOTO, sign


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Runs `streamflow verify` in an empty folder with the archive and the keys of Anna, Ben and Eve."""
    monkeypatch.chdir(tmp_path)
    for each in (ANNA, BEN, EVE):
        (tmp_path / f"{each.name}.pem").write_bytes(each.pem)

    def run(files, *arguments):
        (tmp_path / "evidence.zip").write_bytes(files if isinstance(files, bytes) else pack(files))
        before = sorted(tmp_path.rglob("*"))
        done = CliRunner().invoke(cli, ["verify", "evidence.zip", *arguments])
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        return done.exit_code, done.stdout.splitlines(), done.stderr

    return run


def test_outside_of_a_project_the_keys_of_the_archive_count_and_that_is_said(stranger):
    code, lines, _ = stranger(signed().archive())
    assert code == 0
    assert f"key archive:anna ({ANNA.keyid[:16]}): named by the archive itself" in lines
    assert lines[-2] == (
        "every claim holds; but whoever made the archive chose its keys: compare their ids by another way, then use --key"
    )
    assert any(line.startswith("provenance         model.onnx is ") for line in lines)


def test_with_the_keys_of_people_one_knows_every_claim_holds(stranger):
    code, lines, _ = stranger(signed().archive(), "--key", "anna.pem", "--key", "ben.pem")
    assert (code, lines[-2]) == (0, "every claim holds")


def test_an_archive_of_strangers_is_refused_with_the_key_of_somebody_else(stranger):
    code, _, error = stranger(signed().archive(), "--key", "eve.pem")
    assert code == 1
    assert error.startswith("streamflow: provenance does not hold: an envelope does not count: its key")
    assert error.endswith("is unknown; `--key FILE` if you know whose it is\n")
    assert error.count("\n") == 1


def test_a_forger_who_signs_all_again_passes_only_without_keys(stranger):
    forged = replace(signed(), provenance=provenance(EVE), verdicts=(), moves=()).archive(EVE, by=EVE)
    assert stranger(forged)[0] == 0
    code, _, error = stranger(forged, "--key", "anna.pem")
    assert code == 1
    assert f"its key {EVE.keyid[:16]} is unknown" in error


def test_the_first_claim_that_fails_is_the_one_line(stranger):
    files = signed().archive()
    files["report.html"] += b"<script>"
    code, lines, error = stranger(files)
    assert code == 1
    assert [line.split()[0] for line in lines if not line.startswith("key ")] == [
        "provenance", "configuration", "packages",
    ]  # fmt: skip
    assert error.startswith("streamflow: report does not hold: report.html has SHA-256")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not a zip", pack({"../../evil": b"x"}), pack({"a": b"x"})])
def test_what_is_no_archive_is_one_line(stranger, content):
    code, _, error = stranger(content)
    assert (code, error.count("\n")) == (1, 1)
    assert "Traceback" not in error


def mutations(statement, seen=()):
    """The statement with each value in it replaced in turn by one of another type, or taken away."""
    found = statement
    for step in seen:
        found = found[step]
    keys = list(found) if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ()
    for step in keys:
        for other in (None, 7, [], {}, "x\x1b[2J", [[]]):
            copy = json.loads(json.dumps(statement))
            place = copy
            for each in seen:
                place = place[each]
            place[step] = other
            yield copy
        yield from mutations(statement, (*seen, step))


@pytest.mark.parametrize("name", ["attestations.jsonl", "promotions.jsonl", "contents.jsonl"])
def test_a_statement_of_another_shape_is_refused_in_one_line(stranger, name):
    files = signed().archive()
    lines = files[name].decode().splitlines()
    content = json.loads(base64.b64decode(json.loads(lines[-1])["payload"]))
    tried = 0
    for number, other in enumerate(mutations(content)):
        if number % 11:
            continue
        line = sign(json.dumps(other).encode(), IN_TOTO, ANNA.signer)
        code, _, error = stranger({**files, name: "\n".join([*lines[:-1], line]).encode()})
        # Only the version in the statement of the contents is nobody's claim but the packer's.
        assert code == 1 or other["predicate"]["version"] != "2", other
        assert error.count("\n") == (code == 1)
        assert "\x1b" not in error
        tried += 1
    assert tried > 10


def test_rerun_needs_a_clone(stranger):
    code, _, error = stranger(signed().archive(), "--rerun")
    assert (code, error) == (
        2, "streamflow: --rerun needs a clone of the project that has the commit; cd into it, or leave --rerun out\n",
    )  # fmt: skip
