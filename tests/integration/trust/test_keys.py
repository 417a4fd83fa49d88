"""The key of a machine and the keys of a project, over a real git repository and the real commands."""

import os
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from signers import key

from streamflow.cli.attest import attest
from streamflow.cli.keys import keys as command
from streamflow.core.errors import ConfigError, EnvironmentFault, ModelError
from streamflow.trust import keys
from streamflow.trust.envelope import IN_TOTO, open_envelope, sign
from streamflow.trust.store import add_notes, notes_of

ANNA, BEN = key("anna"), key("ben")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty repository where we are."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STREAMFLOW_SIGNING_KEY", raising=False)
    monkeypatch.setenv("STREAMFLOW_STATE_DIR", str(tmp_path / "var"))
    git("init", "--quiet")
    (tmp_path / ".gitignore").write_text("/var/\n")
    commit("first")
    return tmp_path


def git(*arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def commit(message):
    git("add", "--all")
    git("commit", "--quiet", "--message", message)


def run(*arguments, group=command):
    done = CliRunner().invoke(group, arguments, obj=keys.Path.cwd())
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_a_key_is_made_once_is_readable_by_its_owner_only_and_is_not_in_git(project):
    with ThreadPoolExecutor(8) as pool:
        found = {signer.public_key.keyid for signer in pool.map(lambda _: keys.machine_signer(), range(8))}
    assert len(found) == 1
    private = project / "var/keys/private.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in private.parent.iterdir()) == ["private.pem", "public.pem"]
    assert git("status", "--porcelain") == ""
    assert "there is already a key: " in run("init")
    assert private.read_text().splitlines()[1] not in run("list")


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl: apt-get install openssl")
def test_openssl_and_this_machine_agree_on_the_key(project):
    keys.machine_signer()
    read = subprocess.run(
        ["openssl", "pkey", "-in", "var/keys/private.pem", "-pubout"], check=True, capture_output=True
    ).stdout
    assert read == (project / "var/keys/public.pem").read_bytes()


def test_a_private_key_that_others_may_read_is_refused(project):
    keys.machine_signer()
    (project / "var/keys/private.pem").chmod(0o640)
    with pytest.raises(ConfigError, match=r"others may read the private key .*; `chmod 600"):
        keys.machine_signer()


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_that_is_no_key_is_named(project, monkeypatch, content):
    path = project / "mine.pem"
    monkeypatch.setenv("STREAMFLOW_SIGNING_KEY", str(path))
    with pytest.raises(
        ConfigError, match=r"STREAMFLOW_SIGNING_KEY names .*, which does not exist; `streamflow keys init`"
    ):
        keys.machine_signer()
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"mine\.pem is no private key"):
        keys.machine_signer()
    path.unlink()
    path.mkdir(mode=0o700)
    with pytest.raises(EnvironmentFault, match="can't be read"):
        keys.machine_signer()


def test_a_key_counts_when_it_is_committed_and_not_before(project):
    keys.machine_signer()
    (project / "anna.pem").write_bytes(ANNA.pem)
    assert "it counts when it is committed" in run("trust", "anna.pem", "--name", "anna")
    line = sign(b"{}", IN_TOTO, ANNA.signer)
    with pytest.raises(ModelError, match="is unknown"):
        open_envelope(line, keys.trusted_keys())
    assert "not committed" in run("list")
    commit("trust anna")
    assert open_envelope(line, keys.trusted_keys()).signer.startswith("anna (")
    assert open_envelope(sign(b"{}", IN_TOTO, keys.machine_signer()), keys.trusted_keys())


def test_a_key_that_is_revoked_counts_no_more_at_once(project):
    keys.machine_signer()
    (project / "anna.pem").write_bytes(ANNA.pem)
    run("trust", "anna.pem", "--name", "anna")
    commit("trust anna")
    assert "does not count here any more" in run("revoke", "anna")
    with pytest.raises(ModelError, match=r"its key anna \(.*\) is revoked"):
        open_envelope(sign(b"{}", IN_TOTO, ANNA.signer), keys.trusted_keys())
    with pytest.raises(ConfigError, match=r"key .* is revoked; `git log -- keys/revoked`"):
        run("trust", "anna.pem", "--name", "anna-again")
    commit("revoke anna")
    git("checkout", "--quiet", "HEAD~1", "--", "keys")  # the old file in the working tree does not bring it back
    (project / "keys/revoked/anna.pem").unlink()
    assert "anna" in keys.trusted_keys().revoked.values()


