"""Serving loses its database, its registry, its parts and itself, under load: what fails, for how long, what is left over.

python -m drills.serving_faults [WORD]...     only the parts named: store graph split registry ends port
"""

import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
from http_server import free_port
from project import Project, small

from drills.load import Answer, Load
from drills.served import (
    SERVICE,
    Scores,
    Server,
    left_behind,
    load_average,
    offline_scores,
    registry_of,
    report,
    wait_for,
)
from streamflow.core.schema import views_of
from streamflow.online.tables import online_table
from streamflow.postgres.server import database

BACK = 5.0
GONE = 20.0
FUSED = ("graph=fused", "replicas=2")
SPLIT = ("graph=split", "replicas=2", "gateways=2")


class Scene:
    """A server under load, and what became of the requests around a fault."""

    def __init__(self, server: Server, load: Load, scores: Scores) -> None:
        self.server, self.load, self._scores = server, load, scores
        self.project = server.project

    def calm(self) -> None:
        """Wait until two seconds went without a failure, so that one fault is not blamed on another."""

        def quiet() -> bool:
            recent = self.load.between(time.monotonic() - 2)
            return len(recent) > 200 and all(each.status == 200 for each in recent)

        wait_for(quiet, 60, "no two seconds without a failure", self.server.said)

    def failed_since(self, moment: float) -> list[Answer]:
        """What was sent since and not answered with 200."""
        return sorted(self.load.failed(moment), key=lambda each: each.sent)

    def wrong(self) -> int:
        """Answers with a probability that is not the offline one."""
        good = [each for each in self.load.answers if each.status == 200]
        return sum(self._scores[str(each.version)][each.user_id] != each.probability for each in good)

    def replicas(self) -> set[int]:
        """Process ids of the replicas."""
        return {each.pid for each in self.server.processes("ServeReplica")}


@contextmanager
def under_load(project: Project, scores: Scores, *arguments: str) -> Iterator[Scene]:
    """A server with 200 requests/s on it."""
    with Server(project, *arguments) as server, Load(server.port, sorted(scores["1"])) as load:
        scene = Scene(server, load, scores)
        scene.calm()
        yield scene


def kinds(answers: list[Answer]) -> str:
    """Statuses and reasons, counted."""
    counted: dict[str, int] = {}
    for each in answers:
        reason = f"{each.status} {str(each.error)[-60:]}" if each.status else str(each.error)
        counted[reason] = counted.get(reason, 0) + 1
    return "; ".join(f"{count} x {reason}" for reason, count in counted.items()) or "none"


def postmaster(project: Project) -> psutil.Process:
    """The embedded server of a project."""
    return psutil.Process(int((project.path / "var/postgres/postmaster.pid").read_text().split()[0]))


@contextmanager
def stopped(project: Project) -> Iterator[None]:
    """The embedded server shut down at once, as a crash would, and started again by hand."""
    process = postmaster(project)
    process.send_signal(signal.SIGQUIT)
    yield
    project.streamflow("db", "start")


@contextmanager
def frozen(project: Project) -> Iterator[None]:
    """The embedded server not answering, its sockets open."""
    server = postmaster(project)
    processes = [server, *server.children(recursive=True)]
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in processes:
            each.resume()


def survives_outage(scene: Scene, name: str, outage: Callable, reason: tuple[str, ...], seconds: float = 10) -> bool:
    """The database away for some seconds: 503 with the reason, good answers soon after it is back."""
    scene.calm()
    before, started = scene.replicas(), time.monotonic()
    with outage(scene.project):
        time.sleep(seconds)
        ready = scene.server.client.get("/ready")
    back = time.monotonic()
    scene.calm()
    failed = scene.failed_since(started)
    late = max((each.done - back for each in failed), default=0.0)
    longest = max(each.done - each.sent for each in failed)
    explained = all(each.status == 503 and any(word in str(each.error) for word in reason) for each in failed)
    waited = wait_for(lambda: scene.server.model()["not_served"] is None, 15, "the registry is not asked again")
    same = scene.replicas() == before
    return report(
        bool(failed) and explained and late <= BACK and same and ready.status_code == 503 and not scene.load.not_sent,
        name,
        f"{len(failed)} answers without a prediction ({kinds(failed)}), none after {late:.1f} s, longest"
        f" {longest:.1f} s; registry asked again after {waited:.1f} s; {'same' if same else 'OTHER'} processes",
    )


