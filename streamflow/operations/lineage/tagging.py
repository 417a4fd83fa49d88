"""Results as commits and annotated tags exp/NAME."""

from pathlib import Path

from streamflow.core.errors import ConfigError, ModelError, did_you_mean
from streamflow.operations.health.doctor import lock, outputs
from streamflow.operations.lineage.tag_message import tag_message
from streamflow.pipeline.dvc_files import tracked_outputs
from streamflow.pipeline.layout import LOCK, PARAMS
from streamflow.provenance.commits import code_differences, path_with_files, result_of
from streamflow.provenance.git import (
    TAG_PREFIX,
    annotate,
    changes,
    commit,
    commit_files,
    file_at,
    git,
    resolve,
)
from streamflow.provenance.problems import problems_of
from streamflow.provenance.result import Result


def tag_current(name: str) -> tuple[str, Result, list[str]]:
    """Commit the current result's own files, if they are not yet, and tag it: commit, result, committed files.

    Raises ConfigError or ModelError, and changes nothing, if the result was not made from the committed code.
    """
    _check_name(name)
    found = changes()
    results = {str(PARAMS), str(LOCK), *tracked_outputs()}
    if code := found.without(results):
        raise ConfigError(
            f"{code.describe()}: a tag names one commit with all its code; commit or remove them, then"
            f" `streamflow repro` and `streamflow tag {name}`"
        )
    if wrong := problems_of([lock(), outputs()]):
        raise ModelError(f"the current result is incomplete or damaged: {wrong[0]}")
    new = {name for name in results if Path(name).is_file() and file_at("HEAD", name) is None}
    files = sorted({*found.tracked, *new})
    head = commit()
    made = commit_files(files, f"Result {name}") if files else head
    try:
        return made, _tag_result(name, made), files
    except BaseException:
        if files:
            git("reset", "--quiet", "--soft", head)  # the files stay as they are, staged
        raise


def tag_experiment(name: str, experiment: str) -> tuple[str, Result, list[str]]:
    """Tag the commit that DVC made of an experiment. Raises ConfigError if there is none of that name."""
    _check_name(name)
    named = git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    refs = [ref for ref in named if ref.rsplit("/", 1)[-1] == experiment]
    found = resolve(refs[0]) if len(refs) == 1 else resolve(experiment) if not refs else None
    if found is None:
        known = sorted(ref.rsplit("/", 1)[-1] for ref in named if "/exec/" not in ref)
        raise ConfigError(
            f"experiment {experiment} is {'not unique' if refs else 'not known'}{did_you_mean(experiment, known)};"
            f" one of {', '.join(known) or 'none'}:"
            " see `dvc exp show`, or name its commit"
        )
    return found, _tag_result(name, found), []


def _tag_result(name: str, commit: str) -> Result:
    result = result_of(commit)
    if different := code_differences(commit, result):
        raise ModelError(
            f"{path_with_files(different[0], commit)} in commit {commit[:12]} differs from what the run read; commit the"
            " code, then `streamflow repro` and `streamflow tag`"
        )
    annotate(f"{TAG_PREFIX}{name}", commit, tag_message(name, result))
    return result


def _check_name(name: str) -> None:
    tag = f"{TAG_PREFIX}{name}"
    try:
        git("check-ref-format", f"refs/tags/{tag}")
    except Exception:
        raise ConfigError(f"{name!r} can't be part of a git tag; use letters, digits, - and _") from None
    if resolve(f"refs/tags/{tag}"):
        raise ConfigError(f"the tag {tag} exists; choose another name, or `git tag -d {tag}` if it was a mistake")
