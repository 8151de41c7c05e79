"""What stands in for names that old Pythons lack behaves as the real ones do."""

from __future__ import annotations

import ast
import collections.abc
import threading
from pathlib import Path

import pytest

from pennylane_threaded_ibmq import _compat
from pennylane_threaded_ibmq._compat import (
    StrEnum,
    cached_property,
    without_prefix,
    without_suffix,
    zip_strict,
)

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("strict", [zip_strict, _compat._zip_strict])
class TestZipStrict:
    def test_equal_lengths_are_paired(self, strict):
        assert list(strict([1, 2], "ab", iter((None, 0)))) == [(1, "a", None), (2, "b", 0)]
        assert list(strict()) == []

    @pytest.mark.parametrize(
        "columns", [([1], []), ([], [1]), ([1, 2], [1, 2, None]), (iter([1]), [1, None])]
    )
    def test_other_lengths_are_refused(self, strict, columns):
        with pytest.raises(ValueError):
            list(strict(*columns))


def test_members_of_an_enumeration_print_as_their_text():
    class Colour(StrEnum):
        RED = "red"

    assert (str(Colour.RED), f"{Colour.RED}", Colour.RED) == ("red", "red", "red")


@pytest.mark.parametrize("text", ["", "ab", "abab", "b", "xab", "abx"])
@pytest.mark.parametrize("part", ["", "ab", "b"])
def test_ends_are_cut_as_str_does(text, part):
    assert without_prefix(text, part) == text.removeprefix(part)
    assert without_suffix(text, part) == text.removesuffix(part)


@pytest.mark.parametrize("kind", [cached_property, _compat._CachedProperty])
class TestCachedProperty:
    def test_it_is_computed_once_and_has_its_documentation(self, kind):
        calls = []

        class Room:
            @kind
            def size(self):
                """Its size."""
                calls.append(self)
                return len(calls)

        room = Room()
        assert (room.size, room.size, calls, Room.size.__doc__) == (1, 1, [room], "Its size.")

    def test_one_object_does_not_wait_for_another(self, kind):
        entered, leave = threading.Event(), threading.Event()

        class Room:
            slow = False

            @kind
            def size(self):
                if self.slow:
                    entered.set()
                    assert leave.wait(60)
                return 1

        slow = Room()
        slow.slow = True
        thread = threading.Thread(target=lambda: slow.size)
        thread.start()
        assert entered.wait(60)
        other = threading.Thread(target=lambda: Room().size, daemon=True)
        other.start()
        other.join(60)
        assert not other.is_alive()
        leave.set()
        thread.join()


# ------------------------------------------------------------------------------------- what Python 3.8 cannot evaluate

GENERIC = {
    "dict",
    "frozenset",
    "list",
    "set",
    "tuple",
    "type",
    "WeakKeyDictionary",
    "WeakValueDictionary",
} | set(collections.abc.__all__)


class Evaluated(ast.NodeVisitor):
    """Subscripts of generic types that are evaluated when a module runs; annotations are not."""

    def __init__(self):
        self.found = []

    def visit_Subscript(self, node):
        if isinstance(node.value, ast.Name) and node.value.id in GENERIC:
            self.found.append((node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node):
        pass

    def visit_FunctionDef(self, node):
        for part in (
            *node.decorator_list,
            *node.args.defaults,
            *filter(None, node.args.kw_defaults),
            *node.body,
        ):
            self.visit(part)

    def visit_AsyncFunctionDef(self, node):
        self.visit_FunctionDef(node)


def evaluated(code):
    visitor = Evaluated()
    visitor.visit(ast.parse(code))
    return visitor.found


def test_nothing_is_evaluated_that_python_3_8_cannot():
    """The linter that knows versions does not know this one."""
    found = {
        path.relative_to(ROOT).as_posix(): evaluated(path.read_text(encoding="utf-8"))
        for path in (ROOT / "pennylane_threaded_ibmq").glob("**/*.py")
    }
    assert len(found) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_what_python_3_8_cannot_evaluate_is_found():
    code = "A = Callable[[int], int]\nb: list[int] = list[int]()\ndef f(x: list[int]) -> dict[str, int]:\n    return cast(set[int], x)"
    assert evaluated(code) == [(1, "Callable[[int], int]"), (2, "list[int]"), (4, "set[int]")]
