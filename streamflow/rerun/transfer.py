"""A commit brought into an empty folder by a git that computes every object id anew and has no settings but these.

The project's git is not believed: replace refs, forged objects, filters, attributes, hooks and index flags can show other
bytes than those of the commit. Ids of the commit, its trees and its files are SHA-1 of their content; each is computed here.
"""

import os
import shutil
import subprocess
from pathlib import Path

from streamflow.core.errors import EnvironmentFault
from streamflow.provenance.git import differs, listed_tree

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SUBMODULE = "160000"
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "protocol.version=2",  # gives any commit by its id, not only what a branch has
    "protocol.file.allow=always",
    "fetch.fsckObjects=true",
    "gc.auto=0",
    "safe.directory=*",  # the project may be another user's; its settings decide about no byte
)
_VARIABLES = {
    "PATH": SYSTEM_PATH,
    "HOME": "/dev/null",
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
# fetch hides -c and GIT_NO_REPLACE_OBJECTS from the other side, so they are said again.
_OTHER_SIDE = "env GIT_NO_REPLACE_OBJECTS=1 {git} -c safe.directory='*' upload-pack"


def take_commit(root: Path, commit: str, folder: Path) -> None:
    """Check a commit of the repository at `root` out into the empty `folder`, and compare every byte with its ids."""
    isolated_git(folder, "init", "--quiet", "--template=")
    other_side = f"--upload-pack={_OTHER_SIDE.format(git=_program())}"
    alone = ("--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
    isolated_git(folder, "fetch", "--quiet", *alone, other_side, root.as_uri(), commit)
    isolated_git(folder, "checkout", "--quiet", "--detach", commit, "--")
    if wrong := _differences(folder, commit):
        raise EnvironmentFault(
            f"{wrong[0]} of commit {commit[:12]} differs from its blob after the checkout ({len(wrong)} files do):"
            " an attribute of the commit changes bytes; remove it from .gitattributes and commit"
        )


def isolated_git(folder: Path, *arguments: str, stdin: bytes | None = None) -> bytes:
    """Output of git in a checkout, without any settings of the user, the machine or the project."""
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    done = subprocess.run(
        [_program(), "-C", str(folder), *settings, *arguments],
        input=stdin,
        capture_output=True,
        env=_VARIABLES,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip() or "no reason given").splitlines()[-1]
        raise EnvironmentFault(f"git {arguments[0]} for the rerun: {reason}; `git fsck`, or fetch the commit")
    return done.stdout


def _differences(folder: Path, commit: str) -> list[str]:
    """Files of the checkout that are not those of the commit, sorted; the commit itself if HEAD is another."""
    if isolated_git(folder, "rev-parse", "HEAD").decode().strip() != commit:
        return ["HEAD"]
    held = listed_tree(isolated_git(folder, "ls-tree", "-r", "-z", commit))
    held = {name: entry for name, entry in held.items() if entry[0] != _SUBMODULE}
    changed = {name for name, (mode, blob) in held.items() if differs(folder / name, mode, blob, modes_count=True)}
    return sorted(changed | (_files(folder) - set(held)))


def _files(folder: Path) -> set[str]:
    """Every file below a checkout but git's own; a link to a folder is a file."""
    found = set()
    for place, inner, names in os.walk(folder):
        if Path(place) == folder:
            inner.remove(".git")
        links = [name for name in inner if Path(place, name).is_symlink()]
        found |= {Path(place, name).relative_to(folder).as_posix() for name in (*names, *links)}
    return found


def _program() -> str:
    """The git of the system; one that lies elsewhere only if the system has none."""
    found = shutil.which("git", path=SYSTEM_PATH) or shutil.which("git")
    if found is None:
        raise EnvironmentFault("git is not installed; install it and run the command again")
    return found
