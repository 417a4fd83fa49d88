"""dvc.yaml: its stages, and that the rooms which they name are just those that their code lives in."""

import pytest
import yaml
from import_closure import import_closure
from project import ROOT

STAGES = ("config", "ingest", "snapshot", "dataset", "train", "cross_validate", "evaluate", "register", "materialize")
CODE = ("stages/", "streamflow/")


def pipeline():
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def definition(stage):
    return pipeline()[stage].get("do") or pipeline()[stage]


def covers(dep, path):
    return path == dep or path.startswith(f"{dep}/")


def test_the_pipeline_has_the_nine_stages_in_order():
    assert tuple(pipeline()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_the_file_of_its_name(stage):
    assert definition(stage)["cmd"].split(" $")[0] == f"python -m stages.{stage}"
    assert (ROOT / "stages" / f"{stage}.py").is_file()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_imports_and_on_no_room_in_vain(stage):
    deps = [dep for dep in definition(stage)["deps"] if dep.startswith(CODE)]
    closure = import_closure(ROOT, f"stages.{stage}")
    assert [path for path in sorted(closure) if not any(covers(dep, path) for dep in deps)] == []
    assert [dep for dep in deps if not any(covers(dep, path) for path in closure)] == []
    assert len(closure) >= 13
    assert len(set(deps)) == len(deps) >= 5


def test_the_import_closure_follows_imports_inside_functions_and_data_files():
    closure = import_closure(ROOT, "stages.ingest")
    assert {"stages/__init__.py", "streamflow/pipeline/environment.py", "streamflow/warehouse/schema.sql"} <= closure
    assert "streamflow/promotion/challenge.py" in import_closure(ROOT, "stages.register")  # imported inside a function


def test_outputs_and_inputs_of_the_stages_fit_together():
    outputs = set()
    for stage in STAGES:
        for out in [*definition(stage).get("outs", []), *definition(stage).get("metrics", [])]:
            outputs.add(out if isinstance(out, str) else next(iter(out)))
    assert {"data/dataset", "artifacts/model", "data/snapshots/${item}", "artifacts/evaluation/report.html"} <= outputs
    for stage in ("register", "materialize"):
        assert "outs" not in definition(stage)
        assert definition(stage)["always_changed"] is True


def test_the_pipeline_and_its_lock_can_be_read_in_one_go():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 130
    assert len((ROOT / "dvc.lock").read_text().splitlines()) <= 1000
