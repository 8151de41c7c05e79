"""IBM's backend snapshots, and their noise on the qubits that a run uses.

A noise model of all 133 qubits takes seconds to make and seconds more in each run, since Aer reads it anew. Circuits
use a few of them, and noise on the others changes nothing.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..exceptions import BackendError, nearest
from .targets import reduced_target

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

MOST_SIMULATORS = 16
"""Simulators kept for different sets of qubits."""


def snapshot_classes() -> dict[str, Any]:
    """Snapshot classes by name. IBM's provider would make an object of every one."""
    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime import fake_provider

    # until 2024 there was an older class beside each, with the same name and without a target
    backends = [c for c in vars(fake_provider).values() if inspect.isclass(c) and issubclass(c, BackendV2)]
    classes = {str(getattr(c, "backend_name", "")): c for c in backends}
    return {name: c for name, c in classes.items() if name.startswith("fake_")}


def fake_names() -> list[str]:
    """Names of IBM's backend snapshots, such as ``fake_torino``."""
    return sorted(snapshot_classes())


def open_snapshot(name: str, argument: str = "backend") -> Any:
    """Make the backend of a snapshot.

    Args:
        name: Its name.
        argument: The argument that names it, for the error.

    Raises:
        BackendError: There is no such snapshot.
    """
    classes = snapshot_classes()
    if name not in classes:
        raise BackendError(
            f"{argument}={name!r}: there is no such snapshot.{nearest(name, classes)} "
            f"Snapshots: {', '.join(sorted(classes))}.",
            argument=argument,
            value=name,
        )
    with warnings.catch_warnings():
        # some snapshots warn as soon as they are made
        warnings.simplefilter("ignore")
        return classes[name]()


def is_snapshot(backend: Any) -> bool:
    """Whether a backend is one of IBM's snapshots."""
    return type(backend).__module__.startswith("qiskit_ibm_runtime.fake_provider")


class SnapshotSimulators:
    """Aer with a snapshot's noise and the options that are given, one for each set of qubits in use."""

    def __init__(self, backend: Any, options: Mapping[str, Any]) -> None:
        self._backend = backend
        self._options = options
        self._lock = threading.Lock()
        self._simulators: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def of(self, circuits: Sequence[QuantumCircuit]) -> Any:
        """The simulator for some circuits."""
        qubits = tuple(
            sorted({c.find_bit(q).index for c in circuits for step in c.data for q in step.qubits})
        )
        with self._lock:
            simulator = self._simulators.get(qubits)
            if simulator is None:
                simulator = self._simulators[qubits] = self._make(qubits)
                if len(self._simulators) > MOST_SIMULATORS:
                    self._simulators.popitem(last=False)
            else:
                self._simulators.move_to_end(qubits)
            return simulator

    def _make(self, qubits: tuple[int, ...]) -> Any:
        from qiskit_aer import AerSimulator
        from qiskit_aer.noise import NoiseModel

        noise = NoiseModel.from_backend(_part(self._backend, frozenset(qubits)))
        return AerSimulator.from_backend(self._backend, noise_model=noise, **self._options)


def _part(backend: Any, qubits: frozenset[int]) -> Any:
    """A backend with all qubits of another and the gates of some of them."""
    from qiskit.providers import BackendV2, Options

    target = reduced_target(backend.target, qubits=qubits)

    class Part(BackendV2):
        """The part of a snapshot from which Aer reads a noise model."""

        @property
        def target(self) -> Any:
            return target

        @property
        def max_circuits(self) -> None:
            return None

        @classmethod
        def _default_options(cls) -> Any:
            return Options()

        def run(self, run_input: Any, **options: Any) -> Any:
            raise TypeError(
                f"{self.name} only describes noise; {run_input!r} and {options!r} cannot run on it"
            )

    return Part(name=backend.name)
