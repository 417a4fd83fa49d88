"""git of the project: its common refusals in plain words, and what makes a run with uncommitted changes promotable."""

import shutil
import subprocess

import pytest
from project import ROOT

from streamflow.core.errors import EnvironmentFault
from streamflow.operations.health.doctor import git as git_check
from streamflow.operations.health.doctor import run_check
from streamflow.provenance.gather import fix_of_changes
from streamflow.provenance.git import changes, commit, git, patch_of


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder outside of every repository, where git knows nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def init():
    subprocess.run(["git", "init", "-q"], check=True)


def committed():
    who = ("-c", "user.name=t", "-c", "user.email=t@t")
    subprocess.run(["git", "add", "--all"], check=True)
    subprocess.run(["git", *who, "commit", "-qm", "x", "--allow-empty"], check=True)


@pytest.mark.parametrize("ask", [changes, commit, lambda: git("tag", "--list")])
def test_no_repository_is_told_in_plain_words(folder, ask):
    with pytest.raises(EnvironmentFault) as refused:
        ask()
    assert str(refused.value) == (
        f"{folder} is in no git repository, and every model is tied to a commit; use a clone (`git clone`), or make one"
        " here: `git init && git add --all && git commit -m start`"
    )
    (problem,) = run_check("git", git_check).problems
    assert problem.what == f"{folder} is in no git repository, and every model is tied to a commit"


@pytest.mark.parametrize("ask", [changes, commit])
def test_a_repository_without_a_commit_too(folder, ask):
    init()
    with pytest.raises(EnvironmentFault) as refused:
        ask()
    assert str(refused.value) == (
        f"{folder} has no commit yet, and every model is tied to one; `git add --all && git commit -m start`"
    )


def test_git_that_knows_nobody_says_how_to_tell_it(folder):
    init()
    git("config", "user.useConfigOnly", "true")
    with pytest.raises(EnvironmentFault, match="git does not know who commits; `git config user"):
        git("commit", "--allow-empty", "-m", "x")


def test_what_git_says_of_anything_else_stays_its_own_words(folder):
    init()
    with pytest.raises(EnvironmentFault, match=r"^git cat-file blob HEAD:x: fatal: "):
        git("cat-file", "blob", "HEAD:x")


def test_tag_is_recommended_only_for_changes_that_it_commits(folder):
    """`streamflow tag` refuses a result of code that is in no commit."""
    init()
    names = ("params.yaml", "stages/train.py", "stages/dataset.py", "dvc.yaml")
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    committed()
    for name in names[:3]:
        (folder / name).write_text((ROOT / name).read_text() + "# edited\n")
    assert fix_of_changes(patch_of(["params.yaml"])) == "`streamflow tag NAME` while it is the current result"
    again = "then `streamflow repro` registers the result of the commit"
    assert fix_of_changes(patch_of(["params.yaml", "stages/train.py"])) == f"commit stages/train.py, {again}"
    assert fix_of_changes(patch_of(changes().tracked)) == f"commit stages/dataset.py and 1 more, {again}"
    assert fix_of_changes(b"") == f"commit them, {again}"
