"""The address on which a server shall listen, checked before anything starts."""

import errno
import json
import socket
import urllib.request

import click

from streamflow.core.errors import EnvironmentFault, shown

LOOPBACK = "127.0.0.1"
PORT = click.IntRange(1, 65535)
_HOSTS = f"--host {LOOPBACK} listens for this machine, 0.0.0.0 for all networks"


def require_free(host: str, port: int) -> None:
    """Check that a server can listen on a host and port. Raises EnvironmentFault."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise EnvironmentFault(f"--host {shown(host)} is no address and no name of a machine; {_HOSTS}") from error
    family, *_, address = found[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise EnvironmentFault(_refusal(error, host, port)) from error


def web_address(host: str, port: int) -> str:
    """The address as a browser takes it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _refusal(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        what = _what_answers(host, port) or error.strerror
        return f"{host}:{port} is taken ({what}); stop that server, or use --port N"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {shown(host)} is no address of this machine; {_HOSTS}"
    if error.errno == errno.EACCES:
        return f"--port {port} is allowed to root only; use a port above 1023, for example --port 8000"
    return f"{host}:{port} can't be used ({error.strerror}); {_HOSTS}"


def _what_answers(host: str, port: int) -> str | None:
    """Which model a server of this project serves on that port; None if it is another program."""
    try:
        with urllib.request.urlopen(f"{web_address(host, port)}/model", timeout=2) as answer:
            model = json.load(answer)
        return f"{model['name']} version {model['version']} is served there since {model['loaded_at'][:19]} UTC"
    except (OSError, ValueError, KeyError, TypeError):
        return None
