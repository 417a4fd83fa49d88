"""Mutants: modules with one node changed by one of mutmut's mutators.

mutmut's own runner is not used: it leaves out decorated functions, properties, dataclasses and the constants of modules,
and all of its mutants stand in a copy of the tree. Not mutated: annotations, decorators, docstrings, names of types, Ray's
deployments, and wording: text with a space in it, and what a description, a help or an example of /docs says.
"""

import ast
import difflib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m
from house import Module
from mutmut.mutation.mutators import mutation_operators

# mutmut leaves len and isinstance alone as well: a None in them is a TypeError and no news.
_LEFT_ALONE = m.OneOf(
    m.Annotation(),
    m.Decorator(),
    # A name for a type: Row = dict[str, Any].
    m.Assign(targets=[m.AssignTarget(m.Name(value=m.MatchRegex(r"_?[A-Z][a-z]\w*")))], value=m.Subscript()),
    m.Import(),
    m.ImportFrom(),
    m.Call(func=m.OneOf(*(m.Name(name) for name in ("len", "isinstance", "TypeVar", "cast")))),
    m.ClassDef(decorators=[m.AtLeastN(m.Decorator(m.Call(m.Attribute(m.Name("serve"), m.Name("deployment")))), n=1)]),
)
_FOR_PEOPLE = m.Arg(keyword=m.OneOf(*(m.Name(name) for name in ("description", "help", "examples", "documentation"))))


def _is_wording(node: cst.CSTNode) -> bool:
    text = node.value if isinstance(node, cst.Arg) else node
    return m.matches(node, _FOR_PEOPLE) or (
        isinstance(text, cst.SimpleString | cst.ConcatenatedString) and " " in str(text.evaluated_value)
    )


def _changes_wording_only(node: cst.CSTNode, changed: cst.CSTNode) -> bool:
    """Whether a call differs in no argument but those that are wording."""
    if not (isinstance(node, cst.Call) and isinstance(changed, cst.Call) and node.func is changed.func):
        return False
    return all(_is_wording(each) for each in node.args if each not in changed.args)


@dataclass(frozen=True)
class Mutant:
    """A module with one node changed; `was` and `becomes` are its changed lines, `line` is where they begin."""

    module: Module
    source: str
    line: int
    was: str
    becomes: str


def sample(modules: Iterable[Module], seed: int, size: int) -> list[Mutant]:
    """`size` mutants of the modules: those with the lowest hashes of seed and change.

    So a change elsewhere in a module leaves the rest of the sample as it is. The order is that of the modules' lines.
    """
    changes = [each for module in modules for each in _changes(module)]
    ranked = sorted(changes, key=lambda each: hashlib.sha256(f"{seed} {each.name}".encode()).digest())
    chosen: list[Mutant] = []
    for change in ranked:
        if len(chosen) == size:
            break
        if mutant := change.applied():
            chosen.append(mutant)
    return sorted(chosen, key=lambda each: (each.module.name, each.line, each.becomes))


@dataclass(frozen=True)
class _Change:
    name: str
    module: Module
    tree: cst.Module
    node: cst.CSTNode
    changed: cst.CSTNode

    def applied(self) -> Mutant | None:
        """The mutant; None if it is no Python or the same program."""
        before, after = self.module.source, self.tree.deep_replace(self.node, self.changed).code
        try:
            if ast.dump(ast.parse(before)) == ast.dump(ast.parse(after)):
                return None
            compile(after, self.module.name, "exec")
        except (SyntaxError, ValueError):
            return None
        old, new = before.splitlines(), after.splitlines()
        blocks = [each for each in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if each[0] != "equal"]
        was = " ".join(line.strip() for _, start, end, _, _ in blocks for line in old[start:end])
        becomes = " ".join(line.strip() for _, _, _, start, end in blocks for line in new[start:end])
        return Mutant(self.module, after, blocks[0][1] + 1, was, becomes)


def _changes(module: Module) -> Iterator[_Change]:
    tree = cst.parse_module(module.source)
    visitor = _Visitor()
    tree.visit(visitor)
    seen: dict[str, int] = {}
    for where, node, changed in visitor.found:
        name = " ".join((module.name, where, tree.code_for_node(node), tree.code_for_node(changed)))
        seen[name] = seen.get(name, 0) + 1
        yield _Change(f"{name} {seen[name]}", module, tree, node, changed)


class _Visitor(cst.CSTVisitor):
    """Collects (function or class, node, changed node)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, cst.CSTNode, cst.CSTNode]] = []
        self._where: list[str] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Mutate a node, and go on to its children."""
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._where.append(node.name.value)
        if m.matches(node, _LEFT_ALONE) or _is_wording(node):
            return False
        changes = [changed for kind, mutate in mutation_operators if isinstance(node, kind) for changed in mutate(node)]
        self.found += [(".".join(self._where), node, each) for each in changes if not _changes_wording_only(node, each)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        """Forget where we were."""
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self._where.pop()
