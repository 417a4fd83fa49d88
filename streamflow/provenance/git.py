"""git of the project: commits, tags, differences between the working tree and HEAD, and files of a commit."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from streamflow.core.errors import EnvironmentFault, first_line
from streamflow.pipeline.dvc_hash import folder_md5

TAG_PREFIX = "exp/"
PRODUCTION_TAGS = "production/"
RESULTS = "refs/streamflow/results/"
"""References to the commits that hold the results of runs, beside the user's branches."""
# Folders that Python or Hydra loads from: any file there is code.
CODE_FOLDERS = ("conf", "feature_repo", "serve", "stages", "streamflow")
_CODE_SUFFIXES = (".py", ".pyc", ".pyx", ".so", ".pth")
_NO_CODE = ("__pycache__", "data", "node_modules", "var")
_SYMLINK, _SUBMODULE = "120000", "160000"
_COMMIT_ALL = "`git add --all && git commit -m start`"
_PLAIN = {
    "not a git repository": "{folder} is in no git repository, and every model is tied to a commit; use a clone (`git"
    f" clone`), or make one here: `git init && {_COMMIT_ALL[1:]}",
    "Not a valid object name HEAD": f"{{folder}} has no commit yet, and every model is tied to one; {_COMMIT_ALL}",
    "ambiguous argument 'HEAD'": f"{{folder}} has no commit yet, and every model is tied to one; {_COMMIT_ALL}",
    "dubious ownership": "the repository in {folder} is another user's, so git refuses it; `git config --global --add"
    " safe.directory {folder}`",
    "identity unknown": "git does not know who commits; `git config user.name NAME && git config user.email MAIL`",
}
"""What git says of common mistakes, in plain words."""


@dataclass(frozen=True)
class Changes:
    """Differences between the working tree and HEAD: tracked files with other content, and untracked code; sorted."""

    tracked: tuple[str, ...]
    untracked: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.tracked or self.untracked)

    def without(self, names: Collection[str]) -> "Changes":
        """The changes without those of some files."""
        return Changes(*(tuple(n for n in group if n not in names) for group in (self.tracked, self.untracked)))

    def describe(self) -> str:
        """One phrase that names the first few files."""
        parts = [
            f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''} {what}"
            for names, what in ((self.tracked, "changed since the commit"), (self.untracked, "not committed"))
            if names
        ]
        return "; ".join(parts)


def git(
    *arguments: str, stdin: bytes | None = None, index: Path | None = None, more: Mapping[str, str] | None = None
) -> str:
    """Output of a git command in the project; `more` are environment variables.

    Raises EnvironmentFault if git is missing or fails.
    """
    return git_bytes(*arguments, stdin=stdin, index=index, more=more).decode(errors="replace").strip()


def without_git_variables() -> dict[str, str]:
    """The environment without GIT_DIR and the like, which a git hook sets and which name another repository.

    `git replace` shows one object under the id of another; no question of the project is answered in that way.
    """
    kept = {"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL",
            "GIT_COMMITTER_DATE", "GIT_SSH_COMMAND", "GIT_ASKPASS"}  # fmt: skip
    mine = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in kept}
    return {**mine, "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_REPLACE_OBJECTS": "1"}


