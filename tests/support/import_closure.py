"""The files of this project that a module may load: found by reading its imports, not by running it."""

import ast
import re
from pathlib import Path

PACKAGES = ("stages", "streamflow", "serve")


def import_closure(root: Path, module: str) -> set[str]:
    """Paths (relative to `root`) of `module`, all it imports, their packages, and data files read by `with_name`."""
    found: set[str] = set()
    waiting = [module, *imported_modules(f"import {module}")]
    while waiting:
        path = _file_of(root, waiting.pop())
        if path is None or str(path) in found:
            continue
        found.add(str(path))
        source = (root / path).read_text(encoding="utf-8")
        found |= {str(path.with_name(name)) for name in re.findall(r'with_name\("([^"]+\.[a-z0-9.]+)"\)', source)}
        waiting += imported_modules(source, types=False)
    return found


def imported_modules(source: str, types: bool = True) -> list[str]:
    """Dotted names of the project's modules that a source text imports anywhere, with their parent packages.

    Without `types`, what stands under `if TYPE_CHECKING` is left out: nothing loads it.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not types and isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parents = {
        ".".join(parts[:end]) for name in names for parts in [name.split(".")] for end in range(1, len(parts) + 1)
    }
    return sorted(name for name in parents if name.split(".")[0] in PACKAGES)


def _file_of(root: Path, module: str) -> Path | None:
    base = Path(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if (root / candidate).is_file():
            return candidate
    return None
