"""PennyLane's gates as Qiskit's, without a phase that depends on a parameter.

Qiskit writes ``PhaseShift``, ``U1``, ``U2``, ``U3`` and the controlled phase with a *symbolic global phase*.
Binding such a circuit takes seconds a row and its serialisation fails for large circuits
(https://github.com/Qiskit/qiskit/issues/16520). A global phase is never observable, so each of these gates is
lowered to rotations that have none.

Controlled rotations are lowered too: Aer, given bindings, leaves them out of a circuit without a word
(https://github.com/Qiskit/qiskit-aer/issues/2323).

Angles are not written as expressions either: a step's angle is ``scale * parameter``, computed for all
rows at once with NumPy. So a template holds plain parameters only.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any, NamedTuple


class Angle(NamedTuple):
    """One angle of a step: ``scale * data[source]``, in radians."""

    source: int
    scale: float = 1.0


class Step(NamedTuple):
    """One Qiskit gate: its class in ``qiskit.circuit.library``, wire positions, angles or fixed numbers."""

    gate: str
    wires: tuple[int, ...]
    angles: tuple[Angle | float, ...] = ()


def _plain(gate: str, wires: int, angles: int = 0) -> tuple[Step, ...]:
    return (Step(gate, tuple(range(wires)), tuple(Angle(i) for i in range(angles))),)


def _controlled(gate: str) -> tuple[Step, ...]:
    """A rotation that anticommutes with X, controlled by wire 0: two CNOTs, as Qiskit itself writes it."""
    cnot = Step("CXGate", (0, 1))
    return (Step(gate, (1,), (Angle(0, 0.5),)), cnot, Step(gate, (1,), (Angle(0, -0.5),)), cnot)


def _zyz(first: Angle, second: Angle | float, third: Angle) -> tuple[Step, ...]:
    return (
        Step("RZGate", (0,), (first,)),
        Step("RYGate", (0,), (second,)),
        Step("RZGate", (0,), (third,)),
    )


# Aer knows neither gate, and Qiskit 2.3 panics when it has to translate one in a circuit that also holds a matrix:
# BasisTranslator raises a PanicException, which "except Exception" does not catch. Hardware has neither as well.
_CH = (
    Step("SGate", (1,)),
    Step("HGate", (1,)),
    Step("TGate", (1,)),
    Step("CXGate", (0, 1)),
    Step("TdgGate", (1,)),
    Step("HGate", (1,)),
    Step("SdgGate", (1,)),
)
_ISWAP = (
    Step("SGate", (0,)),
    Step("SGate", (1,)),
    Step("HGate", (0,)),
    Step("CXGate", (0, 1)),
    Step("CXGate", (1, 0)),
    Step("HGate", (1,)),
)

_GATES: dict[str, tuple[Step, ...]] = {
    "Identity": (),
    "GlobalPhase": (),
    "PauliX": _plain("XGate", 1),
    "PauliY": _plain("YGate", 1),
    "PauliZ": _plain("ZGate", 1),
    "Hadamard": _plain("HGate", 1),
    "S": _plain("SGate", 1),
    "T": _plain("TGate", 1),
    "SX": _plain("SXGate", 1),
    "CNOT": _plain("CXGate", 2),
    "CY": _plain("CYGate", 2),
    "CZ": _plain("CZGate", 2),
    "CH": _CH,
    "SWAP": _plain("SwapGate", 2),
    "ISWAP": _ISWAP,
    "ECR": _plain("ECRGate", 2),
    "CSWAP": _plain("CSwapGate", 3),
    "Toffoli": _plain("CCXGate", 3),
    "CCZ": _plain("CCZGate", 3),
    "RX": _plain("RXGate", 1, 1),
    "RY": _plain("RYGate", 1, 1),
    "RZ": _plain("RZGate", 1, 1),
    "CRX": (Step("HGate", (1,)), *_controlled("RZGate"), Step("HGate", (1,))),
    "CRY": _controlled("RYGate"),
    "CRZ": _controlled("RZGate"),
    "IsingXX": _plain("RXXGate", 2, 1),
    "IsingYY": _plain("RYYGate", 2, 1),
    "IsingZZ": _plain("RZZGate", 2, 1),
    "PhaseShift": _plain("RZGate", 1, 1),
    "U1": _plain("RZGate", 1, 1),
    "U2": _zyz(Angle(1), pi / 2, Angle(0)),
    "U3": _zyz(Angle(2), Angle(0), Angle(1)),
    "Rot": _zyz(Angle(0), Angle(1), Angle(2)),
    "ControlledPhaseShift": (
        Step("RZGate", (0,), (Angle(0, 0.5),)),
        *_controlled("RZGate"),
    ),
}
_PARTNERS = (("SGate", "SdgGate"), ("TGate", "TdgGate"), ("SXGate", "SXdgGate"))
_INVERSE = {gate: inverse for one, other in _PARTNERS for gate, inverse in ((one, other), (other, one))}


def _invert(step: Step) -> Step:
    """The inverse of a step: rotations turn back, and what is no rotation undoes itself unless it has a partner."""
    angles = tuple(Angle(a.source, -a.scale) if isinstance(a, Angle) else -a for a in step.angles)
    return Step(_INVERSE.get(step.gate, step.gate), step.wires, angles)


LOWERING = {
    **{f"Adjoint({name})": tuple(_invert(s) for s in reversed(steps)) for name, steps in _GATES.items()},
    **_GATES,
}
"""Gates whose data are angles only, and their adjoints; the order of steps is the order in time."""

ANGLES = {
    name: 1 + max((a.source for s in steps for a in s.angles if not isinstance(a, float)), default=-1)
    for name, steps in LOWERING.items()
}
"""Number of a gate's data that are angles of a circuit; a global phase has one datum and none of these."""

