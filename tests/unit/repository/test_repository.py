"""Names, the lock and README, read from the files of the repository."""

import ast
import re
from pathlib import Path

from project import ROOT


def modules(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def test_only_app_binds_the_graph_and_one_place_instantiates():
    code = [path for folder in ("serve", "stages", "streamflow") for path in modules(folder)]
    assert [path.name for path in code if re.search(r"Deployment\b[^\n]*\.bind\(", path.read_text())] == ["app.py"]
    assert [path.name for path in code if "hydra.utils import instantiate" in path.read_text()] == ["estimators.py"]


def test_tests_are_not_packages():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_drawer_modules():
    names = {path.stem for folder in ("stages", "serve", "streamflow") for path in modules(folder)}
    assert not names & {"utils", "helpers", "common", "base", "manager", "misc"}


def test_the_lock_names_no_index_and_no_path_and_hashes_everything():
    lock = (ROOT / "requirements.lock").read_text()
    options = [line for line in lock.splitlines() if line.startswith("-")]
    assert options == []
    assert "://" not in lock
    pinned = [line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert len(pinned) > 200
    assert lock.count("--hash=sha256:") >= len(pinned)


def test_every_direct_dependency_has_a_reason_or_stands_among_the_tests():
    lines = (ROOT / "requirements.in").read_text().split("# Tests")[0].splitlines()
    required = [line for line in lines if "==" in line]
    assert len(required) >= 25
    assert [line for line in required if "#" not in line] == []


def test_no_error_tree_larger_than_eight_classes():
    source = (ROOT / "streamflow" / "core" / "errors.py").read_text()
    assert len([node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]) == 8


def test_readme_is_short_and_names_only_commands_that_exist():
    from streamflow.cli.main import cli

    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 200
    named = {
        line.split()[1]
        for line in readme.replace("`", "\n").splitlines()
        if line.startswith("streamflow ") and len(line.split()) > 1
    }
    assert named <= set(cli.commands), named - set(cli.commands)
    for target in ("make repro", "make test", "make serve"):
        assert target in readme
    assert Path(ROOT / "docs" / "operations.md").is_file()
