"""Production moves back and forth under load: no request fails, no answer mixes two models, all replicas follow in 10 s.

200 requests/s against both graphs with two replicas each, while the alias moves 20 times between two versions. Each answer's
probability must be the offline score, from the frozen files, of the version that it names.

    python -m drills.serving_reload [MOVES]
"""

import sys
import tempfile
import time
from pathlib import Path

from project import Project

from drills.load import Answer, Load
from drills.served import (
    Scores,
    Server,
    load_average,
    move,
    offline_scores,
    registry_of,
    report,
    two_versions,
    wait_for,
)

LIMIT = 10.0
GRAPHS = {"split": ("graph=split", "replicas=2"), "fused": ("graph=fused", "replicas=2")}


def is_mixed(answer: Answer, scores: Scores) -> bool:
    """Whether the probability is not that of the version named."""
    return answer.status == 200 and scores[str(answer.version)][answer.user_id] != answer.probability


def followed(server: Server, load: Load, version: str) -> float:
    """Move Production; seconds until the last request was sent that another version answered."""
    move(version)
    moved = time.monotonic()

    def all_follow() -> bool:
        recent = load.between(time.monotonic() - 1.0)
        return len(recent) > 50 and all(each.version == version for each in recent if each.status == 200)

    wait_for(all_follow, 3 * LIMIT, f"not every replica serves version {version}", server.said)
    return max((each.sent - moved for each in load.between(moved) if each.version != version), default=0.0)


def drill(project: Project, graph: str, moves: int) -> bool:
    """One graph: load, moves, and what the answers say."""
    with registry_of(project) as registry:
        scores = offline_scores(registry, "1", "2")
        different = sum(scores["1"][user] != scores["2"][user] for user in scores["1"])
        move("1")
        with Server(project, *GRAPHS[graph]) as server, Load(server.port, sorted(scores["1"])) as load:
            wait_for(lambda: len(load.answers) > 200, 30, "no answers")
            waits = [followed(server, load, "2" if number % 2 == 0 else "1") for number in range(moves)]
        mixed = [each for each in load.answers if is_mixed(each, scores)]
    failed = load.failed()
    held = not failed and not mixed and not load.not_sent and max(waits) <= LIMIT and different > 0
    for each in (failed + mixed)[:5]:
        print(f"  {each}")
    return report(
        held,
        f"{moves} moves, graph {graph}, 2 replicas",
        f"{len(load.answers)} requests, {len(failed)} failed, {len(mixed)} mixed; seen by all replicas within"
        f" {max(waits):.1f} s at worst, {sorted(waits)[len(waits) // 2]:.1f} s in the middle"
        f" ({different} of {len(scores['1'])} users score otherwise; {load_average()})",
    )


def main() -> None:
    """Both graphs."""
    moves = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory(prefix="streamflow-drill-") as scratch:
        project = two_versions(Path(scratch) / "streamflow")
        held = [drill(project, graph, moves) for graph in GRAPHS]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
