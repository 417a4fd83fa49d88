"""How many faults the unit tests notice: a seeded sample of mutants of the pure modules and of serve's plain classes.

A mutant is one module with one node changed. The unit tests of its room, tests/unit/ROOM and no others, must fail on it;
one that runs into the time limit counts as killed and is shown. Survivors that are no fault stand with the reason in
equivalent_mutants.yaml beside this file; they are run as well, and not counted. Exit code 1 if fewer than 90 % of all or
85 % of a room are killed, if a room's tests fail without a mutant, or if a listed equivalent is killed.

    python -m drills.mutants                                              the sample of `make mutants`
    python -m drills.mutants --seed 7 --rooms serve,core --each 60        another one
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml
from house import Module, declared_pure, modules
from project import ROOT

from drills.mutants_made import Mutant, sample
from drills.mutants_run import Outcome, Runner
from streamflow.pipeline.environment import pin_kernels

SEED = 20240131
EACH = 26
"""Mutants of each room; a room that has fewer gives all."""
OVERALL, ROOM = 0.90, 0.85
# What Ray starts: wiring that only the integration tests run.
WIRING = {"serve.__main__", "serve.app", "serve.fused", "serve.process", "serve.split"}
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yaml")


@dataclass(frozen=True)
class Equivalent:
    """A mutant that does what the original does, or that no unit test should notice, and why."""

    module: str
    was: str
    becomes: str
    why: str

    def matches(self, mutant: Mutant) -> bool:
        """Whether it is this one."""
        return (self.module, self.was, self.becomes) == (mutant.module.name, mutant.was, mutant.becomes)


def mutated_modules(house: dict[str, Module]) -> dict[str, list[Module]]:
    """Room to its modules that are mutated: those that a room declares pure, and serve but for its wiring."""
    found: dict[str, list[Module]] = {}
    for name, module in house.items():
        if module.room == "serve":
            chosen = name not in WIRING
        else:
            face = module.path.with_name("__init__.py")
            chosen = name.startswith("streamflow.") and module.path.stem in declared_pure(face)
        if chosen:
            found.setdefault(module.room, []).append(module)
    return found


def equivalents() -> list[Equivalent]:
    """What is listed as equivalent."""
    return [Equivalent(**each) for each in yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []]


def is_listed(mutant: Mutant, listed: list[Equivalent]) -> bool:
    """Whether a mutant is listed as equivalent."""
    return any(each.matches(mutant) for each in listed)


def stale(listed: list[Equivalent], house: dict[str, Module]) -> list[Equivalent]:
    """Listed equivalents whose original the code does not hold any more."""
    joined = {name: " ".join(module.source.split()) for name, module in house.items()}
    return [each for each in listed if " ".join(each.was.split()) not in joined.get(each.module, "")]


def show(mutant: Mutant, words: str) -> None:
    """Print one mutant."""
    print(f"{words:<9} {mutant.module.name}:{mutant.line}\n  - {mutant.was}\n  + {mutant.becomes}", flush=True)


def score_room(
    room: str, outcomes: list[tuple[Mutant, Outcome]], listed: list[Equivalent]
) -> tuple[Counter[str], bool]:
    """Print what was not plainly killed and the room's score; the counts, and whether the room is good enough."""
    counts: Counter[str] = Counter()
    wrong = False
    for mutant, outcome in outcomes:
        if is_listed(mutant, listed):
            counts["equivalent"] += 1
            if outcome is not Outcome.SURVIVED:
                wrong = True
                show(mutant, "NO EQUIVALENT")
            continue
        counts["counted"] += 1
        counts["killed"] += outcome is not Outcome.SURVIVED
        if outcome is not Outcome.KILLED:
            show(mutant, outcome.value)
    share = counts["killed"] / max(counts["counted"], 1)
    good = share >= ROOM and not wrong
    more = f", {counts['equivalent']} equivalent" if counts["equivalent"] else ""
    print(
        f"{'ok    ' if good else 'FAILED'}  {room:<22} {counts['killed']} of {counts['counted']}, {share:.0%}{more}",
        flush=True,
    )
    return counts, good


def main() -> None:
    """Mutate, run, print the score of each room and of all."""
    arguments = argparse.ArgumentParser(prog="python -m drills.mutants")
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--rooms", default="", help="comma-separated; all if not given")
    arguments.add_argument("--each", type=int, default=EACH, help="mutants of each room")
    chosen = arguments.parse_args()
    pin_kernels()
    started = time.monotonic()
    house, listed = modules(ROOT), equivalents()
    rooms = mutated_modules(house)
    wanted = [room for room in chosen.rooms.split(",") if room] or sorted(rooms)
    healthy = True
    for each in stale(listed, house):
        print(f"FAILED  {EQUIVALENT.name}: {each.module} has no longer: {each.was}")
        healthy = False
    total: Counter[str] = Counter()
    with Runner(ROOT) as runner:
        for room in wanted:
            if problem := runner.prepare(room):
                print(f"FAILED  {room}: its tests fail without a mutant\n{problem}")
                healthy = False
                continue
            mutants = sample(rooms[room], chosen.seed, chosen.each)
            counts, good = score_room(room, list(runner.run(room, mutants)), listed)
            total += counts
            healthy &= good
    share = total["killed"] / max(total["counted"], 1)
    limits = f"at least {OVERALL:.0%}, {ROOM:.0%} in each room"
    print(f"{total['killed']} of {total['counted']} mutants in {len(wanted)} rooms killed, {share:.1%} ({limits}),"
          f" seed {chosen.seed}, {time.monotonic() - started:.0f} s")  # fmt: skip
    sys.exit(0 if healthy and share >= OVERALL else 1)


if __name__ == "__main__":
    main()
