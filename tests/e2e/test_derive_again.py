"""Derive any model again: from a clone without anything, one that was never committed, an experiment of DVC."""

import pytest
from project import Project, small
from tagged_result import answer, model_sha256, production

from drills.attacks import TAG, give_environment


def test_a_tagged_result_is_production_with_all_that_it_came_from(project):
    message = project.run("git", "tag", "--list", "--format=%(contents)", TAG).stdout
    found = answer(project.streamflow("lineage", "Production", "--json"))
    assert found["version"]["aliases"] == ["Production"]
    assert found["version"]["trained_on_committed_files"] is True
    assert found["commit"]["sha"] == project.run("git", "rev-parse", f"{TAG}^{{commit}}").stdout.strip()
    assert found["commit"]["tags"] == [TAG]
    assert f"Model-sha256: {found['model']['sha256']}\n" in message
    assert f"Dataset-md5: {found['dataset']['md5']}\n" in message
    assert "As-of: 2024-01-31\n" in message
    assert f"Roc-auc: {found['metrics']['roc_auc']:.6f}\n" in message
    assert [each["as_of"] for each in found["dataset"]["snapshots"]] == ["2024-01-31"]
    assert found["dataset"]["snapshots"][0]["extract"]["tables"]["users"]["rows"] == 400


def test_a_clone_without_database_cache_and_packages_derives_it_from_git_and_the_remote(project, tmp_path):
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.path), str(clone.path))
    give_environment(clone)
    clone.run("uv", "pip", "uninstall", "--quiet", "--python", clone.python, "skl2onnx")

    asked = clone.streamflow("rerun", "Production", check=False)
    assert asked.returncode == 2
    assert f"there is no registry here to ask; name a tag instead: {TAG}" in asked.stderr
    found = answer(clone.streamflow("rerun", TAG, "--fresh-env", "--json"))
    assert (found["verdict"], found["environment"]["kind"]) == ("identical", "fresh")
    assert found["environment"]["differences"] == []
    assert found["model_sha256"]["actual"] == model_sha256(project)
    assert not (clone.path / "var" / "postgres").exists()
    assert clone.status() == ""
    assert list((clone.path / "var" / "attestations").rglob("*-identical.jsonl"))
    doctor = clone.streamflow("doctor", "--json", check=False)
    problems = [problem["what"] for check in answer(doctor)["checks"] for problem in check["problems"]]
    assert any("skl2onnx missing (locked" in problem for problem in problems)


def test_code_that_was_never_committed_is_kept_with_its_version_and_can_be_derived_again(project):
    helper = project.path / "streamflow" / "model" / "sklearn_pipeline.py"
    good = helper.read_text()
    helper.write_text(good + "\nUNCOMMITTED = True\n")
    done = project.streamflow("repro", *small("seed=43"))
    helper.write_text(good)
    project.run("git", "checkout", "--", ".")
    assert (
        "this run can't be promoted: params.yaml, streamflow/model/sklearn_pipeline.py changed since the commit; commit"
        in done.stdout
    )
    assert "register: version 2 is not promoted" in done.stdout
    assert production(project) == "1"
    found = answer(project.streamflow("rerun", "v2", "--json"))
    assert found["verdict"] == "identical"
    refused = project.streamflow("promote", "v2", check=False)
    assert refused.returncode == 1
    assert "version 2 was trained on files that are not committed" in refused.stderr
    assert "--force needs --reason" in project.streamflow("promote", "v2", "--force", check=False).stderr
    forced = project.streamflow("promote", "v2", "--force", "--reason", "a trial", check=False)
    assert (forced.returncode, len(forced.stderr.splitlines())) == (1, 1)
    assert "version 2 was trained on files that are not committed" in forced.stderr
    assert "to promote it all the same" not in forced.stderr  # nothing would serve it
    assert production(project) == "1"
    (line,) = answer(project.streamflow("history", "--json"))
    assert (line["action"], line["from_version"], line["to_version"]) == ("promote", None, "1")
    assert line["signer"].startswith("this machine (")
    further = project.streamflow("rollback", check=False)
    assert (further.returncode, len(further.stderr.splitlines())) == (2, 1)
    assert "nothing to roll back to: the ledger has no version before 1" in further.stderr
    differences = answer(project.streamflow("diff", "v1", "v2", "--json"))
    assert differences["uncommitted"] == ["v2"]
    assert {"name": "seed", "before": 42, "after": 43} in differences["configuration"]
    assert differences["snapshots"] == differences["packages"] == []
    project.run("dvc", "checkout", "--quiet", "--force")


def test_an_experiment_of_dvc_becomes_a_tag(project):
    """That such a tag can be derived again, and from the source, is proven by test_sweeps of one that a queue ran."""
    settings = [word for override in small("model.min_samples_leaf=4") for word in ("-S", override)]
    project.run("dvc", "exp", "run", "-q", "-n", "deep", *settings)
    before = project.run("git", "rev-parse", "HEAD").stdout
    project.run("git", "checkout", "--", ".")
    done = project.streamflow("tag", "deep", "--experiment", "deep")
    assert project.run("git", "rev-parse", "HEAD").stdout == before
    assert "of the registry names it" in done.stdout
    again = project.streamflow("tag", "deep", "--experiment", "deep", check=False)
    assert (again.returncode, "the tag exp/deep exists" in again.stderr) == (2, True)
    unknown = project.streamflow("tag", "x", "--experiment", "nonesuch", check=False)
    assert "experiment nonesuch is not known; one of deep" in unknown.stderr
    mistyped = project.streamflow("tag", "deeper", "--experiment", "dep", check=False)
    assert "experiment dep is not known (did you mean deep?); one of deep" in mistyped.stderr
    project.run("dvc", "checkout", "--quiet", "--force")


@pytest.mark.parametrize(
    ("ref", "said"),
    [
        ("nonesuch", "nonesuch is no tag, commit, version (v3) or Production"),
        ("production", "production is no tag, commit, version (v3) or Production (did you mean Production?)"),
        ("dep", "dep is no tag, commit, version (v3) or Production (did you mean exp/deep?)"),
        ("v99", "has no version or alias v99"),
    ],
)
def test_what_can_not_be_found_is_one_line(project, ref, said):
    done = project.streamflow("rerun", ref, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_a_tag_of_uncommitted_code_is_refused_and_nothing_is_committed(project):
    helper = project.path / "streamflow" / "model" / "sklearn_pipeline.py"
    good = helper.read_text()
    helper.write_text(good + "\n# edited\n")
    before = project.run("git", "rev-parse", "HEAD").stdout
    done = project.streamflow("tag", "wrong", check=False)
    helper.write_text(good)
    assert done.returncode == 2
    assert (
        "streamflow/model/sklearn_pipeline.py changed since the commit: a tag names one commit with all its code"
        in done.stderr
    )
    assert project.run("git", "rev-parse", "HEAD").stdout == before
    assert project.run("git", "tag", "--list", "exp/wrong").stdout == ""
