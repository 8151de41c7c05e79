"""Transpiling: one pass manager a backend, one circuit at a time."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

from .._compat import cached_property
from ..exceptions import ConfigurationError, nearest
from .routed import TRIMS, Halves, Routed, final_places, halves
from .targets import check_isa, reduced_target

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks
    # Native passes of Qiskit use a pool of threads. A forked child has none of them and would wait for them for ever, unless
    # it says, as Qiskit's own workers do, that it is one of many.
    os.register_at_fork(after_in_child=lambda: os.environ.setdefault("QISKIT_IN_PARALLEL", "TRUE"))


def load_native() -> None:
    """Load Qiskit in this thread, for another that is about to use it.

    The allocator of Qiskit 2.6's compiled part can end the process with a segmentation fault when its pool of threads starts, if
    a thread beside the main one has loaded it: in ``_mi_subproc``, below ``mi_thread_init`` of a worker of ``rayon``. Seen
    in notebooks, with calls that a thread of ours prepared; never where the thread that called had loaded it.
    """
    import qiskit

    _ = qiskit.QuantumCircuit  # the compiled part comes with it


class Compiler:
    """Transpiles for one backend and counts how often a circuit was laid out and routed.

    The pass manager is built once: for a simulator that takes 60 of the 62 ms of ``qiskit.transpile``, because the
    simulator makes its target anew at each look. A pass manager shared by threads gives silently different
    circuits, so one lock guards it; threads would gain nothing, transpiling holds the interpreter.

    Args:
        backend: What to transpile for, or a function that opens it when it is first needed.
        options: Options of ``generate_preset_pass_manager``.
        without: Gates not to use though the backend has them.
        runs_on: Where the circuits will run, if they must fit there exactly.
    """

    def __init__(
        self,
        backend: Any,
        options: Mapping[str, Any],
        *,
        without: Set[str] = frozenset(),
        runs_on: Any = None,
    ) -> None:
        self._runs_on = runs_on
        self._source = backend
        self._options = dict(options)
        self._without = frozenset(without)
        self._lock = threading.Lock()
        self._manager: Any = None
        self._halves: Halves | None = None
        self.transpiles = 0

    @cached_property
    def _backend(self) -> Any:
        return self._source() if callable(self._source) else self._source

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """Names of everything that circuits may hold, such as ``"if_else"``; none if the backend does not say."""
        target = getattr(self._backend, "target", None)
        return frozenset() if target is None else frozenset(target.operation_names)

    def __call__(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Transpile one circuit.

        Raises:
            ConfigurationError: What came of it does not fit where it is to run.
        """
        return self._check_fit(self._run(self._ready(), self._expand(circuit)))

    def route(self, circuit: QuantumCircuit) -> Routed | None:
        """Transpile what several endings of a circuit have in common.

        Args:
            circuit: Without its last rotations and measurements, and with no measurement before them: passes take out what comes
                last and changes no outcome.

        Returns:
            What endings are appended to; ``None`` where each is as well compiled for itself.
        """
        self._ready()
        if self._halves is None:
            return None
        routed = self._run(self._halves.before, self._expand(circuit))
        places = final_places(routed, circuit.num_qubits)
        return Routed(routed, places, self._halves.level >= TRIMS, self._finish)

    def _finish(self, circuit: QuantumCircuit) -> QuantumCircuit:
        assert self._halves is not None
        with self._lock:
            whole = _apply(self._halves.after, circuit)
        # passes that move no qubit leave no layout, and Qiskit has no other way to say that it is the one before
        whole._layout = circuit.layout  # noqa: SLF001
        return self._check_fit(whole)

    def _check_fit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        if self._runs_on is not None:
            check_isa(circuit, self._runs_on)
        return circuit

    def _ready(self) -> Any:
        """The pass manager."""
        with self._lock:
            if self._manager is None:
                self._manager = self._build()
                self._halves = halves(self._manager, self._target, self._options["optimization_level"])
            return self._manager

    def _run(self, manager: Any, circuit: QuantumCircuit) -> QuantumCircuit:
        with self._lock:
            self.transpiles += 1
            return _apply(manager, circuit)

    @cached_property
    def _target(self) -> Any:
        target = getattr(self._backend, "target", None)
        if target is not None and self._without & self.operation_names:
            target = reduced_target(target, without=self._without)
        return target

    def _build(self) -> Any:
        from qiskit.transpiler.preset_passmanagers import generate_preset_pass_manager

        where = {"backend": self._backend} if self._target is None else {"target": self._target}
        with warnings.catch_warnings():
            # IBM's own plugin for Qiskit says so of itself whenever plugins are listed
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="stevedore")
            return generate_preset_pass_manager(**where, **self._options)

    def _expand(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Write gates that the target lacks by their definitions, where Qiskit's translator might panic.

        Given a target that takes matrices, as Aer's does, it does so for a circuit with both a matrix and a gate
        that the target lacks, such as ISWAP. State preparation turns into matrices on the way.
        """
        if "unitary" not in self.operation_names:
            return circuit
        from qiskit.circuit.library import get_standard_gate_name_mapping

        standard = get_standard_gate_name_mapping().keys() - self.operation_names
        while lacking := standard & circuit.count_ops().keys():
            circuit = circuit.decompose(gates_to_decompose=sorted(lacking))
        return circuit


def _apply(manager: Any, circuit: QuantumCircuit) -> QuantumCircuit:
    """Apply a pass manager to a circuit."""
    try:
        return manager.run(circuit)
    except BaseException as error:
        # a panic of Qiskit's Rust part is no Exception, and would pass every handler
        if type(error).__name__ == "PanicException":
            raise RuntimeError(f"Qiskit's transpiler failed: {error}.") from error
        raise


def check_transpile_options(options: Mapping[str, Any]) -> None:
    """Refuse options that ``generate_preset_pass_manager`` does not have.

    Raises:
        ConfigurationError: An option is unknown, or says what the backend says already.
    """
    if not options:
        return
    from inspect import signature

    from qiskit.transpiler.preset_passmanagers import generate_preset_pass_manager

    backend_options = {"backend", "target", "basis_gates", "coupling_map"}
    known = [
        n
        for n in signature(generate_preset_pass_manager).parameters
        if n[0] != "_" and n not in backend_options
    ]
    for name in options:
        if name in backend_options:
            raise _refusal(
                f"{name!r} is set by the backend. To transpile for another one, give compile_backend=",
                options,
            )
        if name not in known:
            raise _refusal(
                f"unknown option {name!r}.{nearest(name, known)} Known: {', '.join(known)}", options
            )
    level = options.get("optimization_level")
    if level is not None and level not in (0, 1, 2, 3):
        raise _refusal(f"optimization_level={level!r}; it is 0, 1, 2 or 3", options)


def _refusal(problem: str, options: Mapping[str, Any]) -> ConfigurationError:
    return ConfigurationError(
        f"transpile_options: {problem}. Nothing was sent.", argument="transpile_options", value=dict(options)
    )
