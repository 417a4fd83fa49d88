"""Signed statements between clones: by files, and by a git remote."""

from pathlib import Path

from streamflow.core.errors import ConfigError, EnvironmentFault, ModelError
from streamflow.provenance.git import PRODUCTION_TAGS, RESULTS, git, resolve
from streamflow.trust.acceptance import read_evidence
from streamflow.trust.keys import trusted_keys
from streamflow.trust.store import NOTES, add_notes, identity

_INCOMING = "refs/notes/streamflow-incoming"


def import_envelopes(path: Path) -> list[str]:
    """Add the statements of a file to the notes of their commits; returns what was taken, in words.

    Raises ConfigError or ModelError, and takes none, if one is not signed by a trusted key or its commit is not here.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"{path} can't be read as text ({error}); name a file that `streamflow rerun` wrote"
        ) from error
    if not lines:
        raise ConfigError(f"{path} is empty; name a file that `streamflow rerun` wrote")
    taken: list[tuple[str, str, str]] = []
    for number, line in enumerate(lines, 1):
        evidence = read_evidence([line], trusted_keys())
        if evidence.refused:
            raise ModelError(f"{path}, line {number}: {evidence.refused[0]}; nothing was taken")
        found = [
            *((claim.commit, "a provenance", claim.signed.signer) for claim in evidence.claims),
            *((each.commit, f"the verdict {each.verdict}", each.signed.signer) for each in evidence.verdicts),
        ]
        if not found:
            raise ModelError(f"{path}, line {number}: neither a provenance nor a verdict; nothing was taken")
        commit, what, signer = found[0]
        if resolve(commit) is None:
            raise ModelError(
                f"{path}, line {number}: commit {commit[:12]} is not in this repository, nothing was taken;"
                " `git fetch --all --tags`"
            )
        taken.append((commit, line, f"{what} by {signer} on commit {commit[:12]}"))
    for commit, line, _ in taken:
        add_notes(commit, [line])
    return [words for _, _, words in taken]


def push(remote: str) -> None:
    """Push notes, results and tags of Production. Raises EnvironmentFault if the remote has others: pull first."""
    wanted = [f"{RESULTS}*:{RESULTS}*", f"refs/tags/{PRODUCTION_TAGS}*:refs/tags/{PRODUCTION_TAGS}*"]
    if resolve_ref(NOTES):
        wanted.insert(0, f"{NOTES}:{NOTES}")
    try:
        git("push", "--quiet", remote, *wanted)
    except EnvironmentFault as error:
        raise EnvironmentFault(f"{error}; `streamflow attest pull {remote}`, then push again") from error


def pull(remote: str) -> list[str]:
    """Fetch notes, results and tags of Production, and merge the notes line by line; returns what is new, in words."""
    before = set(git("tag", "--list", f"{PRODUCTION_TAGS}*").splitlines())
    git(
        "fetch",
        "--quiet",
        remote,
        f"{RESULTS}*:{RESULTS}*",
        f"refs/tags/{PRODUCTION_TAGS}*:refs/tags/{PRODUCTION_TAGS}*",
    )
    found = []
    if git("ls-remote", remote, NOTES):
        git("fetch", "--quiet", remote, f"+{NOTES}:{_INCOMING}")
        if resolve_ref(NOTES):
            merge = ("notes", f"--ref={NOTES}", "merge", "--quiet", "--strategy=cat_sort_uniq", _INCOMING)
            git(*identity(), *merge)
        else:
            git("update-ref", NOTES, _INCOMING)
        git("update-ref", "-d", _INCOMING)
        found.append(f"notes of {remote} are merged")
    new = sorted(set(git("tag", "--list", f"{PRODUCTION_TAGS}*").splitlines()) - before)
    return [*found, *(f"new tag {name}" for name in new)] or [f"{remote} has nothing new"]


def resolve_ref(name: str) -> str:
    """The object of a reference; empty if there is none."""
    return git("for-each-ref", "--format=%(objectname)", name)
