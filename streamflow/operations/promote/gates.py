"""The gates that a version must pass before a person makes it Production."""

import json
from collections.abc import Iterator
from typing import Any

from streamflow.core.digest import bytes_sha256
from streamflow.core.errors import StreamFlowError
from streamflow.operations.health.doctor import all_checks
from streamflow.pipeline.params import read_all_params
from streamflow.promotion.decisions import DATA_GATES
from streamflow.promotion.rebuilders import rebuilders_problem
from streamflow.provenance.commits import code_differences, path_with_files, result_of
from streamflow.provenance.gather import PATCH, fix_of_changes
from streamflow.provenance.git import resolve
from streamflow.provenance.problems import problems_of
from streamflow.provenance.record import PREFIX
from streamflow.provenance.result import Result
from streamflow.registry.decision import Gate, decision_of
from streamflow.registry.registry import Registry
from streamflow.trust.chain import Chain

# Promoting replaces it, so its state does not matter.
_NOT_ASKED = ("Production",)
_NO_MOVES = Chain()
NEVER_FORCED = ("committed", "files")
"""Gates that --force can't override: nothing would serve such a version."""


def health_gates() -> Iterator[Gate]:
    """The checks of `streamflow doctor`, without Production."""
    for problem in problems_of(check for check in all_checks() if check.name not in _NOT_ASKED):
        name, _, what = problem.partition(": ")
        yield Gate(name, what)


def version_gates(registry: Registry, version: Any, champion: Any, moves: Chain = _NO_MOVES) -> Iterator[Gate]:
    """The gates on the version itself: committed, signed and intact, fairly judged, not worse, derived again.

    `champion` is the version that is Production by the last signed move, or None; `moves` are the signed moves: a version
    that was Production must still be that model, by whatever name the registry gives it.
    """
    yield Gate("committed", _commit_problem(registry, version))
    yield Gate("files", _file_problem(registry, version))
    yield Gate("moved before", moves.other_model(str(version.version), version.tags.get(f"{PREFIX}model_sha256", "")))
    yield from _data_gates(version)
    yield Gate("champion", _champion_problem(registry, version, champion))
    needed = read_all_params().promotion.rebuilders
    yield Gate("derived again", rebuilders_problem(registry, str(version.version), needed))


def _commit_problem(registry: Registry, version: Any) -> str:
    tags, name = version.tags, f"version {version.version}"
    commit = tags.get(f"{PREFIX}git_commit", "")
    if tags.get(f"{PREFIX}git_dirty") != "false":
        return f"{name} was trained on files that are not committed; {_fix_of(registry, version)}"
    if resolve(commit) is None:
        return f"commit {commit[:12]} of {name} is not in this clone; `git fetch --all --tags`"
    try:
        result = result_of(commit)
        different = code_differences(commit, result)
    except StreamFlowError as error:
        return str(error)
    return (
        f"{path_with_files(different[0], commit)} in commit {commit[:12]} differs from what the run read"
        if different
        else ""
    )


def _fix_of(registry: Registry, version: Any) -> str:
    try:
        return fix_of_changes(registry.run_file(version, PATCH))
    except StreamFlowError:
        return fix_of_changes(b"")


def _file_problem(registry: Registry, version: Any) -> str:
    try:
        registry.load(version)
        record = registry.record(version)
        for name, content in registry.run_files(version).items():
            if content is None or bytes_sha256(content) != record["artifacts"][name]:
                state = "missing" if content is None else "damaged"
                return f"{name} of version {version.version} is {state}; `streamflow fsck`"
    except StreamFlowError as error:
        return str(error)
    return ""


def _data_gates(version: Any) -> Iterator[Gate]:
    """The gates that `register` checked on the data by which the version was judged."""
    record = decision_of(version)
    for name in DATA_GATES:
        asked = record.gate(name) if record else None
        missing = (
            f"version {version.version} has no record of it: other code registered it; `streamflow repro` at its commit"
        )
        yield asked or Gate(name, missing)


def _champion_problem(registry: Registry, version: Any, champion: Any) -> str:
    """Not empty if the version is worse than the champion on the same test users; a person judges how sure that is."""
    if champion is None or champion.version == version.version:
        return ""
    record, name = decision_of(version), read_all_params().promotion.metric
    ours, others = _signed_result(registry, version), _signed_result(registry, champion)
    if ours and others and ours.dataset_md5 == others.dataset_md5 and name in ours.metrics and name in others.metrics:
        # By what is in their commits: whoever owns the registry can write any score into a tag or a run.
        mine, theirs = ours.metrics[name], others.metrics[name]
    elif record and record.rule and record.comparison and record.comparison.champion_version == str(champion.version):
        each = record.comparison.metrics[record.rule.metric]
        name, mine, theirs = record.rule.metric, each.challenger, each.champion
    elif champion.tags.get(f"{PREFIX}dataset_md5") == version.tags.get(f"{PREFIX}dataset_md5"):
        mine, theirs = (registry.run_metrics(each).get(name, 0.0) for each in (version, champion))
    else:
        return ""  # scores of other test users can't be compared; a person decides
    if mine >= theirs:
        return ""
    return f"{name} {mine:.4f} is below {theirs:.4f} of the champion, version {champion.version}, on the same users"


def _signed_result(registry: Registry, version: Any) -> Result | None:
    """The result in the commit that a trusted key signed for; None if nobody did."""
    try:
        claim = registry.load(version).claim
        return result_of(claim.commit) if claim else None
    except StreamFlowError:
        return None


def gate_record(gates: list[Gate]) -> str:
    """The failed gates, as JSON for a tag."""
    return json.dumps({gate.name: gate.detail for gate in gates if not gate.passed}, sort_keys=True, ensure_ascii=False)
