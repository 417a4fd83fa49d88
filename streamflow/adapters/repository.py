"""git of the project: commits, tags, what the working tree has that HEAD has not, and files as a commit holds them."""

import os
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamflow.adapters.content import folder_md5
from streamflow.errors import EnvironmentFault

LOCK = Path("dvc.lock")
TAG_PREFIX = "exp/"
# Folders that Python or Hydra loads from: any file there is code.
CODE_FOLDERS = ("conf", "feature_repo", "serve", "stages", "streamflow")
_CODE_SUFFIXES = (".py", ".pyc", ".pyx", ".so", ".pth")
_SYMLINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class Changes:
    """What the working tree has that HEAD has not: tracked files with other content, and untracked code; sorted."""

    tracked: tuple[str, ...]
    untracked: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.tracked or self.untracked)

    def without(self, names: Collection[str]) -> "Changes":
        """The changes but those of some files."""
        return Changes(*(tuple(n for n in group if n not in names) for group in (self.tracked, self.untracked)))

    def describe(self) -> str:
        """One phrase that names the first few files."""
        parts = [
            f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''} {what}"
            for names, what in ((self.tracked, "changed since the commit"), (self.untracked, "in no commit"))
            if names
        ]
        return "; ".join(parts)


def git(*arguments: str, stdin: bytes | None = None, index: Path | None = None) -> str:
    """Output of a git command in the project. Raises EnvironmentFault if git is missing or refuses."""
    return git_bytes(*arguments, stdin=stdin, index=index).decode(errors="replace").strip()


def git_bytes(*arguments: str, stdin: bytes | None = None, index: Path | None = None) -> bytes:
    """Raw output of a git command in the project. Raises EnvironmentFault if git is missing or refuses."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            check=True,
            input=stdin,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", **({"GIT_INDEX_FILE": str(index)} if index else {})},
        )
    except FileNotFoundError:
        raise EnvironmentFault("git is not installed; install it and run the command again") from None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.decode(errors="replace").strip() or "no reason given").splitlines()[0]
        raise EnvironmentFault(f"git {' '.join(arguments)}: {reason}") from error
    return done.stdout


def commit() -> str:
    """The commit that is checked out. Raises EnvironmentFault where there is none."""
    return git("rev-parse", "HEAD")


def resolve(ref: str) -> str | None:
    """The commit that a tag, branch or abbreviated commit names; None if git knows none."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except EnvironmentFault:
        return None


def tags_of(commit: str) -> list[str]:
    """Tags that name a commit, newest first, those of experiments before others."""
    names = git("tag", "--points-at", commit, "--sort=-creatordate").splitlines()
    return sorted(names, key=lambda name: not name.startswith(TAG_PREFIX))


def tag_message(name: str) -> str:
    """The message of an annotated tag; empty for a plain one or none."""
    return git("tag", "--list", "--format=%(if:equals=tag)%(objecttype)%(then)%(contents)%(end)", name)


def experiment_tags() -> list[str]:
    """All tags exp/NAME, newest first."""
    return git("tag", "--list", f"{TAG_PREFIX}*", "--sort=-creatordate").splitlines()


def changes() -> Changes:
    """Compare every tracked file with HEAD by content: index flags, time stamps and staged states are not believed."""
    head = tree("HEAD")
    present = [name for name in head if Path(name).is_file() and not Path(name).is_symlink()]
    listing = "".join(f"{name}\n" for name in present).encode()
    blobs = dict(zip(present, git("hash-object", "--stdin-paths", stdin=listing).split(), strict=True))
    changed = [
        name
        for name, (mode, blob) in head.items()
        if mode not in (_SYMLINK, _SUBMODULE) and (blobs.get(name) != blob or _executable(name) != (mode == "100755"))
    ]
    return Changes(tuple(sorted(changed)), tuple(sorted(_code_in_no_commit(head))))


def patch_of(names: Iterable[str]) -> bytes:
    """A binary git patch that brings HEAD to the working tree's state of some files; the user's index is not touched."""
    wanted = sorted(names)
    if not wanted:
        return b""
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        git("read-tree", "HEAD", index=index)
        git("update-index", "--add", "--remove", "-z", "--stdin", stdin="\0".join(wanted).encode(), index=index)
        plain = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color")
        return git_bytes("diff", "--cached", *plain, "HEAD", index=index)


def tree(commit: str) -> dict[str, tuple[str, str]]:
    """Path to mode and blob of every file of a commit."""
    found = {}
    for entry in git_bytes("ls-tree", "-r", "-z", commit).decode().split("\0"):
        if entry:
            head, name = entry.split("\t", 1)
            mode, _, blob = head.split()
            found[name] = (mode, blob)
    return found


def file_at(commit: str, path: Path | str) -> bytes | None:
    """A file's content as a commit holds it; None if it is not there."""
    try:
        return git_bytes("cat-file", "blob", f"{commit}:{Path(path).as_posix()}")
    except EnvironmentFault:
        return None


def text_at(commit: str, path: Path | str) -> str:
    """A text file as a commit holds it. Raises EnvironmentFault if it is not there."""
    content = file_at(commit, path)
    if content is None:
        raise EnvironmentFault(
            f"{commit[:12]} has no {path}; name a commit of this project that `streamflow repro` ran at"
        )
    return content.decode(errors="replace")


def md5_at(commit: str, files: Mapping[str, tuple[str, str]], path: str) -> str | None:
    """The MD5 that dvc.lock would give a file or folder of a commit, whose `tree` is given; None if it is not there."""
    import hashlib

    def digest(name: str) -> str:
        return hashlib.md5(git_bytes("cat-file", "blob", files[name][1]), usedforsecurity=False).hexdigest()

    if path in files:
        return digest(path)
    inside = {name[len(path) + 1 :]: digest(name) for name in files if name.startswith(f"{path}/")}
    return folder_md5(inside) if inside else None


def annotate(name: str, commit: str, message: str) -> None:
    """Create an annotated tag. Raises EnvironmentFault if the name is taken or git lacks an identity."""
    git("tag", "--annotate", "--cleanup=verbatim", "--file=-", name, commit, stdin=message.encode())


def commit_files(names: Iterable[str], message: str) -> str:
    """Commit the working tree's state of some files and nothing else that is staged; returns the commit."""
    wanted = sorted(names)
    git("add", "--force", "--", *(name for name in wanted if Path(name).exists()))
    git("commit", "--quiet", "--message", message, "--only", "--", *wanted)
    return commit()


def _code_in_no_commit(head: Collection[str]) -> set[str]:
    # Only the project's own .gitignore files are believed: a private exclude must not hide code.
    others = git_bytes("ls-files", "-z", "--others", "--cached", "--exclude-per-directory=.gitignore").decode()
    found = {name for name in others.split("\0") if name.endswith(_CODE_SUFFIXES) or name.startswith(_code_prefixes())}
    places = [Path(), *(Path(folder) for folder in CODE_FOLDERS)]
    for place in places:
        candidates = place.glob("*") if place == Path() else place.rglob("*")
        found |= {path.as_posix() for path in candidates if path.suffix in _CODE_SUFFIXES}
    return {n for n in found if n not in head and "__pycache__" not in Path(n).parts and Path(n).is_file()}


def _code_prefixes() -> tuple[str, ...]:
    return tuple(f"{folder}/" for folder in CODE_FOLDERS)


def _executable(name: str) -> bool:
    return os.access(name, os.X_OK)