def git_bytes(
    *arguments: str, stdin: bytes | None = None, index: Path | None = None, more: Mapping[str, str] | None = None
) -> bytes:
    """Raw output of a git command in the project. Raises EnvironmentFault if git is missing or fails."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            check=True,
            input=stdin,
            env={**without_git_variables(), **({"GIT_INDEX_FILE": str(index)} if index else {}), **(more or {})},
        )
    except FileNotFoundError:
        raise EnvironmentFault("git is not installed; install it and run the command again") from None
    except subprocess.CalledProcessError as error:
        reason = first_line(error.stderr.decode(errors="replace"), "no reason given")
        known = next((text for words, text in _PLAIN.items() if words in reason), None)
        plain = known.format(folder=Path.cwd()) if known else f"git {' '.join(arguments)}: {reason}"
        raise EnvironmentFault(plain) from error
    return done.stdout


def commit() -> str:
    """The commit that is checked out. Raises EnvironmentFault if there is none."""
    return git("rev-parse", "HEAD")


def resolve(ref: str) -> str | None:
    """The commit of a tag, branch or abbreviated commit; None if there is none."""
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    except EnvironmentFault:
        return None


def digest_set(commit: str) -> dict[str, str]:
    """A commit as in-toto names it: its id, and that of its files, which another commit may have too."""
    return {"gitCommit": commit, "gitTree": git("rev-parse", f"{commit}^{{tree}}")}


def tags_of(commit: str) -> list[str]:
    """Tags of a commit, newest first, those of experiments before others."""
    names = git("tag", "--points-at", commit, "--sort=-creatordate").splitlines()
    named = [name for name in names if not name.startswith(PRODUCTION_TAGS)]
    return sorted(named, key=lambda name: not name.startswith(TAG_PREFIX))


def tag_message(name: str) -> str:
    """The message of an annotated tag; empty for a plain one or none."""
    return git("tag", "--list", "--format=%(if:equals=tag)%(objecttype)%(then)%(contents)%(end)", name)


def experiment_tags() -> list[str]:
    """All tags exp/NAME, newest first."""
    return git("tag", "--list", f"{TAG_PREFIX}*", "--sort=-creatordate").splitlines()


def changes() -> Changes:
    """Compare every tracked file with HEAD by content; index flags, time stamps and staged states are ignored."""
    head = tree("HEAD")
    modes_count = git("config", "--default", "true", "--get", "core.fileMode") != "false"
    changed = [
        name
        for name, (mode, blob) in head.items()
        if mode != _SUBMODULE and differs(Path(name), mode, blob, modes_count)
    ]
    return Changes(tuple(sorted(changed)), tuple(sorted(_code_in_no_commit(head))))


def differing_files(commit: str, folder: str) -> list[str]:
    """Files at or below a path that differ between the working tree and a commit, or that only one of them has; sorted."""
    held = {name: entry for name, entry in tree(commit).items() if name == folder or name.startswith(f"{folder}/")}
    here = {path.as_posix() for path in Path(folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    changed = {name for name, (mode, blob) in held.items() if differs(Path(name), mode, blob, modes_count=False)}
    return sorted(changed | (here - set(held)))


def patch_of(names: Iterable[str]) -> bytes:
    """A binary git patch from HEAD to the working tree's state of some files; the user's index is not changed."""
    wanted = sorted(names)
    if not wanted:
        return b""
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        git("read-tree", "HEAD", index=index)
        git("update-index", "--add", "--remove", "-z", "--stdin", stdin=os.fsencode("\0".join(wanted)), index=index)
        # Plumbing: it ignores the user's settings for `git diff`.
        plain = ("--patch", "--binary", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "--no-renames")
        return git_bytes("diff-index", "--cached", *plain, "HEAD", index=index)


def tree(commit: str) -> dict[str, tuple[str, str]]:
    """Path to mode and blob of every file of a commit."""
    return listed_tree(git_bytes("ls-tree", "-r", "-z", commit))


def listed_tree(listing: bytes) -> dict[str, tuple[str, str]]:
    """Path to mode and blob, from the output of `git ls-tree -r -z`."""
    found = {}
    for entry in os.fsdecode(listing).split("\0"):
        if entry:
            head, name = entry.split("\t", 1)
            mode, _, blob = head.split()
            found[name] = (mode, blob)
    return found


def file_at(commit: str, path: Path | str) -> bytes | None:
    """A file's content in a commit; None if it is not there."""
    try:
        return git_bytes("cat-file", "blob", f"{commit}:{Path(path).as_posix()}")
    except EnvironmentFault:
        return None


def text_at(commit: str, path: Path | str) -> str:
    """A text file of a commit. Raises EnvironmentFault if it is not there."""
    content = file_at(commit, path)
    if content is None:
        raise EnvironmentFault(
            f"{commit[:12]} has no {path}; name a commit of this project that `streamflow repro` ran at"
        )
    return content.decode(errors="replace")