def execute(project: Project, *statements: str) -> None:
    """Run statements as the database's owner."""
    with database(project.path / "var") as url:
        connection = psycopg2.connect(url)
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()


def survives_ended_backends(scene: Scene) -> bool:
    """All of serving's backends are ended three times."""
    scene.calm()
    started = time.monotonic()
    for _ in range(3):
        execute(
            scene.project,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'streamflow serving'",
        )
        time.sleep(1)
    failed = scene.failed_since(started)
    return report(not failed, "all backends of serving ended, 3 times", f"{len(failed)} failed ({kinds(failed)})")


def survives_bad_queries(scene: Scene) -> bool:
    """A table is away three times for a moment, so that statements fail; then ids that no store should meet."""
    scene.calm()
    started = time.monotonic()
    view = online_table(next(iter(views_of(SERVICE))))
    for _ in range(3):
        execute(scene.project, f"ALTER TABLE {view.qualified} RENAME TO away")
        time.sleep(0.5)
        execute(scene.project, f"ALTER TABLE {view.schema}.away RENAME TO {view.name}")
        time.sleep(0.5)
    back = time.monotonic()
    time.sleep(1)
    failed = scene.failed_since(started)
    explained = all(each.status == 503 and "the online store" in str(each.error) for each in failed)
    late = [each for each in failed if each.sent > back]
    strange = [
        "'; DROP TABLE feast.users; --",
        "%s",
        "a" * 64,
        "ü" * 64,
        "\u2028",
        "\U0001f600",
        "nul \x00",
        "\ud800",
        "",
    ]
    statuses = [
        scene.server.client.post("/predict", content=b'{"user_id": %b}' % ascii_json(each)).status_code
        for each in strange
    ]
    held = bool(failed) and explained and not late and set(statuses) <= {404, 422}
    figures = f"{len(failed)} answers ({kinds(failed)}), {len(late)} after the last; odd ids answered with {statuses}"
    return report(held, "a table away 3 times, ids that are none", figures)


def ascii_json(text: str) -> bytes:
    """A JSON string with escapes, lone surrogates too."""
    import json

    return json.dumps(text).encode()


def survives_kill(
    scene: Scene, word: str, name: str, *, gap: float, back: float, only_in_flight: bool = False, none: bool = False
) -> bool:
    """kill -9 of one process: how many requests fail, for how long nobody answers, and when failures end."""
    time.sleep(5)  # a part that was started again has work to do before it looks after the others
    scene.calm()
    victims = scene.server.processes(word)
    before = {each.pid for each in victims}
    victim = max(victims, key=lambda each: each.create_time())
    killed = time.monotonic()
    victim.kill()
    wait_for(lambda: scene.load.between(killed + 1), 60, "no request was answered")
    time.sleep(1)
    scene.calm()
    ended = time.monotonic()
    failed = scene.failed_since(killed - 2)
    silence = scene.load.longest_gap(killed - 0.2, ended)
    last = max((each.sent - killed for each in failed), default=0.0)
    longest = max(each.done - each.sent for each in scene.load.between(killed - 1, ended - 1))
    wait_for(lambda: {each.pid for each in scene.server.processes(word)} - before, 60, "not replaced")
    replaced = time.monotonic() - killed
    later = [each for each in failed if each.sent > killed + 0.02]
    held = silence <= gap and last <= back and not (only_in_flight and later) and not (none and failed)
    return report(
        held,
        name,
        f"{len(failed)} failed ({kinds(failed)}), the last sent {last:.2f} s after; no good answer for {silence:.2f} s;"
        f" longest wait {longest:.1f} s; replaced within {replaced:.0f} s",
    )


