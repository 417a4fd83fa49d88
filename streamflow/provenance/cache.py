"""DVC's cache and remotes: objects that dvc.lock names, used only after their bytes were hashed.

A cache object is named by its MD5, and DVC trusts the name (dvc#5978). Here it is read and hashed before it is used.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamflow.core.errors import EnvironmentFault, ModelError, first_line
from streamflow.pipeline.dvc_hash import Content, file_digests, folder_manifest
from streamflow.pipeline.project import replacing

_FOLDER = ".dir"


@dataclass(frozen=True)
class Fault:
    """One cache object that is missing or damaged: its path in the cache, and the project's file with that content."""

    path: Path
    file: str
    missing: bool

    def __str__(self) -> str:
        return f"{self.path} ({self.file}) is {'missing' if self.missing else 'damaged'}"


class Cache:
    """A folder of objects named by MD5, in the layout of DVC 3: `ab/cdef…`, folders as `.dir` manifests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def object(self, md5: str) -> Path:
        """The path of an object."""
        return self.folder / md5[:2] / md5[2:]

    def faults(self, path: str, md5: str, sha256: Mapping[str, str]) -> list[Fault]:
        """Objects of an output that are missing or damaged; `sha256` is path to digest, as far as known."""
        if not md5.endswith(_FOLDER):
            return self._file_faults(md5, path, sha256)
        wrong = self._object_fault(md5, path)
        if wrong:
            return [wrong]
        listed = self.listing(md5)
        return [
            fault for name, file in listed.items() for fault in self._file_faults(file, f"{path}/{name}", sha256)
        ]  # fmt: skip

    def listing(self, md5: str) -> dict[str, str]:
        """Path within a folder to MD5. Raises ModelError if the manifest is missing or damaged."""
        if fault := self._object_fault(md5, "a folder's list"):
            raise ModelError(f"{fault}; {fix_of(fault)}")
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self.object(md5).read_bytes())}

    def restore(self, path: Path, md5: str, sha256: Mapping[str, str], name: str) -> None:
        """Copy an output to `path` and hash every copied file.

        Raises ModelError, and removes the copy, if one is wrong.
        """
        files = (
            {path / inner: file for inner, file in self.listing(md5).items()} if md5.endswith(_FOLDER) else {path: md5}
        )
        try:
            for target, file in files.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.object(file), target)
                inner = target.relative_to(path).as_posix() if target != path else ""
                found, expected = file_digests(target), sha256.get(f"{name}/{inner}".rstrip("/"))
                if found[0] != file or (expected and found[1] != expected):
                    fault = Fault(self.object(file), f"{name}/{inner}".rstrip("/"), missing=False)
                    raise ModelError(f"{fault}; {fix_of(fault)}")
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise ModelError(
                f"{name} is incomplete in {self.folder}: {error.strerror}; `streamflow fsck` shows more"
            ) from error
        except ModelError:
            shutil.rmtree(path, ignore_errors=True)
            raise

    def put(self, path: Path, content: Content) -> None:
        """Add the objects of an output that the cache does not have."""
        for name, md5 in content.files_md5.items():
            self._keep(md5, (path / name if name else path).read_bytes())
        if content.md5.endswith(_FOLDER):
            self._keep(content.md5, folder_manifest(content.files_md5))

    def damaged(self) -> Iterator[tuple[Path, str]]:
        """Every object whose bytes have another MD5 than its name, with that MD5."""
        for path in sorted(self.folder.glob("??/*")):
            expected = path.parent.name + path.name.removesuffix(_FOLDER)
            if len(expected) == 32 and path.is_file() and (found := file_digests(path)[0]) != expected:
                yield path, found

    def _keep(self, md5: str, content: bytes) -> None:
        target = self.object(md5)
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as partial:
                partial.write_bytes(content)
            target.chmod(0o444)

    def _file_faults(self, md5: str, name: str, sha256: Mapping[str, str]) -> list[Fault]:
        fault = self._object_fault(md5, name)
        if fault is None and name in sha256 and file_digests(self.object(md5))[1] != sha256[name]:
            fault = Fault(self.object(md5), name, missing=False)
        return [fault] if fault else []

    def _object_fault(self, md5: str, file: str) -> Fault | None:
        path = self.object(md5)
        if not path.is_file():
            return Fault(path, file, missing=True)
        if file_digests(path)[0] != md5.removesuffix(_FOLDER):
            return Fault(path, file, missing=False)
        return None


def fix_of(fault: Fault) -> str:
    """The command that restores an object."""
    repair = "`streamflow fsck --repair` restores it from the outputs or the remote"
    return repair if not fault.missing else f"{repair}, `streamflow repro` makes it again"


@contextmanager
def dvc_repository(config: Mapping[str, Any] | None = None, root: Path | None = None) -> Iterator[Any]:
    """DVC's Repo of a project; its log is switched off."""
    import logging

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    try:
        with Repo(str(root) if root else None, config=config) as repo:
            yield repo
    except DvcException as error:
        raise EnvironmentFault(f"DVC: {first_line(error)}; `dvc doctor` shows more") from error


def local_cache() -> Cache:
    """The project's cache, at the path in DVC's configuration."""
    with dvc_repository() as repo:
        return Cache(Path(repo.cache.local.path))


def has_remote() -> bool:
    """Whether a default remote is configured."""
    with dvc_repository() as repo:
        return bool(repo.config["core"].get("remote"))


def fetch(md5s: Iterable[str], cache: Cache) -> None:
    """Fetch objects from the default remote into the cache, folders with their files.

    An object whose bytes have another MD5 than its name is not kept. Raises EnvironmentFault if there is no remote.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    with dvc_repository() as repo:
        name = repo.config["core"].get("remote")
        if not name:
            raise EnvironmentFault(
                "no DVC remote is configured; `dvc remote add --default NAME URL`, or `streamflow repro`"
            )
        wanted = list(md5s)
        _pull(repo, [HashInfo("md5", md5) for md5 in wanted], cache, wanted)
        inner = [
            file for md5 in wanted if md5.endswith(_FOLDER) and cache.object(md5).is_file()
            for file in cache.listing(md5).values()
        ]  # fmt: skip
        _pull(repo, [HashInfo("md5", md5) for md5 in inner], cache, inner)


def _pull(repo: Any, hashes: list[Any], cache: Cache, md5s: list[str]) -> None:
    lacking = [each for each in hashes if not cache.object(each.value).is_file()]
    if not lacking:
        return
    try:
        odb = repo.cloud.get_remote_odb()
        for each in lacking:
            target = cache.object(each.value)
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
            try:
                odb.fs.get_file(odb.oid_to_path(each.value), str(partial))
                if file_digests(partial)[0] != each.value.removesuffix(_FOLDER):
                    raise ModelError(
                        f"object {each.value[:12]} of the DVC remote is damaged; `dvc push` it again from another clone"
                    )
                partial.replace(target)
                target.chmod(0o444)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise EnvironmentFault(
            f"the DVC remote lacks object {lacking[0].value[:12]} or does not answer: {error}; `dvc push` from another clone"
        ) from error