def md5_at(
    commit: str, files: Mapping[str, tuple[str, str]], path: str, made: Mapping[str, str] | None = None
) -> str | None:
    """The MD5 that DVC gives a file or folder of a commit, whose `tree` is given; None if it is not there.

    `made` is path to MD5 of files that stages made: those in the folder count, though they are not in git.
    """

    def digest(name: str) -> str:
        return hashlib.md5(git_bytes("cat-file", "blob", files[name][1]), usedforsecurity=False).hexdigest()

    if path in files:
        return digest(path)
    inside = {name[len(path) + 1 :]: digest(name) for name in files if name.startswith(f"{path}/")}
    inside |= {name[len(path) + 1 :]: md5 for name, md5 in (made or {}).items() if name.startswith(f"{path}/")}
    return folder_md5(inside) if inside else None


def annotate(name: str, commit: str, message: str) -> None:
    """Create an annotated tag. Raises EnvironmentFault if the tag exists or git has no user.name."""
    git("tag", "--annotate", "--cleanup=verbatim", "--file=-", name, commit, stdin=message.encode())


def result_commit(names: Iterable[str]) -> str:
    """A commit of HEAD with some files as they are now: HEAD itself if none differs. Branches and index don't change.

    The same files on the same HEAD give the same commit, on any machine: its date is HEAD's and its author streamflow.
    A reference under refs/streamflow/results keeps it.
    """
    wanted = sorted(names)
    if not wanted:
        return commit()
    head = commit()
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        git("read-tree", head, index=index)
        for name in wanted:
            if Path(name).is_file():
                blob = git("hash-object", "-w", "--no-filters", "--stdin", stdin=Path(name).read_bytes())
                mode = "100755" if os.access(name, os.X_OK) else "100644"
                git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{name}", index=index)
            else:
                git("update-index", "--force-remove", "--", name, index=index)
        files = git("write-tree", index=index)
    dated = git("show", "--no-patch", "--format=%cI", head)
    author = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
              for what, value in (("NAME", "streamflow"), ("EMAIL", "streamflow@localhost"), ("DATE", dated))}  # fmt: skip
    made = git("commit-tree", "--no-gpg-sign", "-p", head, "-m", "Result of a run", files, more=author)
    git("update-ref", f"{RESULTS}{made[:16]}", made)
    return made


def commit_files(names: Iterable[str], message: str) -> str:
    """Commit some files of the working tree, and nothing else that is staged; returns the commit."""
    wanted = sorted(names)
    git("add", "--force", "--", *(name for name in wanted if Path(name).exists()))
    git("commit", "--quiet", "--message", message, "--only", "--", *wanted)
    return commit()


def differs(path: Path, mode: str, blob: str, modes_count: bool) -> bool:
    """Whether a file is not the one that a commit's tree names, by its bytes and, if `modes_count`, its executable bit."""
    if mode == _SYMLINK:
        return not path.is_symlink() or _blob(os.fsencode(path.readlink())) != blob
    if path.is_symlink() or not path.is_file():
        return True
    return _blob(path.read_bytes()) != blob or (modes_count and os.access(path, os.X_OK) != (mode == "100755"))


def _blob(content: bytes) -> str:
    """The blob id that git gives a content, without filters: private attributes must not hide an edit."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _code_in_no_commit(head: Collection[str]) -> set[str]:
    """Files that Python could load from the project: the folders are walked, because git's excludes can hide them."""
    found = set()
    for folder, inner, names in os.walk(".", followlinks=True):
        # Python can't import from a hidden folder; another environment is no code of the project.
        inner[:] = [name for name in inner if not name.startswith(".") and name not in _NO_CODE
                    and not Path(folder, name, "pyvenv.cfg").exists()]  # fmt: skip
        relative = Path(folder).relative_to(".")
        in_code_folder = bool(relative.parts) and relative.parts[0] in CODE_FOLDERS
        for name in names:
            if name.endswith(_CODE_SUFFIXES) or (in_code_folder and not name.endswith(".partial")):
                found.add((relative / name).as_posix())
    return found - set(head)
