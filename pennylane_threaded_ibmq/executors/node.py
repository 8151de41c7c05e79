"""``@qelectron``: a QNode whose circuits run on executors. What depends on PennyLane is in ``stacks/<stack>/qelectron.py``."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast, overload

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from ..circuits.changes import with_shots
from ..exceptions import ConfigurationError
from ..settings import DEFAULT_BACKEND
from ..stack import stack
from .base import BaseQExecutor
from .cluster import QCluster, check_executors, check_selector
from .executor import IBMQExecutor
from .later import LaterCall, LaterFuture, submit_later

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from .options import Executors, QElectronOptions, Selector

_SIMULATOR_GRADIENTS = ("backprop", "adjoint", "device")


class QElectron(qml.QNode):
    """A QNode whose circuits run on executors. Made by :func:`~pennylane_threaded_ibmq.executors.qelectron`.

    Attributes:
        original_qnode: The QNode it was made from.
        name: What the decorator was given, or the function's name.
        description: What the decorator was given, or the function's documentation.
    """

    original_qnode: qml.QNode
    name: str
    description: str
    device: Any
    execute_kwargs: dict[str, Any]
    gradient_kwargs: dict[str, Any]
    _tape: Any
    _of_last_call: ClassVar[tuple[str, ...]] = ("_tape", "_qfunc_output")
    """Attributes that PennyLane's own tools look at after a call."""
    _autograd_like: ClassVar[tuple[str, ...]] = ("autograd",)
    """Frameworks whose arguments PennyLane takes for autograd's, where no interface is named."""

    def __init__(self, qnode: qml.QNode, target: BaseQExecutor) -> None:
        self.__dict__.update({"original_qnode": qnode, **qnode.__dict__})
        self._own()
        self._run_on(target)

    def __copy__(self) -> Self:
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        fresh._own()  # noqa: SLF001 - the same class's
        return fresh

    def _own(self) -> None:
        """Copy what PennyLane changes in a QNode."""
        self.execute_kwargs = dict(self.execute_kwargs)
        self.gradient_kwargs = dict(self.gradient_kwargs)

    @property
    def executors(self) -> tuple[BaseQExecutor, ...]:
        """All executors that may be chosen."""
        return tuple(self.device.executors)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the circuit and wait for its result, of the types and shapes of the plain QNode's."""
        call = self._one_call(args, kwargs)
        try:
            with self.device.guard.held():
                value = super(QElectron, call).__call__(*args, **kwargs)
                return self.as_plain(value, call._tape, args, kwargs)  # noqa: SLF001 - the same class's
        finally:
            for name in self._of_last_call:
                setattr(self, name, getattr(call, name))

    def run_later(self, *args: Any, **kwargs: Any) -> LaterFuture:
        """Choose executors and submit now, and return at once.

        Args:
            *args: Arguments of the circuit.
            **kwargs: Its keyword arguments.

        Returns:
            A future whose ``result()`` is what a plain call would have returned; whatever goes wrong is raised there.
        """
        return submit_later(lambda: self._later(args, kwargs), self.device.guard)

    def construct(self, args: Any, kwargs: Any) -> Any:
        """Record the circuit; with the executors' shots, if they all say the same.

        PennyLane then sees the shots that will be used, as it must where they are a vector.
        """
        tape = super().construct(args, kwargs)
        shots = self.device.common_shots
        if shots is not None and shots != self._tape.shots:
            self._tape = with_shots(self._tape, shots)
        # PennyLane of the classic stack gives nothing
        return None if tape is None else self._tape

    def as_plain(self, value: Any, tape: Any, args: Any, kwargs: Any) -> Any:
        """The result of a call, of the types of the plain QNode's.

        Without shots, PennyLane differentiates a simulator by backpropagation, which gives tensors to autograd; circuits of
        executors are differentiated by shifts, which give arrays.
        """
        if tape is None or tape.shots or not self._is_for_autograd(args, kwargs):
            return value
        return _as_tensors(value) if self._passes_through else value

    def _is_for_autograd(self, args: Any, kwargs: Any) -> bool:
        interface = self.original_qnode.interface
        if interface not in ("auto", "autograd"):
            return False
        framework = qml.math.get_interface(*args, *kwargs.values())
        # by backpropagation the arguments count, and not what was named
        return framework in self._autograd_like if interface == "auto" else framework not in ("jax", "torch")

    @property
    @abstractmethod
    def _passes_through(self) -> bool:
        """Whether PennyLane differentiates the plain QNode by backpropagation, where it has no shots."""

    @abstractmethod
    def _run_on(self, target: BaseQExecutor) -> None:
        """Be a QNode on a device that hands circuits to an executor."""

    @abstractmethod
    def _one_call(self, args: Any, kwargs: Any) -> Self:
        """A copy for one call."""

    @abstractmethod
    def _later(self, args: Any, kwargs: Any) -> LaterCall:
        """A call that has not been submitted."""


