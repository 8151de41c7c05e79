"""A call made twice, with PennyLane's legacy device API; see :mod:`.later`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, MutableMapping
from copy import copy
from typing import TYPE_CHECKING, Any

import pennylane as qml
from pennylane.tape import QuantumScript  # noqa: TC002 - PennyLane evaluates the annotations of batch_transform
from pennylane.transforms.core import TransformProgram

from .classic_selector_device import SelectorDevice
from .later import Submitted
from .plain_types import as_plain
from .routing import Ticket

if TYPE_CHECKING:
    from pennylane.typing import Result

    from .classic_node import QElectron

# Gradients that make the same circuits whenever they are made from the same circuit. JAX asks for them together with
# the circuit itself, so they can be submitted together too.
_REPEATABLE = ("param_shift", "param_shift_cv", "finite_diff", "hadamard_grad")


class _TwiceDevice(SelectorDevice):
    """Submits what it is asked to run the first time, and gives those results the second time.

    Args:
        inner: The device of the call.
    """

    def __init__(self, inner: SelectorDevice) -> None:
        self.__dict__.update(inner.__dict__)
        self.sent: tuple[tuple[QuantumScript, ...], Ticket] | None = None
        self.submitting = True
        self.whole = True
        self._circuits = 0

    def batch_transform(self, circuit: QuantumScript) -> tuple[list[QuantumScript], Callable[[Any], Any]]:
        """Count the call's own circuits; those of gradients do not come here."""
        self._circuits += self.submitting
        return super().batch_transform(circuit)

    def batch_execute(self, circuits: Iterable[QuantumScript], **options: Any) -> list[Result]:
        """Submit and leave; or give the results, and run what was not submitted."""
        batch = tuple(circuits)
        if self.submitting:
            first = batch if self.whole else batch[: max(1, self._circuits)]
            self.sent = (first, self.send(first))
            raise Submitted
        if self.sent is None:
            return super().batch_execute(batch, **options)
        (first, ticket), self.sent = self.sent, None
        self._first._num_executions += 1  # noqa: SLF001 - the same class's
        ready = dict(enumerate(self.collect(first, ticket)))
        # random gradients shift by other angles each time
        known = [i for i, (was, now) in enumerate(zip(first, batch)) if was.hash == now.hash]
        rest = [i for i in range(len(batch)) if i not in known]
        ran = super().batch_execute([batch[i] for i in rest], **options)
        results = {**{i: ready[i] for i in known}, **dict(zip(rest, ran))}
        return [results[i] for i in range(len(batch))]


class _Once:
    """A transform that is applied once to each of its tapes, in order; whatever it made is given again.

    Args:
        transform: The transform.
    """

    def __init__(self, transform: Callable[..., Any]) -> None:
        functools.update_wrapper(self, transform)
        self._transform = transform
        self._made: list[Any] = []
        self.turn = 0

    def __call__(self, tape: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply it, or give what it made."""
        if self.turn == len(self._made):
            self._made.append(self._transform(tape, *args, **kwargs))
        self.turn += 1
        return self._made[self.turn - 1]


class Twice(qml.QNode):
    """One call of a qelectron, made twice.

    Args:
        call: A copy of the qelectron for this call.
    """

    execute_kwargs: dict[str, Any]

    def __init__(self, call: QElectron) -> None:
        self.__dict__.update(call.__dict__)
        self._interface_asked = call.interface
        self._plain = call.original_qnode
        self.device: _TwiceDevice = _TwiceDevice(call.device)
        self._original_device = self.device
        self._recorded: tuple[Any, Any] | None = None
        self._replay = False
        self._once: list[_Once] = []
        self._transform_program = self._each_once(call.transform_program)
        self._cache: Any = call.execute_kwargs.get("cache")
        self._snapshot = dict(self._cache) if isinstance(self._cache, MutableMapping) else None

    @property
    def sent(self) -> Ticket | None:
        """What the first time submitted."""
        return None if self.device.sent is None else self.device.sent[1]

    def construct(self, args: Any, kwargs: Any) -> None:
        """Record the circuit; the second time, give the one of the first."""
        if self._replay and self._recorded is not None:
            self._replay = False
            kwargs.pop("shots", None)
            self._tape, self._qfunc_output = self._recorded
            return
        super().construct(args, kwargs)
        if self._recorded is None:
            self._recorded = (self._tape, self._qfunc_output)

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
        return as_plain(value, self._plain, self._tape, args, kwargs)

    def second(self, args: Any, kwargs: Any) -> Any:
        """From the results on."""
        used = self._use_cache()
        self._interface, self._replay = self._interface_asked, True
        for transform in self._once:
            transform.turn = 0
        value = super().__call__(*args, **kwargs)
        if used is not None:
            self._cache.update(used)
        return as_plain(value, self._plain, self._tape, args, kwargs)

    def _update_gradient_fn(self, *args: Any, **kwargs: Any) -> None:
        super()._update_gradient_fn(*args, **kwargs)
        known = [getattr(qml.gradients, name, None) for name in _REPEATABLE]
        self.device.whole = any(self.gradient_fn is method for method in known)

    def _each_once(self, program: Any) -> Any:
        if any(container.classical_cotransform for container in program):
            # PennyLane applies such a program to further circuits in between
            return program
        made = TransformProgram()
        for container in program:
            once = _Once(container.transform)
            self._once.append(once)
            fresh = copy(container)
            fresh._transform = once  # noqa: SLF001 - there is no other way to change it
            made.push_back(fresh)
        return made

    def _use_cache(self) -> dict[Any, Any] | None:
        """A cache of the user's as it was at first: each time sees the same, so asks for the same circuits."""
        if self._snapshot is None:
            return None
        used = dict(self._snapshot)
        self.execute_kwargs = {**self.execute_kwargs, "cache": used}
        return used
