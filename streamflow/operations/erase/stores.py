"""The places that hold DVC's objects: this machine's cache, and the remotes of the project."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from streamflow.core.errors import EnvironmentFault, first_line
from streamflow.provenance.cache import dvc_repository, local_cache

_FOLDER = ".dir"
_MD5_DIGITS = 32


class Store(Protocol):
    """A place with objects named by MD5."""

    name: str

    def objects(self) -> list[str]:
        """The MD5 of every object, sorted."""

    def read(self, md5: str) -> bytes:
        """The bytes of an object."""

    def put(self, md5: str, content: bytes) -> None:
        """Add an object, unless it is there."""

    def remove(self, md5: str) -> None:
        """Remove an object, if it is there."""


class CacheStore:
    """The cache of this clone."""

    def __init__(self, folder: Path) -> None:
        self.name, self._folder = "DVC's cache", folder

    def objects(self) -> list[str]:
        """The MD5 of every object, sorted."""
        return sorted(md5 for path in self._folder.glob("??/*") if (md5 := _md5_of(path.parent.name, path.name)))

    def read(self, md5: str) -> bytes:
        """The bytes of an object."""
        return self._path(md5).read_bytes()

    def put(self, md5: str, content: bytes) -> None:
        """Add an object, unless it is there."""
        path = self._path(md5)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.partial")
            partial.write_bytes(content)
            partial.chmod(0o444)
            partial.replace(path)

    def remove(self, md5: str) -> None:
        """Remove an object, if it is there."""
        self._path(md5).unlink(missing_ok=True)

    def _path(self, md5: str) -> Path:
        return self._folder / md5[:2] / md5[2:]


class RemoteStore:
    """A remote of the project, through DVC's own file systems."""

    def __init__(self, name: str, odb: Any) -> None:
        self.name, self._odb = f"the DVC remote {name}", odb

    def objects(self) -> list[str]:
        """The MD5 of every object, sorted."""
        with self._errors():
            if not self._odb.fs.exists(self._odb.path):
                return []
            parts = [str(path).replace("\\", "/").rsplit("/", 2)[-2:] for path in self._odb.fs.find(self._odb.path)]
        return sorted(md5 for pair in parts if len(pair) == 2 and (md5 := _md5_of(*pair)))

    def read(self, md5: str) -> bytes:
        """The bytes of an object."""
        with self._errors(), self._odb.fs.open(self._odb.oid_to_path(md5), "rb") as file:
            content: bytes = file.read()
        return content

    def put(self, md5: str, content: bytes) -> None:
        """Add an object, unless it is there."""
        path = self._odb.oid_to_path(md5)
        with self._errors():
            if not self._odb.fs.exists(path):
                self._odb.fs.makedirs(self._odb.fs.parent(path), exist_ok=True)
                partial = f"{path}.partial"
                with self._odb.fs.open(partial, "wb") as file:
                    file.write(content)
                self._odb.fs.move(partial, path)

    def remove(self, md5: str) -> None:
        """Remove an object, if it is there."""
        with self._errors(), suppress(FileNotFoundError):
            self._odb.fs.remove(self._odb.oid_to_path(md5))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EnvironmentFault(
                f"{self.name} does not answer: {first_line(error)}; then `streamflow erase` goes on"
            ) from error


@contextmanager
def stores() -> Iterator[list[Store]]:
    """The cache first, then every remote that DVC's configuration names."""
    cache = local_cache().folder
    with dvc_repository() as repo:
        remotes = [RemoteStore(name, repo.cloud.get_remote_odb(name)) for name in sorted(repo.config["remote"])]
        yield [CacheStore(cache), *remotes]


def _md5_of(prefix: str, rest: str) -> str:
    name = prefix + rest
    digits = name.removesuffix(_FOLDER)
    return name if len(digits) == _MD5_DIGITS and all(each in "0123456789abcdef" for each in digits) else ""
