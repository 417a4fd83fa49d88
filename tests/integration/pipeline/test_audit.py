"""The audit around a stage, and what git is asked: in a small project of its own, with real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from project import ROOT, Project

from streamflow.pipeline.dvc_hash import content_of
from streamflow.provenance.git import changes, patch_of

STAGE = """
import sys, time
from pathlib import Path
from streamflow.pipeline.audit import audit
from streamflow.pipeline.reporting import one_line_errors

def main():
    with one_line_errors("train"), audit("train"):
        import streamflow.helper
        Path("out").mkdir(exist_ok=True)
        Path("out/model.bin").write_text(Path("data/in.txt").read_text() + str(streamflow.helper.VALUE))
        for command in sys.argv[1:]:
            exec(command)

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one audited stage, which reads what stage `dataset` made."""
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "streamflow"]
    for name in subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "streamflow/helper.py").write_text("VALUE = 1\n")
    for folder in ("stages", "conf", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "stages/__init__.py").write_text("")
    (tmp_path / "stages/train.py").write_text(STAGE)
    (tmp_path / "data/in.txt").write_text("rows")
    (tmp_path / "params.yaml").write_text("months: []\nseed: 1\n")
    (tmp_path / ".gitignore").write_text("out/\nvar/\n.dvc/\n__pycache__/\n")
    deps = ["data/in.txt", "streamflow", "stages/__init__.py", "stages/train.py"]
    receipt = {"artifacts/sha256/train.json": {"cache": False}}
    train = {"cmd": "python -m stages.train", "deps": deps, "params": ["seed"], "outs": ["out", receipt]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": train}}))
    made = {"path": "data/in.txt", "md5": content_of(tmp_path / "data/in.txt").md5, "size": 4}
    lock = {"schema": "2.0", "stages": {"dataset": {"cmd": "true", "outs": [made]}}}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump(lock))
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        project.run("git", *command)
    return project


def train(project, *commands):
    return project.run(sys.executable, "-m", "stages.train", *commands, check=False)


def test_a_stage_leaves_the_sha256_of_what_it_wrote(project):
    assert train(project).returncode == 0
    receipt = yaml.safe_load(project.text("artifacts/sha256/train.json"))
    assert receipt == {
        "stage": "train",
        "files": {"out/model.bin": content_of(project.path / "out").files_sha256["model.bin"]},
    }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("Path('data/in.txt').write_text('ROWS')", "data/in.txt was changed while the stage ran"),
        ("Path('streamflow/helper.py').write_text('VALUE = 2')", "streamflow was changed while the stage ran"),
        ("Path('params.yaml').write_text('months: []\\nseed: 2\\n')", "params.yaml or dvc.yaml was changed"),
    ],
)
def test_a_stage_whose_inputs_change_under_it_fails(project, change, named):
    done = train(project, change)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
    assert not (project.path / "artifacts/sha256/train.json").exists()


def test_an_input_that_is_not_what_its_stage_wrote_is_refused_before_any_work(project):
    (project.path / "data/in.txt").write_text("rowz")
    done = train(project)
    assert done.returncode == 2
    assert "MD5 of data/in.txt is " in done.stderr
    assert "dvc repro --force --single-item dataset" in done.stderr
    assert not (project.path / "out").exists()


def test_an_input_whose_sha256_is_not_the_receipts_is_refused(project):
    receipts = project.path / "artifacts/sha256"
    receipts.mkdir(parents=True)
    (receipts / "dataset.json").write_text('{"files": {"data/in.txt": "00"}}')
    done = train(project)
    assert done.returncode == 2
    assert "SHA-256 of data/in.txt differs from artifacts/sha256/dataset.json, which stage dataset wrote" in done.stderr
    (receipts / "dataset.json").write_text('{"files": ')
    assert (
        "artifacts/sha256/dataset.json is damaged (not the receipt that stage dataset wrote)" in train(project).stderr
    )


def test_a_file_in_a_folder_that_another_stage_wrote_is_checked_with_its_folder(project):
    """As a snapshot reads one of the receipts that the ingest wrote."""
    lock = yaml.safe_load(project.text("dvc.lock"))
    made = {"path": "data", "md5": content_of(project.path / "data").md5, "size": 4, "nfiles": 1}
    lock["stages"]["dataset"]["outs"] = [made]
    (project.path / "dvc.lock").write_text(yaml.safe_dump(lock))
    assert train(project).returncode == 0
    (project.path / "data/in.txt").write_text("rowz")
    done = train(project)
    assert done.returncode == 2
    assert "MD5 of data is " in done.stderr
    assert "dvc repro --force --single-item dataset" in done.stderr


def test_a_module_that_shadows_another_is_refused(project):
    (project.path / "helper_of_mine.py").write_text("")
    done = train(project, "import helper_of_mine")
    assert done.returncode == 2
    assert "module helper_of_mine was loaded from helper_of_mine.py" in done.stderr


def test_a_stage_ends_with_the_command_that_started_it(project):
    script = (
        "import os, subprocess, sys, time; from pathlib import Path; from streamflow.pipeline.lifeline import *\n"
        "with lifeline(Path('.')) as line:\n"
        "    os.environ[VARIABLE] = str(line)\n"
        "    subprocess.run(['sh', '-c', f'{sys.executable} -m stages.train \"time.sleep(60)\"; true'])\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=project.path, env=project.environment)
    stage = waited_for(lambda: processes_in(project.path, "stages.train"))[-1]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    waited_for(lambda: not alive(stage))
    assert train(project).returncode == 0


def test_a_second_run_of_a_stage_waits_for_the_first(project):
    first = subprocess.Popen(
        [sys.executable, "-m", "stages.train", "time.sleep(3)"], cwd=project.path, env=project.environment
    )
    waited_for(lambda: (project.path / "out/model.bin").exists())
    second = train(project)
    assert first.wait(timeout=30) == 0
    assert second.returncode == 0
    assert "the same stage of an earlier run is still writing; waiting" in second.stderr


def waited_for(condition):
    for _ in range(100):
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("waited 10 s in vain")


def processes_in(folder, named):
    import psutil

    return [
        each.pid for each in psutil.process_iter(["cwd", "cmdline"])
        if each.info["cwd"] == str(folder) and each.info["cmdline"] and each.info["cmdline"][-2:-1] == [named]
    ]  # fmt: skip


def alive(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_git_sees_what_index_flags_and_private_excludes_hide(project):
    assert not changes()
    (project.path / ".git/info/exclude").write_text("streamflow/hidden.py\nsklearn/\n")
    project.run("git", "update-index", "--assume-unchanged", "params.yaml")
    (project.path / "params.yaml").write_text("months: []\nseed: 3\n")
    (project.path / "streamflow/hidden.py").write_text("")
    (project.path / "sklearn").mkdir()
    (project.path / "sklearn/__init__.py").write_text("")
    (project.path / "notes.txt").write_text("no code")
    (project.path / "staged.py").write_text("")
    project.run("git", "add", "staged.py")
    (project.path / "stages/train.py").write_text(STAGE + "# edited")
    (project.path / ".git/info/attributes").write_text("stages/train.py filter=hide\n")
    project.run("git", "config", "filter.hide.clean", "git cat-file blob HEAD:stages/train.py")
    (project.path / "elsewhere").mkdir()
    (project.path / "elsewhere/linked.py").write_text("")
    (project.path / "streamflow/linked").symlink_to("../elsewhere")
    (project.path / "nested").mkdir()
    (project.path / "nested/__init__.py").write_text("")
    project.run("git", "init", "-q", "nested")
    Path(os.fsdecode(os.fsencode(project.path) + b"/n\xfcmbers.py")).write_text("")
    found = changes()
    assert found.tracked == ("params.yaml", "stages/train.py")
    assert {os.fsencode(name) for name in found.untracked} == {
        b"elsewhere/linked.py", b"n\xfcmbers.py", b"nested/__init__.py", b"sklearn/__init__.py", b"staged.py",
        b"streamflow/hidden.py", b"streamflow/linked/linked.py",
    }  # fmt: skip


def test_git_variables_of_a_hook_and_private_diff_settings_do_not_steer(project, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    project.run("git", "config", "diff.noprefix", "true", GIT_DIR=str(project.path / ".git"))
    (project.path / "params.yaml").write_text("months: []\nseed: 3\n")
    assert changes().tracked == ("params.yaml",)
    assert patch_of(["params.yaml"]).startswith(b"diff --git a/params.yaml b/params.yaml\n")


def test_a_module_from_elsewhere_is_refused(project, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "intruder.py").write_text("")
    done = project.run(sys.executable, "-m", "stages.train", "import intruder", check=False, PYTHONPATH=str(elsewhere))
    assert done.returncode == 2
    assert f"module intruder was loaded from {elsewhere}/intruder.py, which is outside of the project" in done.stderr


def test_a_patch_brings_a_clone_to_the_same_files_and_leaves_the_index_alone(project, tmp_path_factory):
    (project.path / "params.yaml").write_text("months: []\nseed: 3\n")
    (project.path / "streamflow/helper.py").unlink()
    (project.path / "streamflow/new.py").write_bytes(b"x = '\xc3\xbc\x00'\n")
    before = project.status()
    found = changes()
    patch = patch_of([*found.tracked, *found.untracked])
    assert project.status() == before
    clone = Project(tmp_path_factory.mktemp("clone"))
    clone.run("git", "clone", "-q", str(project.path), ".")
    (clone.path / "p").write_bytes(patch)
    clone.run("git", "apply", "p")
    for name in ("params.yaml", "streamflow/new.py"):
        assert (clone.path / name).read_bytes() == (project.path / name).read_bytes()
    assert not (clone.path / "streamflow/helper.py").exists()