@overload
def qelectron(qnode: Callable[..., Any], **options: Unpack[QElectronOptions]) -> QElectron: ...


@overload
def qelectron(**options: Unpack[QElectronOptions]) -> Callable[[Callable[..., Any]], QElectron]: ...


def qelectron(
    qnode: Callable[..., Any] | None = None,
    *,
    executors: Executors | None = None,
    selector: Selector = "cyclic",
    name: str | None = None,
    description: str | None = None,
) -> Any:
    """Run the circuits of a QNode on executors.

    Used as ``@qelectron``, as ``@qelectron(executors=...)``, both above ``@qml.qnode(...)``, or as a function,
    ``qelectron(qnode, executors=...)``.

    Args:
        qnode: The QNode; it is not changed.
        executors: An executor, a list of them, or a ``QCluster``, which brings its own selector. Without any, circuits
            run on a simulator of this machine.
        selector: Which executor of a list runs a circuit: ``"cyclic"``, ``"random"``, ``"least_busy"``, or a callable
            ``selector(circuit, executors)`` that returns one of them.
        name: Kept as ``name`` of what is returned; by default the function's name.
        description: Kept as ``description``; by default the function's documentation.

    Returns:
        A :class:`~pennylane_threaded_ibmq.QElectron`, which is a QNode with ``run_later``; a decorator if no QNode was given.

    Raises:
        ConfigurationError: Executors or selector cannot work, or the QNode's gradients need a simulator's state.
        TypeError: Something other than a QNode was given.
    """
    target = _target(executors, selector)
    if qnode is None:
        return functools.partial(_wrap, target=target, name=name, description=description)
    return _wrap(qnode, target, name, description)


def _target(executors: Executors | None, selector: Selector) -> BaseQExecutor:
    selector = check_selector(selector)
    if executors is None:
        # by name, so that a backend that some file configures is not used, and paid, unasked
        return IBMQExecutor(backend=DEFAULT_BACKEND)
    if isinstance(executors, BaseQExecutor):
        return executors
    members = check_executors(executors)
    return members[0] if len(members) == 1 else QCluster(executors=members, selector=selector)


def _wrap(qnode: Any, target: BaseQExecutor, name: str | None, description: str | None) -> QElectron:
    if not isinstance(qnode, qml.QNode):
        raise TypeError(_no_qnode(qnode))
    if qnode.diff_method in _SIMULATOR_GRADIENTS:
        raise ConfigurationError(
            f"diff_method={qnode.diff_method!r} needs the state of a simulator, which executors do not give. Use "
            "diff_method='best' or 'parameter-shift' in qml.qnode. Nothing was sent.",
            argument="diff_method",
            value=qnode.diff_method,
        )
    module = import_module(f"..stacks.{stack().value}.qelectron", __package__)
    electron: QElectron = module.StackQElectron(qnode, target)
    electron.name = name if name is not None else str(getattr(qnode.func, "__name__", ""))
    electron.description = description if description is not None else str(qnode.func.__doc__ or "")
    return electron


def _no_qnode(value: Any) -> str:
    if isinstance(value, (BaseQExecutor, list, tuple)):
        return f"qelectron got {type(value).__name__} where a QNode belongs: pass executors by name, executors=..."
    if callable(value):
        name = cast(str, getattr(value, "__name__", repr(value)))
        return (
            f"qelectron got {name!r} ({type(value).__name__}), which is no QNode. Put @qelectron above @qml.qnode(...): "
            "the line next to the function is @qml.qnode."
        )
    return f"qelectron got {value!r} ({type(value).__name__}), which is no QNode."


def _as_tensors(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_as_tensors(one) for one in value)
    return pnp.tensor(value) if isinstance(value, (np.ndarray, np.floating)) else value
