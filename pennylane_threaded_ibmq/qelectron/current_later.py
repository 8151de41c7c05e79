"""A call made twice, with PennyLane's device API; see :mod:`.later`."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.devices import Device
from pennylane.tape import QuantumScript

from .later import Submitted
from .plain_types import as_plain
from .routing import Ticket

if TYPE_CHECKING:
    from pennylane.devices.execution_config import ExecutionConfig
    from pennylane.transforms.core import CompilePipeline

    from .current_node import QElectron
    from .current_selector_device import SelectorDevice

# Gradients that make the same circuits whenever they are made from the same circuit. JAX asks for them together with
# the circuit itself, so they can be submitted together too.
_REPEATABLE = ("param_shift", "param_shift_cv", "finite_diff", "hadamard_grad")


class _TwiceDevice(Device):
    """Submits what it is asked to run the first time, and gives those results the second time.

    Args:
        inner: The qelectron's device.
    """

    def __init__(self, inner: SelectorDevice) -> None:
        super().__init__(wires=inner.wires)
        self._inner = inner
        self.circuits = 1
        self.sent: tuple[tuple[QuantumScript, ...], Ticket] | None = None
        self.submitting = True

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._inner.name

    def preprocess_transforms(self, execution_config: ExecutionConfig | None = None) -> CompilePipeline:
        """As the qelectron's device."""
        return self._inner.preprocess_transforms(execution_config)

    def setup_execution_config(
        self, config: ExecutionConfig | None = None, circuit: QuantumScript | None = None
    ) -> ExecutionConfig:
        """As the qelectron's device."""
        return self._inner.setup_execution_config(config, circuit)

    def execute(
        self,
        circuits: QuantumScript | Sequence[QuantumScript],
        execution_config: ExecutionConfig | None = None,
    ) -> Any:
        """Submit and leave; or give the results, and run what was not submitted."""
        if isinstance(circuits, QuantumScript):
            return self.execute((circuits,), execution_config)[0]
        batch = tuple(circuits)
        if self.submitting:
            first = batch if _repeats(execution_config) else batch[: self.circuits]
            self.sent = (first, self._inner.send(first))
            raise Submitted
        if self.sent is None:
            return self._inner.execute(batch, execution_config)
        (first, ticket), self.sent = self.sent, None
        results = self._inner.collect(first, ticket)
        rest = batch[len(first) :]
        return results + tuple(self._inner.execute(rest, execution_config)) if rest else results


class _OncePipeline:
    """The transforms of a QNode; applied once, whatever they make is given again.

    Args:
        pipeline: The transforms.
        qnode: Their QNode, for transforms that ask what it does with its arguments.
        made: Told how many circuits they made.
    """

    def __init__(self, pipeline: Any, qnode: QElectron, made: Callable[[int], None]) -> None:
        self._pipeline = pipeline
        self._qnode = qnode
        self._made = made
        self._kept: tuple[Any, Any] | None = None
        self.is_informative = pipeline.is_informative

    def set_classical_component(self, _: Any, args: Any, kwargs: Any) -> None:
        """As PennyLane's, with the QNode that can be called anew."""
        if self._kept is None:
            self._pipeline.set_classical_component(self._qnode, args, kwargs)

    def __call__(self, tapes: Any) -> tuple[Any, Any]:
        """Apply the transforms, or give what they made."""
        if self._kept is None:
            made, post = self._pipeline(tapes)
            self._kept = (tuple(made), post)
            self._made(len(self._kept[0]))
        return self._kept


class Twice(qml.QNode):
    """One call of a qelectron, made twice.

    Args:
        qnode: The qelectron.
    """

    def __init__(self, qnode: QElectron) -> None:
        self.__dict__.update(qnode.__dict__)
        self.execute_kwargs: dict[str, Any] = dict(qnode.execute_kwargs)
        self._qelectron = qnode
        self._kept: QuantumScript | None = None
        self.device = _TwiceDevice(qnode.device)
        self._compile_pipeline = _OncePipeline(
            qml.CompilePipeline(qnode.compile_pipeline), qnode, self._count
        )
        self._cache = qnode.execute_kwargs["cache"]
        self._snapshot = dict(self._cache) if isinstance(self._cache, MutableMapping) else None

    @property
    def sent(self) -> Ticket | None:
        """What the first time submitted."""
        return None if self.device.sent is None else self.device.sent[1]

    def construct(self, args: Any, kwargs: Any) -> QuantumScript:
        """Record the circuit, once."""
        if self._kept is None:
            self._kept = self._qelectron.device.with_common_shots(super().construct(args, kwargs))
            self._tape = self._kept
        return self._kept

    def first(self, args: Any, kwargs: Any) -> Any:
        """Up to the submission; if the call ends without one, its result."""
        self._use_cache()
        try:
            value = super().__call__(*args, **kwargs)
        except BaseException:
            # some frameworks raise an error of their own in the place of one that passes through them
            if self.device.sent is None:
                raise
            raise Submitted from None
        finally:
            self.device.submitting = False
        return as_plain(value, self._qelectron.original_qnode, self._kept, args, kwargs)

    def second(self, args: Any, kwargs: Any) -> Any:
        """From the results on."""
        used = self._use_cache()
        value = super().__call__(*args, **kwargs)
        if used is not None:
            self._cache.update(used)
        return as_plain(value, self._qelectron.original_qnode, self._kept, args, kwargs)

    def _use_cache(self) -> dict[Any, Any] | None:
        """A cache of the user's as it was at first: each time sees the same, so asks for the same circuits."""
        if self._snapshot is None:
            return None
        used = dict(self._snapshot)
        self.execute_kwargs = {**self.execute_kwargs, "cache": used}
        return used

    def _count(self, circuits: int) -> None:
        self.device.circuits = circuits


def _repeats(config: ExecutionConfig | None) -> bool:
    method = getattr(config, "gradient_method", None)
    return any(method is getattr(qml.gradients, name, None) for name in _REPEATABLE)
