"""Evidence for a stranger: an archive of a real result, checked by this project, and by tools that don't know it."""

import base64
import io
import json
import subprocess
import sys
import zipfile

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from official_tools import official_tools
from project import KEY, Project
from securesystemslib.signer import CryptoSigner
from signers import key

from drills.attacks import TAG
from streamflow.operations.evidence.archive import pack
from streamflow.trust.trusted import public_pem

EVE = key("eve")


@pytest.fixture(scope="module")
def archive(project):
    """The bytes of the archive of Production."""
    done = project.streamflow("evidence", "Production", "--out", "evidence.zip")
    assert "11 claims, each checked" in done.stdout
    content = (project.path / "evidence.zip").read_bytes()
    (project.path / "evidence.zip").unlink()
    return content


@pytest.fixture(scope="module")
def files(archive):
    """Its files, read without our code."""
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        return {name: found.read(name) for name in found.namelist()}


@pytest.fixture
def stranger(tmp_path):
    """Runs `streamflow verify` in a folder that is no project, without git, a database or a network to ask."""
    (tmp_path / "theirs.pem").write_bytes(
        public_pem(CryptoSigner(load_pem_private_key(KEY.read_bytes(), None)).public_key)
    )

    def verify(content, *arguments):
        (tmp_path / "evidence.zip").write_bytes(content)
        command = [sys.executable, "-m", "streamflow.cli.main", "verify", "evidence.zip", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60
        )

    return verify