def store(project: Project, scores: Scores) -> list[bool]:
    """(a), (b): the database."""
    try:
        with under_load(project, scores, *FUSED) as scene:
            held = [
                survives_outage(scene, "Postgres stopped for 10 s", stopped, ("the online store",)),
                survives_outage(scene, "Postgres frozen for 20 s", frozen, ("the online store", "overloaded"), 20),
                survives_ended_backends(scene),
                survives_bad_queries(scene),
                report(not scene.wrong(), "all answers", f"{len(scene.load.answers)}, {scene.wrong()} wrong"),
            ]
    finally:
        project.streamflow("db", "stop", check=False)
    return held


def graph(project: Project, scores: Scores) -> list[bool]:
    """(c), (d), (e): processes of graph fused."""
    with under_load(project, scores, *FUSED) as scene:
        return [
            survives_kill(
                scene, "ServeReplica", "one of 2 replicas of graph fused", gap=1, back=1, only_in_flight=True
            ),
            survives_kill(scene, "ServeController", "the controller", gap=1, back=0, none=True),
            survives_kill(scene, "haproxy -db", "HAProxy", gap=BACK, back=BACK),
            survives_kill(scene, "HAProxyManager", "the actor that runs HAProxy", gap=BACK, back=BACK),
            survives_kill(scene, "ProxyActor", "the ProxyActor", gap=BACK, back=BACK),
            report(not scene.wrong(), "all answers", f"{len(scene.load.answers)}, {scene.wrong()} wrong"),
        ]


def split(project: Project, scores: Scores) -> list[bool]:
    """(c): processes of graph split."""
    with under_load(project, scores, *SPLIT) as scene:
        return [
            survives_kill(scene, f"ServeReplica:churn:{part}", f"one of 2 replicas of {part}", gap=1, back=1,
                          only_in_flight=True)
            for part in ("Scorer", "FeatureLookup", "Gateway")
        ]  # fmt: skip


