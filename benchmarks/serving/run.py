"""The load benchmark: a laboratory's server (A), the best by hand (B) and the project's graphs (C, D, E).

All use one store and one model. Servers run one after another, in interleaved rounds, so that a slow minute of the machine
meets them all; what counts are medians and the relations between servers of the same run. Needs `make repro` and wrk.

    python -m benchmarks.serving.run                         everything: three rounds, about 15 minutes
    python -m benchmarks.serving.run --servers B,D --connections 1,32 --seconds 5 --rounds 1
    python -m benchmarks.serving.run --json result.json
    python -m benchmarks.serving.run --command "C=python -m streamflow.cli.main serve --port {port}"
"""

import argparse
import json
import shlex
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq

from benchmarks.serving.machine import about
from benchmarks.serving.report import line, record, report
from benchmarks.serving.servers import SERVERS, Server, changed, running
from benchmarks.serving.targets import Loads
from benchmarks.serving.wrk import loaded, require_wrk
from streamflow.core.errors import EnvironmentFault
from streamflow.core.schema import ENTITY_KEY
from streamflow.pipeline.project import snapshot_pattern
from streamflow.pipeline.reporting import one_line_errors
from streamflow.postgres.server import database
from streamflow.registry.registry import PRODUCTION, open_registry

CONNECTIONS = (1, 8, 32, 128)
WARM_UP_CONNECTIONS = 8
COMPARED_USERS = 50
TOLERANCE = 1e-5
Body = dict[str, Any]


def main() -> None:
    """Measure what the command line names, print the table and the relations, write the JSON."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave by way of the blocks that end the servers
    with one_line_errors("benchmark"), tempfile.TemporaryDirectory() as scratch, database() as url:
        servers = [changed(options.command)[name] for name in options.servers]
        machine = {
            **about(url),
            "wrk": require_wrk(),
            "command": shlex.join(["python", "-m", __spec__.name, *sys.argv[1:]]),
        }
        print("\n".join(f"{name:<10} {value}" for name, value in machine.items()))
        users = existing_users(url)
        (Path(scratch) / "users").write_text("\n".join(users) + "\n")
        loads, bodies = measured(servers, users, Path(scratch), options)
        report(loads)
        print(f"\n{agreement(bodies)}")
        if options.json:
            options.json.write_text(json.dumps(record(machine, servers, loads, options.seconds), indent=2) + "\n")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=names, default=tuple(SERVERS), help="e.g. B,D; default: all")
    parser.add_argument("--connections", type=counts, help="e.g. 1,32; default: 1,8,32,128, and 128 alone for E")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement (10)")
    parser.add_argument("--warm-up", type=int, default=3, help="seconds before the first measurement of a server (3)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds over all servers (3)")
    parser.add_argument("--command", action="append", default=[], metavar="NAME=COMMAND", help="another command line")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every round")
    return parser.parse_args()


def names(text: str) -> tuple[str, ...]:
    """Server names from A,B,…; ValueError if one is none."""
    chosen = tuple(text.split(","))
    if set(chosen) - set(SERVERS):
        raise ValueError
    return chosen


def counts(text: str) -> tuple[int, ...]:
    """Connection counts from 1,8,…"""
    return tuple(int(each) for each in text.split(","))


def existing_users(url: str) -> list[str]:
    """The users of the snapshot that the Production model was made of. Raises EnvironmentFault if there is none."""
    registry = open_registry(url)
    as_of = registry.version(PRODUCTION).tags["streamflow.as_of"]
    path = Path(snapshot_pattern("users").replace("*", as_of))
    if not path.is_file():
        raise EnvironmentFault(f"data/snapshots/{as_of} is missing; run `make repro`")
    return list(pq.read_table(path, columns=[ENTITY_KEY])[ENTITY_KEY].to_pylist())


def measured(
    servers: list[Server], users: list[str], scratch: Path, options: argparse.Namespace
) -> tuple[Loads, dict[str, list[Body]]]:
    """Every server in every round, and what each server answered for the first users."""
    loads: Loads = defaultdict(list)
    bodies: dict[str, list[Body]] = {}
    for number in range(1, options.rounds + 1):
        for server in servers:
            with running(server, users[0], scratch / f"{server.name}.log") as url:
                bodies[server.name] = answers(server, url, users[:COMPARED_USERS])
                loaded(url, scratch / "users", WARM_UP_CONNECTIONS, options.warm_up)
                for connections in options.connections or server.only or CONNECTIONS:
                    load = loaded(url, scratch / "users", connections, options.seconds)
                    loads[server.name, connections].append(load)
                    print(f"round {number}  {server.name}  {line(load)}", flush=True)
    return loads, bodies


def answers(server: Server, url: str, users: list[str]) -> list[Body]:
    """The answer for each user. Raises EnvironmentFault unless a user whom nobody knows gets a 404."""
    with httpx.Client(base_url=url, timeout=20) as client:
        unknown = client.post("/predict", json={"user_id": "nobody has this id"}).status_code
        if unknown != 404:
            raise EnvironmentFault(f"{server.name} answers {unknown} for an unknown user, not 404: no fair comparison")
        return [client.post("/predict", json={"user_id": user}).json() for user in users]


def agreement(bodies: dict[str, list[Body]]) -> str:
    """Whether the servers gave the same answers: probabilities by number; other fields where a server has them all."""
    differing = set()
    for answered in zip(*bodies.values(), strict=True):
        probabilities = [body["probability"] for body in answered]
        if max(probabilities) - min(probabilities) > TOLERANCE:
            differing.add("probability")
        full = [body for body in answered if "features_used" in body]  # A leaves out what a laboratory would
        for name in {name for body in full for name in body} - {"probability"}:
            if any(body.get(name) != full[0].get(name) for body in full):
                differing.add(name)
    who = f"{', '.join(bodies)} for {COMPARED_USERS} users"
    return (
        f"NO FAIR COMPARISON: {', '.join(sorted(differing))} differ among {who}"
        if differing
        else f"same answers: {who}"
    )


if __name__ == "__main__":
    main()