@pytest.fixture(scope="module")
def unpacked(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_stranger_sees_that_every_claim_holds(archive, stranger):
    done = stranger(archive, "--key", "theirs.pem")
    assert (done.returncode, done.stderr) == (0, "")
    words = [line[:18].strip() for line in done.stdout.splitlines()]
    assert words[1:12] == [
        "provenance", "configuration", "packages", "report", "receipts", "golden rows", "rebuilders", "Production",
        "bill of materials", "model.sig", "archive",
    ]  # fmt: skip
    assert "16 golden rows get the signed scores again" in done.stdout
    assert "1 key, none other than the builder's, derived it again" in done.stdout
    assert "it is Production: version 1 of streamflow_churn since move 1, the last" in done.stdout
    assert "every claim holds\n" in done.stdout


def test_the_same_evidence_gives_the_same_bytes(archive, project):
    project.streamflow("evidence", "v1", "--out", "again.zip")
    again = (project.path / "again.zip").read_bytes()
    (project.path / "again.zip").unlink()
    assert again == archive
    assert project.status() == ""


def test_neither_a_private_key_nor_an_address_of_a_database_is_in_it(files):
    private = KEY.read_text()
    body = "".join(line for line in private.splitlines() if "-----" not in line)
    secrets = [b"PRIVATE KEY", body.encode(), base64.b64decode(body)[-32:], b"postgresql://", b"password="]
    assert len(secrets[2]) == 32
    for name, content in files.items():
        plain = content
        if name.endswith((".jsonl", ".sig")):
            plain += b"".join(payloads(content))
        assert [secret for secret in secrets if secret in plain] == [], name


def payloads(content):
    for line in content.splitlines():
        found = json.loads(line)
        yield base64.b64decode(found.get("dsseEnvelope", found)["payload"])


def test_securesystemslib_alone_verifies_every_envelope(unpacked):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    keys = [SSlibKey.from_crypto(load_pem_public_key(path.read_bytes())) for path in unpacked.glob("keys/*.pem")]
    verified = [
        list(Envelope.from_dict(json.loads(line)).verify(keys, 1))
        for name in ("attestations.jsonl", "promotions.jsonl", "contents.jsonl")
        for line in (unpacked / name).read_text().splitlines()
    ]
    assert len(verified) >= 4
    assert {tuple(each) for each in verified} == {(keys[0].keyid,)}


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """The folder of the tools of others."""
    return official_tools(tmp_path_factory.mktemp("tools"))


VALIDATOR = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""


def test_the_validator_of_cyclonedx_takes_the_bill_of_materials_and_not_a_wrong_one(files, tools):
    bill = files["bom.cdx.json"].decode()
    for text, good in ((bill, True), (bill.replace("machine-learning-model", "model", 1), False)):
        command = [str(tools / "python"), "-c", VALIDATOR]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        assert (done.stdout.strip() == "None") is good, done.stdout


def test_model_signing_takes_the_signature_and_misses_a_changed_byte(unpacked, tools):
    tool = tools / "model_signing"

    def verify():
        key_options = ["--signature", "model.sig", "--public_key", "model_signing.pem"]
        return subprocess.run(
            [str(tool), "verify", "key", "model", *key_options],
            cwd=unpacked,
            capture_output=True,
            text=True,
            check=False,
        )

    done = verify()
    assert (done.returncode, done.stdout.strip()) == (0, "Verification succeeded"), done.stderr
    model = unpacked / "model" / "model.onnx"
    good = model.read_bytes()
    model.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    broken = verify()
    model.write_bytes(good)
    assert broken.returncode != 0
    assert "Hash mismatch for 'model.onnx'" in broken.stderr


def test_the_commands_of_its_readme_work(unpacked):
    command = next(line.strip() for line in (unpacked / "README.md").read_text().splitlines() if "python3 -c" in line)
    done = subprocess.run(
        command.replace("python3", sys.executable),
        shell=True,
        cwd=unpacked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("https://in-toto.io/Statement/v1") >= 4


def last_bit(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def by_eve(content):
    from securesystemslib.dsse import Envelope

    envelope = Envelope.from_dict(json.loads(content.splitlines()[0]))
    envelope.signatures.clear()
    envelope.sign(EVE.signer)
    return json.dumps(envelope.to_dict()).encode()


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("model/model.onnx", last_bit, "provenance does not hold: model/model.onnx has SHA-256"),
        ("model/golden.json", last_bit, "provenance does not hold: model/golden.json has SHA-256"),
        ("requirements.lock", last_bit, "packages does not hold: requirements.lock has SHA-256"),
        ("report.html", last_bit, "report does not hold: report.html has SHA-256"),
        ("attestations.jsonl", by_eve, " is unknown; `--key FILE` if you know whose it is"),
        ("attestations.jsonl", lambda lines: lines.splitlines()[0] + b"\n", "Production does not hold: move 1 by"),
        ("promotions.jsonl", lambda lines: b"", "archive does not hold: promotions.jsonl has SHA-256"),
        ("promotions.jsonl", by_eve, "Production does not hold: a move does not count: its key"),
        ("bom.cdx.json", lambda bill: bill.replace(b"SHA-256", b"SHA-512", 1), "archive does not hold: bom.cdx.json"),
        ("model.sig", last_bit, "model.sig does not hold: it is damaged"),
    ],
)
def test_what_was_changed_is_refused_with_the_reason(files, stranger, name, change, reason):
    done = stranger(pack({**files, name: change(files[name])}), "--key", "theirs.pem")
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_in_a_clone_that_has_the_commit_the_model_comes_out_again(archive, project):
    (project.path / "var" / "evidence.zip").write_bytes(archive)
    done = project.streamflow("verify", "var/evidence.zip", "--rerun")
    assert "outputs of" in done.stdout
    assert "every claim holds\n" in done.stdout
    assert "trusted by this clone" in done.stdout


def test_a_version_that_nobody_who_counts_signed_gives_no_archive(project, tmp_path):
    theirs = tmp_path / "theirs.pem"
    theirs.write_bytes(EVE.signer.private_bytes)
    theirs.chmod(0o600)
    more = {"STREAMFLOW_SIGNING_KEY": str(theirs), "STREAMFLOW_TRUST": "warn"}
    asked = project.streamflow("evidence", "v1", "--out", "none.zip", check=False, **more)
    assert (asked.returncode, asked.stderr.count("\n")) == (2, 1)
    assert asked.stderr.startswith("streamflow: ")
    assert "is unknown" in asked.stderr
    assert not (project.path / "none.zip").exists()


def test_a_clone_with_git_and_the_remote_alone_makes_an_archive_of_a_tag(project, stranger, tmp_path):
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.path), str(clone.path))
    refused = clone.streamflow("evidence", TAG, "--out", "evidence.zip", check=False)
    assert refused.returncode == 2
    assert "is not accepted: nobody signed it" in refused.stderr
    clone.streamflow("attest", "pull")
    done = clone.streamflow("evidence", TAG, "--out", "evidence.zip")
    assert done.stdout.startswith("evidence.zip: streamflow_churn, model ")
    assert stranger((clone.path / "evidence.zip").read_bytes(), "--key", "theirs.pem").returncode == 0
    assert not (clone.path / "var" / "postgres").exists()
