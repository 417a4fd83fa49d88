"""A checkout has the bytes that the commit's ids name, whatever git's own machinery was made to say."""

import hashlib
import os
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from streamflow.core.errors import EnvironmentFault
from streamflow.provenance.git import file_at
from streamflow.rerun.checkout import checkout

GOOD, EVIL = "RATE = 0.25\n", "RATE = 0.99\n"
CODE = "streamflow/rate.py"


class Repository:
    """A small project in git."""

    def __init__(self, path: Path):
        self.path = path

    def git(self, *arguments: str, **options) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(
            command, cwd=self.path, check=True, capture_output=True, text=True, **options
        ).stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    path = tmp_path / "mein Projekt äöü 100%25"
    path.mkdir()
    made = Repository(path)
    made.git("init", "--quiet", "--initial-branch", "main")
    for name, text in (
        ("dvc.yaml", ""),
        ("conf/a.yaml", ""),
        (CODE, GOOD),
        ("run.sh", "#!/bin/sh\n"),
        (".gitignore", "var/\n"),
    ):
        made.write(name, text)
    (path / "run.sh").chmod(0o755)
    (path / "link").symlink_to(CODE)
    monkeypatch.chdir(path)
    monkeypatch.delenv("STREAMFLOW_STATE_DIR", raising=False)
    made.commit()
    made.write("conf/a.yaml", "b: 1\n")
    made.commit()
    return made


def rate_at(commit: str) -> str:
    with checkout(commit) as folder:
        return (folder / CODE).read_text()


def test_a_checkout_has_every_file_of_the_commit_with_its_mode_and_goes_away(repository):
    head = repository.git("rev-parse", "HEAD")
    repository.write(CODE, EVIL)
    repository.commit()
    with checkout(head) as folder:
        assert (folder / CODE).read_text() == GOOD
        assert os.access(folder / "run.sh", os.X_OK)
        assert (folder / "link").readlink() == Path(CODE)
        assert subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=folder, text=True).strip() == head
        assert subprocess.check_output(["git", "status", "--porcelain"], cwd=folder) == b""
        assert not (folder / ".git/objects/info/alternates").exists()
        assert list((folder / ".git").rglob("hooks/*")) == []
    assert not folder.exists()


def test_a_patch_is_applied(repository):
    head = repository.git("rev-parse", "HEAD")
    repository.write(CODE, EVIL)
    patch = repository.git("diff", "--binary") + "\n"
    repository.git("checkout", "--", ".")
    with checkout(head, patch.encode()) as folder:
        assert (folder / CODE).read_text() == EVIL


@pytest.mark.parametrize("kind", ["shallow", "worktree", "alternates"])
def test_a_project_of_any_kind_can_be_checked_out(repository, kind, tmp_path, monkeypatch):
    other = tmp_path / "ein anderes ö"
    if kind == "worktree":
        repository.git("worktree", "add", "--quiet", "--detach", str(other))
    else:
        option = ["--shared"] if kind == "alternates" else ["--depth=1"]
        repository.git("clone", "--quiet", *option, repository.path.as_uri() if kind == "shallow" else ".", str(other))
    monkeypatch.chdir(other)
    assert rate_at(repository.git("rev-parse", "HEAD")) == GOOD


def test_a_commit_that_no_branch_has_can_be_checked_out(repository):
    head = repository.git("rev-parse", "HEAD")
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    assert rate_at(head) == GOOD


def test_a_replaced_object_is_not_taken(repository):
    head = repository.git("rev-parse", "HEAD")
    evil = repository.git("hash-object", "-w", "--stdin", input=EVIL)
    repository.git("replace", repository.git("rev-parse", f"HEAD:{CODE}"), evil)
    assert rate_at(head) == GOOD
    assert file_at("HEAD", CODE) == GOOD.encode()


def test_a_replaced_commit_is_not_taken(repository):
    head = repository.git("rev-parse", "HEAD")
    repository.write(CODE, EVIL)
    evil = repository.commit()
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.git("replace", head, evil)
    assert rate_at(head) == GOOD


def test_an_object_with_the_content_of_another_is_refused(repository):
    blob = repository.git("rev-parse", f"HEAD:{CODE}")
    path = repository.path / ".git" / "objects" / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes(zlib.compress(b"blob %d\0" % len(EVIL) + EVIL.encode()))
    with pytest.raises(EnvironmentFault, match="git fsck"):
        rate_at(repository.git("rev-parse", "HEAD"))


def test_no_filter_changes_a_file(repository):
    repository.git("config", "filter.evil.smudge", "sed s/0.25/0.99/")
    repository.git("config", "filter.evil.clean", "sed s/0.99/0.25/")
    (repository.path / ".git/info/attributes").write_text("*.py filter=evil\n")
    assert rate_at(repository.git("rev-parse", "HEAD")) == GOOD


@pytest.mark.parametrize("variable", ["GIT_CONFIG_GLOBAL", "HOME"])
def test_no_setting_or_hook_of_the_user_changes_a_file(repository, tmp_path, monkeypatch, variable):
    head, home = repository.git("rev-parse", "HEAD"), tmp_path / "home"
    (home / "templates/hooks").mkdir(parents=True)
    hook = home / "templates/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\necho 'RATE = 0.99' > {CODE}\n")
    hook.chmod(0o755)
    shutil.copytree(hook.parent, repository.path / ".git/hooks", dirs_exist_ok=True)
    (home / "attributes").write_text("*.py filter=evil\n")
    (home / ".gitconfig").write_text(
        f"[core]\nhooksPath = {hook.parent}\nattributesFile = {home}/attributes\nfsmonitor = {hook}\n"
        f'[init]\ntemplateDir = {home}/templates\n[filter "evil"]\nsmudge = sed s/0.25/0.99/\n'
        '[protocol "file"]\nallow = never\n'
    )
    monkeypatch.setenv(variable, str(home if variable == "HOME" else home / ".gitconfig"))
    assert rate_at(head) == GOOD


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_that_the_index_hides_is_not_taken(repository, flag):
    repository.git("update-index", flag, CODE)
    repository.write(CODE, EVIL)
    assert rate_at(repository.git("rev-parse", "HEAD")) == GOOD


def test_an_attribute_of_the_commit_that_changes_bytes_is_refused(repository):
    repository.write(".gitattributes", "*.py ident\n")
    repository.write(CODE, "# $Id$\n")
    head = repository.commit()
    with pytest.raises(EnvironmentFault, match=rf"{CODE} .*differs from its blob"):
        rate_at(head)


def test_a_commit_that_does_not_exist_is_one_line(repository):
    with pytest.raises(EnvironmentFault, match="fetch the commit"):
        rate_at(hashlib.sha1(b"", usedforsecurity=False).hexdigest())
