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


SHARED = {"_fork.py": {"FORKS"}, "resources.py": {"RESOURCES"}}
"""The objects of this package's that stand at module level and have a state: who is told of forks, and what devices share."""
MEMOS = {
    "circuits/layers.py": {"_recipe"},
    "config.py": {"_configuration"},
    "execution/chunks.py": {"_opened", "_circuit"},
    "stack.py": {"stack"},
    "stacks/current/client.py": {"client_version", "has_client_side"},
}
"""Functions that remember what they gave: for the same values, that is as good as making it again."""


def is_frozen(node):
    """Whether nothing of an object of a class can change."""
    if any(getattr(base, "id", "") in {"NamedTuple", "Enum", "TypedDict", "Protocol"} for base in node.bases):
        return True
    frozen = any(
        isinstance(decorator, ast.Call)
        and getattr(decorator.func, "id", "") == "dataclass"
        and any(word.arg == "frozen" and word.value.value is True for word in decorator.keywords)
        for decorator in node.decorator_list
    )
    # nor of one that has no attributes
    return frozen or not any(
        isinstance(target, ast.Attribute) for inner in ast.walk(node) for target in targets_of(inner)
    )


def targets_of(node):
    """What a statement binds."""
    found = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [one for target in found for one in (target.elts if isinstance(target, ast.Tuple) else [target])]


def test_what_has_a_state_is_handed_down_and_stands_at_no_module_level():
    trees = {path.relative_to(HOME).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
    classes = [node for tree in trees.values() for node in tree.body if isinstance(node, ast.ClassDef)]
    changing = {node.name for node in classes if not is_frozen(node)}
    found = {}
    for file, tree in trees.items():
        for node in tree.body:
            value = getattr(node, "value", None)
            made = (
                {getattr(call.func, "id", "") for call in ast.walk(value) if isinstance(call, ast.Call)}
                if value
                else set()
            )
            if made & changing:
                found.setdefault(file, set()).update(target.id for target in targets_of(node))
    assert found == SHARED


def test_what_remembers_is_known():
    found = {}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            words = {
                word
                for decorator in function.decorator_list
                for word in ast.unparse(decorator).replace(".", "(").split("(")
            }
            if words & {"lru_cache", "cache"}:
                found.setdefault(path.relative_to(HOME).as_posix(), set()).add(function.name)
    assert found == MEMOS


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
