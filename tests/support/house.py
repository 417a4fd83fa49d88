"""The shape of the code, read from its files: rooms, the arrows between modules, and which modules are pure."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from import_closure import imported_modules

CODE = ("streamflow", "stages", "serve", "feature_repo")
# A clock, the environment, processes, files, network and the systems behind it.
_IMPURE_IMPORTS = {
    *(
        "os",
        "time",
        "subprocess",
        "tempfile",
        "fcntl",
        "shutil",
        "threading",
        "multiprocessing",
        "signal",
        "getpass",
        "pwd",
    ),
    *("socket", "ssl", "urllib.request", "http", "requests", "httpx", "psycopg2", "psycopg", "asyncpg", "sqlalchemy"),
    *("mlflow", "feast", "dvc", "ray", "psutil"),
}
_IMPURE_CALLS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "rmdir", "rename", "touch"),
    *("iterdir", "glob", "rglob", "is_file", "is_dir", "exists", "stat", "lstat", "chmod", "symlink_to", "cwd"),
    *("read_table", "read_metadata", "ParquetFile", "ParquetWriter", "now", "today", "perf_counter", "print", "input"),
}


@dataclass(frozen=True)
class Module:
    """One file of code; `name` is dotted."""

    name: str
    path: Path

    @cached_property
    def source(self) -> str:
        """Its text."""
        return self.path.read_text(encoding="utf-8")

    @property
    def room(self) -> str:
        """Where it lives: a room of streamflow/, `operations/NAME`, stages, serve or feature_repo."""
        top, *inner = self.name.split(".")
        if top != "streamflow":
            return top
        if len(inner) < 2:
            return "no room"
        return "/".join(inner[:2]) if inner[0] == "operations" and len(inner) > 2 else inner[0]

    @cached_property
    def impurities(self) -> list[str]:
        """What it does itself that a pure module does not: imports and calls, in order."""
        return list(_impurities(ast.parse(self.source)))


def modules(root: Path) -> dict[str, Module]:
    """Every module of the project's code by its dotted name; faces of packages (`__init__`) are left out."""
    found = {}
    for folder in CODE:
        for path in sorted((root / folder).rglob("*.py")):
            if path.name != "__init__.py":
                name = ".".join(path.relative_to(root).with_suffix("").parts)
                found[name] = Module(name, path)
    return found


def arrows(house: dict[str, Module]) -> dict[str, set[str]]:
    """Module to the modules that it imports, anywhere in its text."""
    return {name: {each for each in imported_modules(module.source) if each in house} - {name}
            for name, module in house.items()}  # fmt: skip


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes of which each reaches all others of its group; nodes that reach only others are in none."""
    reached = {name: _reached(graph, name) for name in graph}
    groups = {tuple(sorted(each for each in reached[name] if name in reached[each])) for name in graph}
    return sorted(list(group) for group in groups if group)


def impure(house: dict[str, Module], graph: dict[str, set[str]]) -> set[str]:
    """Modules that are not pure: by what they do, or because they import one that is not."""
    found = {name for name, module in house.items() if module.impurities}
    while more := {name for name in house if name not in found and graph[name] & found}:
        found |= more
    return found


def declared_pure(face: Path) -> list[str]:
    """The modules that a room's docstring calls pure: the names after `Pure:`, up to the full stop."""
    text = " ".join((ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))) or "").split())
    named = re.search(r"Pure: ([a-z_, ]+)\.", text)
    return named[1].split(", ") if named and named[1] != "none" else []


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _impurities(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if _is_impure(a.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _is_impure(node.module):
            yield f"from {node.module} import …"
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in _IMPURE_CALLS:
                yield f"{called}(…)"


def _is_impure(module: str) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:end]) in _IMPURE_IMPORTS for end in range(1, len(parts) + 1))
