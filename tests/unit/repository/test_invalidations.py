"""`python -m benchmarks.invalidations`: commits that make a stage run again, by exact closures and by folders."""

import subprocess

import pytest
from project import ROOT

from benchmarks.invalidations import Commit, Count, code_deps, counts, with_successors


def test_a_file_counts_under_the_name_that_it_has_today():
    history = [
        Commit("fourth", {"a/new.py", "b.py"}, moved={"b.py": "a/new.py"}),
        Commit("third", {"gone.py"}, deleted={"gone.py"}),
        Commit("second", {"b.py", "gone.py"}, added={"b.py"}),
        Commit("first", {"b.py"}, deleted={"b.py"}),
    ]
    assert [(commit.name, names) for commit, names in with_successors(history)] == [
        ("fourth", {"a/new.py"}),
        ("third", set()),
        ("second", {"a/new.py"}),  # the old gone.py has no successor
        ("first", set()),  # another b.py than the one that moved
    ]


@pytest.fixture
def repository(tmp_path):
    """Three commits: a stage over one of two flat files; the other one changes; both move into a room."""

    def commit(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git("add", "--all")
        git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "a commit")

    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    def long(name):
        return f"def {name}():\n    return {list(range(40))}\n"

    git("init", "-q", "-b", "main")
    commit(streamflow__used_py=long("used"), streamflow__other_py=long("other"),
           stages__train_py="from streamflow.used import used\n")  # fmt: skip
    commit(streamflow__other_py=long("another"))
    (tmp_path / "streamflow/room").mkdir()
    for name in ("used", "other"):
        (tmp_path / f"streamflow/{name}.py").rename(tmp_path / f"streamflow/room/{name}.py")
    commit(stages__train_py="from streamflow.room.used import used\n")
    return tmp_path


def test_a_folder_counts_what_an_exact_closure_does_not(repository):
    deps = {"train": ["stages/train.py", "streamflow/room"], "later": ["stages/later.py"]}
    assert counts(repository, "HEAD", deps) == (3, {"train": Count(exact=2, folders=3), "later": Count(0, 0)})
    assert counts(repository, "HEAD~1", deps) == (2, {"train": Count(exact=1, folders=2), "later": Count(0, 0)})


def test_the_deps_are_those_of_dvc_yaml():
    deps = code_deps(ROOT / "dvc.yaml")
    assert len(deps) == 9
    assert deps["dataset"][:3] == ["stages/__init__.py", "stages/dataset.py", "streamflow/__init__.py"]
    assert "streamflow/features" in deps["dataset"]
    assert not {"requirements.lock", "feature_repo"} & set(deps["dataset"])