@contextmanager
def nobody_answers() -> Iterator[str]:
    """URL of a port that refuses connections, and that no other program on this machine can take meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def registry(project: Project, scores: Scores) -> list[bool]:
    """(f): MLflow does not answer when serving starts, the feature store does."""
    user, held = sorted(scores["1"])[0], []
    kept = project.path / "var/serve/verified"
    aside = kept.with_name("put-aside")
    with Server(project, *FUSED):
        pass  # now version 1 is verified on this machine
    with nobody_answers() as url:
        started = time.monotonic()
        with Server(project, *FUSED, MLFLOW_TRACKING_URI=url) as server:
            waited, model = time.monotonic() - started, server.model()
            probability = server.client.post("/predict", json={"user_id": user}).json().get("probability")
            said, counted = (model["not_served"] or {}).get("reason", ""), server.metric("streamflow_model_not_served")
            well = model["from_local_copy"] and "MLflow" in said and probability == scores["1"][user] and counted == 2
            figures = (
                f"ready after {waited:.0f} s, from_local_copy {model['from_local_copy']}, not_served: {said[:120]}"
            )
            held.append(report(well, "MLflow away at the start", figures))
        kept.rename(aside)
        started = time.monotonic()
        arguments = ("serve", "--port", str(free_port()), *FUSED)
        done = project.streamflow(*arguments, check=False, MLFLOW_TRACKING_URI=url)
        waited, said = time.monotonic() - started, done.stderr.strip()
        well = (
            done.returncode == 2 and f"MLflow at {url}: Connection refused" in said and waited < 10 and "\n" not in said
        )
        figures = f"exit {done.returncode} after {waited:.0f} s: {said[:120]}"
        held.append(report(well, "and no version was ever verified here", figures))
    shutil.rmtree(kept, ignore_errors=True)
    aside.rename(kept)
    return held


def ends(project: Project, _: Scores) -> list[bool]:
    """(g): every way to end, each followed by a new start on the same port."""
    port, held = free_port(), []

    def command(server: Server) -> psutil.Process:
        return psutil.Process(server.process.pid)

    def child(server: Server) -> psutil.Process:
        return server.processes("-m serve ")[0]

    ways: list[tuple[str, Callable[[Server], psutil.Process], list[signal.Signals]]] = [
        ("kill -9 of `streamflow serve`", command, [signal.SIGKILL]),
        ("kill -9 of its child `python -m serve`", child, [signal.SIGKILL]),
        ("SIGTERM", command, [signal.SIGTERM]),
        ("Ctrl-C", command, [signal.SIGINT]),
        ("Ctrl-C twice", command, [signal.SIGINT, signal.SIGINT]),
    ]
    for name, whom, numbers in ways:
        started = time.monotonic()
        with Server(project, *FUSED, port=port) as server:
            ready = time.monotonic() - started
            held.append(leaves_nothing(server, name, whom, numbers, f"started in {ready:.0f} s; "))
    for seconds in (3, 8):
        server = Server(project, *FUSED, port=port)
        time.sleep(seconds)
        held.append(leaves_nothing(server, f"kill -9 {seconds} s after the start", command, [signal.SIGKILL]))
        server.__exit__()
    with Server(project, *FUSED, port=port) as server:
        held.append(report(server.status("/ready") == 200, "and after all that a new start", "answers"))
    return held


def leaves_nothing(
    server: Server, name: str, whom: Callable[[Server], psutil.Process], numbers: list[signal.Signals], before: str = ""
) -> bool:
    """End a server in one way and look for what it left."""
    processes = server.processes()
    folders = server.folders()
    process = whom(server)
    ended = time.monotonic()
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)

    def left() -> list[str]:
        alive = [" ".join(each.cmdline())[:60] for each in processes if _is_alive(each)]
        return alive + left_behind(server.project, 0) + [str(each) for each in folders if each.exists()]

    while left() and time.monotonic() - ended < GONE:
        server.process.poll()
        time.sleep(0.2)
    remaining, seconds = left(), time.monotonic() - ended
    answers = server.status("/health")
    figures = f"{before}{len(processes)} processes and {len(folders)} folder gone after {seconds:.1f} s"
    return report(not remaining and not answers, name, figures if not remaining else f"left: {remaining}")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def port(project: Project, _: Scores) -> list[bool]:
    """(h): a port that something listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        number = listener.getsockname()[1]
        done = project.streamflow("serve", "--port", str(number), check=False)
    held = [report(_is_one_line(done), "a port that is taken", f"exit {done.returncode}: {done.stderr.strip()}")]
    with Server(project, *FUSED) as server:
        done = project.streamflow("serve", "--port", str(server.port), check=False)
        named = _is_one_line(done) and "streamflow_churn version 1 is served there since" in done.stderr
        held.append(report(named, "a second serve", f"exit {done.returncode}: {done.stderr.strip()}"))
    return held


def _is_one_line(done: object) -> bool:
    return done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "is taken" in done.stderr


PARTS = {part.__name__: part for part in (store, graph, split, registry, ends, port)}


def drill(project: Project, names: list[str]) -> bool:
    """The parts named, or all; at the end nothing may be left."""
    with registry_of(project) as found:
        scores = offline_scores(found, "1")
    held = [each for name in names or PARTS for each in PARTS[name](project, scores)]
    left = left_behind(project)
    held.append(report(not left, "nothing is left", f"{left or 'no process, no file'}; {load_average()}"))
    print(f"{sum(held)} of {len(held)} held")
    return all(held)


def main() -> None:
    """One project, a server for each part."""
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = Project.copy(Path(scratch) / "streamflow", *small())
        project.streamflow("repro")
        held = drill(project, sys.argv[1:])
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
