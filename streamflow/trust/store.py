"""Where the envelopes are kept in git: notes on the commit of a model, and one annotated tag for each move of Production.

`git push` and `git fetch` carry both, if they are told: see `streamflow attest push` and `pull`.
"""

import fcntl
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streamflow.core.errors import EnvironmentFault, ModelError
from streamflow.pipeline.layout import RECEIPTS
from streamflow.pipeline.project import state_dir
from streamflow.provenance.git import PRODUCTION_TAGS as TAG
from streamflow.provenance.git import file_at, git, resolve
from streamflow.trust.chain import SignedMove

NOTES = "refs/notes/streamflow"
_NOBODY = ("-c", "user.name=streamflow", "-c", "user.email=streamflow@localhost")


def notes_of(commit: str) -> list[str]:
    """The envelopes on a commit, one line each; none if there is no note or no such commit."""
    try:
        text = git("notes", f"--ref={NOTES}", "show", commit)
    except EnvironmentFault:
        return []
    return [line for line in text.splitlines() if line.startswith("{")]


def add_notes(commit: str, envelopes: Iterable[str]) -> None:
    """Add envelopes to those on a commit; one that is there already is not added again."""
    with _alone():
        known = notes_of(commit)
        if wanted := [line for line in envelopes if line not in known]:
            text = "\n".join([*known, *wanted]) + "\n"
            git(*identity(), "notes", f"--ref={NOTES}", "add", "--force", "--file=-", commit, stdin=text.encode())


def moves_in_git() -> list[str]:
    """The envelopes of the tags production/1, production/2, …, in order; a tag without one gives its name."""
    listed = git("tag", "--list", f"{TAG}*", "--format=%(refname:lstrip=2)%09%(contents)%00").split("\0")
    found = {}
    for entry in listed:
        name, _, message = entry.strip().partition("\t")
        number = name.removeprefix(TAG)
        if number.isdigit():
            found[int(number)] = next((line for line in message.splitlines() if line.startswith("{")), name)
    return [found[number] for number in sorted(found)]


def tag_moves(moves: Iterable[SignedMove]) -> list[str]:
    """Tag moves that have no tag yet; returns the new tags. A move whose commit is not here is left out."""
    made = []
    for each in moves:
        name = f"{TAG}{each.move.number}"
        commit = resolve(each.move.commit or "HEAD")
        if resolve(f"refs/tags/{name}") is None and commit is not None:
            words = f"{each.move.action} of version {each.move.to_version}: {' '.join(each.move.why.split())}"
            message = f"{words}\n\n{each.signed.line}\n"
            options = ("--annotate", "--no-sign", "--cleanup=verbatim", "--file=-")
            git(*identity(), "tag", *options, name, commit, stdin=message.encode())
            made.append(name)
    return made


def receipts_at(commit: str) -> Mapping[str, str] | None:
    """Path to SHA-256 of the files that the stages of a commit wrote; None if the commit is not in this repository."""
    if not commit or resolve(commit) is None:
        return None
    found: dict[str, str] = {}
    for name in git("ls-tree", "--name-only", commit, f"{RECEIPTS}/").splitlines():
        try:
            content: dict[str, Any] = json.loads(file_at(commit, name) or b"{}")
            found |= {str(path): str(digest) for path, digest in content["files"].items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise ModelError(
                f"{name} of commit {commit[:12]} is damaged; `git fsck`, or fetch the commit again"
            ) from error
    return found


def identity() -> tuple[str, ...]:
    """Options that name a committer if git knows none: in a fresh clone nobody may be configured yet."""
    try:
        git("var", "GIT_COMMITTER_IDENT")
    except EnvironmentFault:
        return _NOBODY
    return ()


@contextmanager
def _alone() -> Iterator[None]:
    with (state_dir() / "notes.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