def test_a_machine_can_revoke_its_own_key_and_make_another(project):
    first = keys.machine_signer().public_key.keyid
    run("trust", "var/keys/public.pem", "--name", "stolen")
    run("revoke", "stolen")
    assert first not in keys.trusted_keys().keys
    assert "made a key: " in run("init", "--replace")
    second = keys.machine_signer().public_key.keyid
    assert second != first
    assert list(keys.trusted_keys().keys) == [second]
    assert (project / "var/keys" / f"{first[:16]}.pem").exists()


def test_names_and_files_that_are_no_key_change_nothing(project):
    (project / "anna.pem").write_bytes(ANNA.pem)
    (project / "ben.pem").write_bytes(BEN.pem)
    run("trust", "anna.pem", "--name", "anna")
    for arguments, reason in (
        (("trust", "anna.pem", "--name", "../anna"), "is no name for a key"),
        (("trust", "anna.pem", "--name", "ännä"), "is no name for a key"),
        (("trust", "ben.pem", "--name", "anna"), "is another key; choose another --name"),
        (("trust", "none.pem", "--name", "x"), "can't be read"),
        (("trust", ".gitignore", "--name", "x"), "is no Ed25519 public key"),
        (("revoke", "nobody"), r"there is no keys/nobody\.pem; keys are anna"),
        (("revoke", "this machine"), "name a key of keys/"),
    ):
        with pytest.raises(ConfigError, match=reason):
            run(*arguments)
    assert sorted(path.name for path in (project / "keys").rglob("*")) == ["anna.pem"]
    (project / "keys/broken.pem").write_text("x")
    assert "broken" in run("list")


def test_notes_are_merged_line_by_line_between_two_clones(project, tmp_path_factory, monkeypatch):
    head = git("rev-parse", "HEAD")
    hub, other = tmp_path_factory.mktemp("hub") / "hub.git", tmp_path_factory.mktemp("other") / "clone"
    git("clone", "--quiet", "--bare", ".", str(hub))
    git("remote", "add", "origin", str(hub))
    add_notes(head, ['{"a":1}', '{"a":1}'])
    assert "are at origin" in run("push", group=attest)
    git("clone", "--quiet", str(hub), str(other))
    monkeypatch.chdir(other)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # nobody has told git a name here
    add_notes(head, ['{"b":2}'])
    with pytest.raises(EnvironmentFault, match="`streamflow attest pull origin`, then push again"):
        run("push", group=attest)
    assert "notes of origin are merged" in run("pull", group=attest)
    assert sorted(notes_of(head)) == ['{"a":1}', '{"b":2}']
    run("push", group=attest)
    monkeypatch.chdir(project)
    run("pull", group=attest)
    assert sorted(notes_of(head)) == ['{"a":1}', '{"b":2}']
    assert notes_of("0" * 40) == []


def test_a_file_that_can_not_be_imported_is_one_line_and_nothing_is_taken(project):
    head = git("rev-parse", "HEAD")
    for content, reason in (
        (None, "can't be read"),
        (b"", "is empty"),
        (b"\xff", "can't be read"),
        (b"{}", "line 1: it is no DSSE"),
    ):
        path = project / "sent.jsonl"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        with pytest.raises((ConfigError, ModelError), match=reason):
            run("import", "sent.jsonl", group=attest)
    path.write_text(sign(b'{"predicateType":"x"}', IN_TOTO, keys.machine_signer()))
    with pytest.raises(ModelError, match="neither a provenance nor a verdict; nothing was taken"):
        run("import", "sent.jsonl", group=attest)
    assert notes_of(head) == []
