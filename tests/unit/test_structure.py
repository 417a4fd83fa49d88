"""The arrows, the names and the deps of the project, read from its files."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from import_closure import import_closure, imported_modules
from project import ROOT

STAGES = ("config", "ingest", "snapshot", "dataset", "train", "cross_validate", "evaluate", "register", "materialize")
PURE = {
    "arrow attestation batch calendar calibration challenge charts comparison config cross_validation data_drift"
    " dataset decisions digest drift drift_page errors estimators experiment export health importance leakage ledger"
    " metrics model model_card month_profile overlap pipeline_lock provenance publication reasons recipe"
    " rederivation report result schema scoring search segments serving shifts skew splits synthetic tag_message"
    " thresholds training two_sample validation"
}


def pipeline():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def definition(stage):
    return pipeline()[stage].get("do") or pipeline()[stage]


def modules(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def test_the_pipeline_has_the_nine_stages_in_order():
    assert tuple(pipeline()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_the_file_of_its_name(stage):
    assert definition(stage)["cmd"].split(" $")[0] == f"python -m stages.{stage}"
    assert (ROOT / "stages" / f"{stage}.py").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_imports(stage):
    code = {dep for dep in definition(stage)["deps"] if dep.endswith((".py", ".sql", ".j2"))}
    assert code == import_closure(ROOT, f"stages.{stage}")
    assert len(code) >= 13


def test_the_import_closure_follows_imports_inside_functions_and_data_files():
    closure = import_closure(ROOT, "stages.ingest")
    assert {"stages/__init__.py", "streamflow/adapters/environment.py", "streamflow/adapters/warehouse.sql"} <= closure
    assert "streamflow/challenge.py" in import_closure(ROOT, "stages.register")  # imported inside a function


def test_stages_serve_and_feature_repo_do_not_import_each_other():
    checked = 0
    for folder in ("stages", "serve", "feature_repo"):
        for path in modules(folder):
            roots = {name.split(".")[0] for name in imported_modules(path.read_text())}
            assert roots <= {folder, "streamflow"}, path
            checked += 1
    assert checked >= 18


def test_streamflow_imports_neither_stages_nor_serve():
    paths = modules("streamflow")
    for path in paths:
        roots = {name.split(".")[0] for name in imported_modules(path.read_text())}
        assert roots <= {"streamflow"}, path
    assert len(paths) >= 35


def test_pure_modules_import_no_adapter_and_read_no_environment_and_no_clock():
    pure = [path for path in (ROOT / "streamflow").glob("*.py") if path.name != "__init__.py"]
    assert {path.stem for path in pure} == {name for names in PURE for name in names.split()}
    for path in pure:
        source = path.read_text()
        names = imported_modules(source)
        assert not any(name.startswith(("streamflow.adapters", "streamflow.cli")) for name in names), path
        imported = {
            alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not imported & {"os", "time", "socket", "subprocess"}, path
        assert "datetime.now" not in source, path
        assert "os.environ" not in source, path


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
    source = (ROOT / "streamflow" / "errors.py").read_text()
    assert len([node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]) == 8


def test_outputs_and_inputs_of_the_stages_fit_together():
    outputs = set()
    for stage in STAGES:
        for out in [*definition(stage).get("outs", []), *definition(stage).get("metrics", [])]:
            outputs.add(out if isinstance(out, str) else next(iter(out)))
    assert {"data/dataset", "artifacts/model", "data/snapshots/${item}", "artifacts/evaluation/report.html"} <= outputs
    for stage in ("register", "materialize"):
        assert "outs" not in definition(stage)
        assert definition(stage)["always_changed"] is True


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
