"""Variances as moments: ``<A^2> - <A>^2``, which the shift rule of PennyLane gets wrong for most observables ``A``.

Its rule squares matrices, projectors and their products, and takes the square of everything else for constant: of a sum, of
a multiple of a matrix. The two moments are linear in the state, so that each has the shift rule of an expectation value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.measurements import MeasurementProcess, VarianceMP
from pennylane.ops.op_math import Prod
from pennylane.queuing import QueuingManager
from pennylane.tape import QuantumScript

from .._tensors import is_nested
from .changes import only_result
from .decompositions import MOST_MATRIX_WIRES
from .pauli import pauli_sentence_of
from .precision import to_complex

if TYPE_CHECKING:
    from pennylane.operation import Operator

SQUARED = frozenset({"Hermitian", "Projector", "Hadamard", "PauliX", "PauliY", "PauliZ", "Identity"})
"""Observables whose square PennyLane knows, alone and as factors of a product."""


def has_wrong_rule(mp: MeasurementProcess) -> bool:
    """Whether PennyLane's parameter-shift rule for a measurement is wrong."""
    if not isinstance(mp, VarianceMP) or mp.obs is None:
        return False
    sentence = pauli_sentence_of(mp.obs)
    if sentence is not None:
        return len(sentence) > 1
    factors = _factors(mp.obs)
    apart = sum(len(factor.wires) for factor in factors) == len(mp.obs.wires)
    return not (apart and all(factor.name in SQUARED for factor in factors))


def _factors(obs: Operator) -> Sequence[Operator]:
    factors: Sequence[Operator] = (obs,)
    if isinstance(obs.name, list):  # a Tensor of PennyLane's before 0.37
        factors = obs.obs
    elif isinstance(obs, Prod) and hasattr(qml.ops, "LinearCombination"):
        # PennyLane before 0.36 knows no squares of products
        factors = obs.operands
    return factors


def has_moments(mp: VarianceMP) -> bool:
    """Whether the observable can be squared here."""
    obs = mp.obs
    if obs is None or getattr(mp, "mv", None) is not None:
        return False
    return pauli_sentence_of(obs) is not None or (obs.has_matrix and len(obs.wires) <= MOST_MATRIX_WIRES)


def moments(obs: Operator) -> list[MeasurementProcess]:
    """Expectation values of an observable and of its square."""
    sentence = pauli_sentence_of(obs)
    if sentence is None:
        matrix = to_complex(obs.matrix())
        return [qml.expval(obs), qml.expval(qml.Hermitian(matrix @ matrix, wires=obs.wires))]
    # before PennyLane 0.34 the product of sentences has another sign
    square = sentence @ sentence if hasattr(sentence, "__matmul__") else sentence * sentence
    square.simplify()
    return [qml.expval(obs), qml.expval(square.operation(wire_order=obs.wires))]


def split_variances(tape: QuantumScript) -> tuple[list[QuantumScript], Callable[[Any], Any]]:
    """A tape that may be differentiated, with moments in place of variances whose rule is wrong.

    The variance is then made of the moments where the interface of the gradient sees it, so that its derivative is right.

    Args:
        tape: Any tape. One without trainable angles is handed back as it is.

    Returns:
        One tape, and what makes the result from its.
    """
    split = [has_wrong_rule(mp) and has_moments(mp) for mp in tape.measurements]
    if not any(split) or not any(
        qml.math.requires_grad(number) for op in tape.operations for number in op.data
    ):
        return [tape], only_result
    measurements: list[MeasurementProcess] = []
    with QueuingManager.stop_recording():
        for mp, is_split in zip(tape.measurements, split):
            measurements += moments(mp.obs) if is_split else [mp]
    result = QuantumScript(tape.operations, measurements, shots=tape.shots)
    result.trainable_params = tape.trainable_params

    def joined(results: Any) -> Any:
        parts = iter(results)
        values = [_variance(next(parts), next(parts)) if is_split else next(parts) for is_split in split]
        return values[0] if len(values) == 1 else tuple(values)

    def post(results: Any) -> Any:
        # with a shot vector there is a tuple of all measurements for each copy
        copies = is_nested(results[0][0])
        return tuple(joined(copy) for copy in results[0]) if copies else joined(results[0])

    return [result], post


def _variance(mean: Any, mean_square: Any) -> Any:
    return mean_square - mean**2
