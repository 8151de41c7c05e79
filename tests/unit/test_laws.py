"""Laws of the house that no linter knows: no file's state hides at module level, no file is in a circle of imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import pennylane_threaded_ibmq

HOME = Path(pennylane_threaded_ibmq.__file__).parent
FILES = sorted(HOME.rglob("*.py"))
CHANGING = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    ]
)


def module_names(tree):
    """Names that a module binds at its top."""
    names = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def changes(tree, names):
    """Lines that change a value which one of some names stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in names and node.func.attr in CHANGING:
                yield node.lineno, f"{owner.id}.{node.func.attr}()"
        elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Delete)):
            for target in getattr(node, "targets", [getattr(node, "target", None)]):
                value = getattr(target, "value", None)
                if isinstance(value, ast.Name) and value.id in names:
                    yield node.lineno, ast.unparse(target)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOME)))
def test_nothing_changes_at_module_level(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    local = {
        name.id
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for name in ast.walk(function)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    names = module_names(tree) - local
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [found for function in functions for found in changes(function, names)] == []


def imported(path, modules):
    """Modules of the package that a file imports when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    here = ["pennylane_threaded_ibmq", *path.relative_to(HOME).with_suffix("").parts]
    package = here[:-1]
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1] + (node.module or "").split(".") * bool(
                node.module
            )
            for alias in node.names:
                whole = ".".join([*base, alias.name])
                found.add(whole if whole in modules else ".".join(base))
    return {name for name in found if name in modules}


def test_no_files_import_each_other_in_a_circle():
    names = {
        ".".join(["pennylane_threaded_ibmq", *path.relative_to(HOME).with_suffix("").parts]): path
        for path in FILES
        if path.name != "__init__.py"
    }
    left = {name: imported(path, names) for name, path in names.items()}
    while True:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        if not free:
            break
        left = {name: needs for name, needs in left.items() if name not in free}
    assert left == {}
