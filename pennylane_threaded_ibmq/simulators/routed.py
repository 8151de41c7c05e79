"""One routed circuit for several endings: what comes before the last rotations is laid out, routed and optimised once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

_BEFORE = ("init", "layout", "routing", "translation", "optimization")
_AFTER = ("translation", "optimization", "scheduling")

TRIMS = 2
"""From this level on Qiskit takes out what no measurement sees. Below it a gate stays, with whatever noise a model gives it."""


@dataclass(frozen=True, eq=False)
class Routed:
    """A circuit in the gates of a backend, before its last rotations and measurements.

    Attributes:
        circuit: Laid out, routed, translated and optimised, but not scheduled.
        places: Where each qubit of the circuit that was routed is at the end.
        trims: A circuit that is compiled as a whole loses what no measurement sees before it is routed.
        finish: Makes of it, or of a copy with gates on one qubit and measurements appended, what the backend runs. No qubit is
            moved.
    """

    circuit: QuantumCircuit
    places: tuple[int, ...]
    trims: bool
    finish: Callable[[QuantumCircuit], QuantumCircuit]


class Halves(NamedTuple):
    """A pass manager in two.

    Attributes:
        before: All stages up to the point where an ending is appended.
        after: Translates the ending, merges it with what it follows, and schedules the whole.
        level: Its optimization level.
    """

    before: Any
    after: Any
    level: int


def halves(manager: Any, target: Any, level: int | None) -> Halves | None:
    """Cut a preset pass manager in two.

    Args:
        manager: What ``generate_preset_pass_manager`` gave.
        target: What it compiles for; ``None`` if there is none.
        level: Its optimization level; ``None`` for whichever Qiskit takes.

    Returns:
        The halves; ``None`` where there is nothing to route, where the level is not known, or where Qiskit does not tell where
        qubits end: before 0.45, and at level 3 before 1.1, which takes out swaps that nothing follows.
    """
    from qiskit.transpiler import StagedPassManager, passes
    from qiskit.transpiler.layout import TranspileLayout

    if level is None or target is None or target.build_coupling_map() is None:
        return None
    if not hasattr(TranspileLayout, "final_index_layout"):
        return None
    if level > 2 and not hasattr(passes, "ElidePermutations"):
        return None
    before = StagedPassManager(_BEFORE, **_hooks(manager, *_BEFORE))
    after = {"translation": manager.translation, "optimization": _merging(target, level)}
    return Halves(before, StagedPassManager(_AFTER, **after, **_hooks(manager, "scheduling")), level)


def _hooks(manager: Any, *stages: str) -> dict[str, Any]:
    """Some stages of a staged pass manager, with what goes before and after each."""
    names = [f"{when}{stage}" for stage in stages for when in ("pre_", "", "post_")]
    return {name: getattr(manager, name) for name in names}


def _merging(target: Any, level: int) -> Any:
    """Passes that merge an ending with what it follows; gates on two qubits are as good as they get before it."""
    from qiskit.passmanager.flow_controllers import DoWhileController
    from qiskit.transpiler import PassManager
    from qiskit.transpiler.passes import (
        FixedPoint,
        Optimize1qGatesDecomposition,
        RemoveDiagonalGatesBeforeMeasure,
        Size,
    )

    if level == 0:
        return None
    merge = Optimize1qGatesDecomposition(target=target)
    if level < TRIMS:
        return PassManager([merge])
    passes = [merge, RemoveDiagonalGatesBeforeMeasure(), Size(), FixedPoint("size")]
    return PassManager(
        [DoWhileController(passes, do_while=lambda properties: not properties["size_fixed_point"])]
    )


def final_places(circuit: QuantumCircuit, number: int) -> tuple[int, ...]:
    """Places of the qubits of a circuit of so many after it was routed."""
    if circuit.layout is None:
        return tuple(range(number))
    return tuple(circuit.layout.final_index_layout(filter_ancillas=True))
