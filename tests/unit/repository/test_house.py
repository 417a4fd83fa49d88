"""Arrows and purity, read from the files: every import goes down, and a pure module touches nothing outside."""

import ast

import pytest
from house import CODE, Module, arrows, circles, declared_pure, impure, modules
from project import ROOT

HOUSE = modules(ROOT)
ARROWS = arrows(HOUSE)
IMPURE = impure(HOUSE, ARROWS)

# A module imports its own room and rooms of lower rank; rooms of one rank don't know each other.
RANKS = (
    {"core"},
    {"pipeline", "extracts", "model"},
    {"features", "postgres", "provenance"},
    {"trust"},
    {"evaluation", "warehouse", "snapshots", "online", "registry"},
    {"report", "rerun"},
    {"promotion"},
    {"operations"},
    {"cli"},
)
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}
STATIONS = set().union(*RANKS[:7])
SIBLINGS = {"tuning": {"repro"}, "erase": {"repro"}, "lineage": {"health"}, "promote": {"health"}}
"""What a room of operations may import of another."""


def top(room: str) -> str:
    return room.split("/")[0]


def may_import(importer: Module, imported: Module) -> bool:
    ours, theirs = importer.room, imported.room
    if ours == theirs:
        return True
    if ours in ("stages", "serve", "feature_repo"):
        return theirs in STATIONS
    if top(ours) == top(theirs) == "operations":
        return theirs.removeprefix("operations/") in SIBLINGS.get(ours.removeprefix("operations/"), set())
    return top(ours) in RANK and RANK.get(top(theirs), 99) < RANK[top(ours)]


def test_every_import_goes_down_the_ranks():
    wrong = [
        f"{name} imports {other}"
        for name, others in ARROWS.items()
        for other in sorted(others)
        if not may_import(HOUSE[name], HOUSE[other])
    ]
    assert wrong == []
    print(f"{len(HOUSE)} modules, {sum(map(len, ARROWS.values()))} arrows")
    assert len(HOUSE) >= 150
    assert sum(map(len, ARROWS.values())) >= 700
    assert {top(module.room) for module in HOUSE.values()} == {*RANK, *CODE} - {"streamflow"}


def test_the_rule_of_the_arrows_refuses_what_it_must():
    def module(name):
        return Module(name, ROOT / "unused.py")

    down, up = module("streamflow.core.schema"), module("streamflow.registry.registry")
    assert may_import(up, down)
    assert not may_import(down, up)
    assert not may_import(module("streamflow.warehouse.history"), module("streamflow.snapshots.frozen"))
    assert not may_import(module("stages.train"), module("streamflow.operations.repro.compose"))
    assert not may_import(module("serve.app"), module("stages.train"))
    assert not may_import(module("streamflow.operations.drift.compare"), module("streamflow.cli.main"))
    assert not may_import(module("streamflow.operations.drift.compare"), module("streamflow.operations.health.fsck"))
    assert may_import(module("streamflow.operations.promote.gates"), module("streamflow.operations.health.doctor"))


def test_the_siblings_that_are_allowed_are_used():
    used = {
        (HOUSE[name].room, HOUSE[other].room)
        for name, others in ARROWS.items()
        for other in others
        if HOUSE[name].room != HOUSE[other].room and top(HOUSE[other].room) == "operations" != HOUSE[name].room
    }
    listed = {(f"operations/{room}", f"operations/{other}") for room, others in SIBLINGS.items() for other in others}
    assert {pair for pair in used if pair[0] != "cli"} == listed


def test_no_modules_import_each_other_in_a_circle():
    assert circles(ARROWS) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d", "a"}}) == [["b", "c"], ["d"]]


def rooms():
    return sorted(path.parent for path in (ROOT / "streamflow").rglob("__init__.py"))


@pytest.mark.parametrize("folder", rooms(), ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_room_says_what_it_is_for_and_names_exactly_its_pure_modules(folder):
    package = ".".join(folder.relative_to(ROOT).parts)
    pure = sorted(
        name.rpartition(".")[2] for name in HOUSE if name.rpartition(".")[0] == package and name not in IMPURE
    )
    face = folder / "__init__.py"
    assert declared_pure(face) == pure
    assert len(ast.get_docstring(ast.parse(face.read_text())).split("Pure:")[0]) > 40
    assert len(ast.parse(face.read_text()).body) == 1, "a face holds no code"


def test_a_good_part_of_the_house_is_pure():
    pure = [name for name in HOUSE if name not in IMPURE and name.startswith("streamflow.")]
    print(f"{len(pure)} pure modules of {len(HOUSE)}")
    assert len(pure) >= 40


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "from time import sleep",
        "import urllib.request",
        "def f():\n    import mlflow",
        "from pathlib import Path\nPath('x').read_text()",
        "open('x')",
        "from datetime import datetime\ndatetime.now()",
    ],
)
def test_what_makes_a_module_impure(source, tmp_path):
    (tmp_path / "m.py").write_text(source)
    assert Module("streamflow.m", tmp_path / "m.py").impurities != []


def test_a_module_over_an_impure_one_is_impure_and_types_alone_are_not(tmp_path):
    texts = {
        "low": "import os",
        "high": "from streamflow.low import x",
        "typed": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mlflow",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    house = {f"streamflow.{name}": Module(f"streamflow.{name}", tmp_path / f"{name}.py") for name in texts}
    assert impure(house, arrows(house)) == {"streamflow.low", "streamflow.high"}