STATE_GATES = frozenset({"StatePrep", "QubitStateVector"})
"""Preparations that Qiskit writes for wires in the state 0; elsewhere PennyLane means another unitary."""

CONSTANT_GATES = frozenset({"QubitUnitary", "BasisState", "Barrier"}) | STATE_GATES
"""Gates whose data are part of the structure: Qiskit takes no parameter in a matrix or a state vector.

``QubitStateVector`` is the older name of ``StatePrep``.
"""

NATIVE_GATES = frozenset(LOWERING) | CONSTANT_GATES
"""Everything that needs no decomposition by PennyLane."""

ACCEPTED_GATES = ", ".join(sorted({*_GATES, *CONSTANT_GATES}))
"""The same for error texts; adjoints go without saying."""


def is_mid_measure(op: Any) -> bool:
    """Whether an operation is a measurement in the middle of a circuit."""
    return bool(op.name == "MidMeasureMP")


def is_conditional(op: Any) -> bool:
    """Whether an operation is a gate under a condition on such measurements."""
    return bool(op.name.startswith("Conditional("))


def is_native_gate(op: Any) -> bool:
    """Whether an operation is one of ``NATIVE_GATES``, and no gate of the user's own that has the name of one."""
    name = op.name
    if name not in NATIVE_GATES:
        return False
    gate = type(op.base if name.startswith("Adjoint(") else op)
    return gate.__module__.startswith("pennylane") or any(
        cls.__name__ == gate.__name__ and cls.__module__.startswith("pennylane.") for cls in gate.__mro__[1:]
    )


def is_native(op: Any) -> bool:
    """Whether the converter takes an operation as it is, on a backend that runs dynamic circuits."""
    if is_native_gate(op) or is_mid_measure(op):
        return True
    return is_conditional(op) and is_native_gate(op.base) and op.base.name not in STATE_GATES


def late_preparations(operations: Sequence[Any]) -> list[int]:
    """Places of state preparations on wires that something has touched before, or under a condition."""
    if not any(op.name in STATE_GATES or is_conditional(op) for op in operations):
        return []
    touched: set[Any] = set()
    late = []
    for place, op in enumerate(operations):
        conditional = is_conditional(op) and op.base.name in STATE_GATES
        if conditional or (op.name in STATE_GATES and not touched.isdisjoint(op.wires)):
            late.append(place)
        touched.update(op.wires)
    return late


def is_batched_constant(op: Any) -> bool:
    """Whether a matrix or state that is part of a structure, or is wrapped in the operation, has a batch axis."""
    gate = op
    while getattr(gate, "base", None) is not None:
        gate = gate.base
    return gate.name in CONSTANT_GATES and getattr(gate, "batch_size", None) is not None
