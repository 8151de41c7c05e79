"""A plugin for other projects' tests: what has shots runs on ``threaded.ibmq``, the rest where it would run anyway.

The tests make a ``default.qubit``, ``lightning.qubit`` or ``qiskit.aer`` and get one whose circuits with shots are prepared
and run by the device of this project. It counts the tests in which that happened, so that a run that tests nothing is seen.
"""

from __future__ import annotations

from importlib.util import find_spec

import pennylane as qml
import pytest
from pennylane.devices import DefaultQubit

pytest_plugins = ("random_seed",)

NAMES = frozenset(
    {"default.qubit", "reference.qubit", "lightning.qubit", "qiskit.aer", "qiskit.basicsim", "qiskit.remote"}
)
RUN = "tests that ran circuits on threaded.ibmq"

make_device = qml.device
counted = {"tapes": 0, "tests": 0}


class SharedDevice(DefaultQubit):
    """``default.qubit`` for circuits without shots, ``threaded.ibmq`` for those with shots.

    Args:
        options: Further options of ``threaded.ibmq``.
        given: What ``default.qubit`` is given.
    """

    def __init__(self, *given, options=None, **keywords):
        super().__init__(*given, **keywords)
        self._options = options or {}
        self._ours = {}

    def ours(self, tape):
        """The device of this project with the wires that a tape means."""
        wires = tuple(self.wires or tape.wires or (0,))
        if wires not in self._ours:
            self._ours[wires] = make_device("threaded.ibmq", wires=wires, progress=False, **self._options)
        device = self._ours[wires]
        device.tracker = self.tracker
        return device

    def setup_execution_config(self, config=None, circuit=None):
        if circuit is not None and circuit.shots:
            return self.ours(circuit).setup_execution_config(config, circuit)
        return super().setup_execution_config(config, circuit)

    def preprocess_transforms(self, execution_config=None):
        pipeline = qml.CompilePipeline()
        pipeline.add_transform(_prepare, device=self, config=execution_config)
        return pipeline

    def execute(self, circuits, execution_config=None):
        # not by way of this method again: some tests put another one around it
        tapes = (circuits,) if isinstance(circuits, qml.tape.QuantumScript) else circuits
        counted["tapes"] += sum(bool(tape.shots) for tape in tapes)
        results = tuple(
            (self.ours(tape) if tape.shots else super(SharedDevice, self)).execute((tape,), execution_config)[
                0
            ]
            for tape in tapes
        )
        return results[0] if tapes is not circuits else results


@qml.transform
def _prepare(tape, device, config):
    make = device.ours(tape) if tape.shots else super(SharedDevice, device)
    tapes, post = make.preprocess_transforms(config)((tape,))
    return tapes, lambda results: post(results)[0]


def shared(name, *args, **kwargs):
    """In the place of ``qml.device``."""
    if name not in NAMES or kwargs.get("max_workers") is not None:
        return make_device(name, *args, **kwargs)
    options = {k: v for k, v in kwargs.items() if k in {"wires", "shots", "seed"}}
    ours = {k: kwargs[k] for k in ("noise_model",) if k in kwargs}
    if not isinstance(kwargs.get("backend", ""), str):
        ours["backend"] = kwargs["backend"]
    return SharedDevice(*args, options=ours, **options)


def pytest_configure(config):
    qml.device = shared


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Let the classes of pennylane-qiskit that its tests import run on this device."""
    if find_spec("pennylane_qiskit") is None:
        return
    import pennylane_qiskit
    from pennylane_qiskit import qiskit_device

    for name in ("AerDevice", "BasicSimulatorDevice"):
        made = type(name, (_Stepwise, getattr(pennylane_qiskit, name)), {})
        setattr(pennylane_qiskit, name, made)
    qiskit_device.QiskitDevice = lambda wires, backend=None: shared(
        "qiskit.remote", wires=wires, backend=backend
    )


class _Stepwise:
    """The steps in which tests of the legacy interface run a circuit with shots: gates, samples, what is asked of them."""

    _gates = None

    def apply(self, operations, **kwargs):
        """Keep the gates."""
        if self.shots:
            self._gates = list(operations)
        else:
            super().apply(operations, **kwargs)

    def generate_samples(self, circuit=None):
        """Samples of all wires."""
        if self._gates is None:
            return super().generate_samples(circuit)
        return self._measured(qml.sample(wires=self.wires)).reshape(self.shots, -1)

    def expval(self, observable, **kwargs):
        """An expectation value."""
        if self._gates is None:
            return super().expval(observable, **kwargs)
        return self._measured(qml.expval(observable))

    def var(self, observable, **kwargs):
        """A variance."""
        if self._gates is None:
            return super().var(observable, **kwargs)
        return self._measured(qml.var(observable))

    def _measured(self, measurement):
        counted["tapes"] += 1
        tape = qml.tape.QuantumScript(self._gates, [measurement], shots=self.shots)
        return make_device("threaded.ibmq", wires=self.wires, progress=False).batch_execute([tape])[0]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    before = counted["tapes"]
    yield
    counted["tests"] += counted["tapes"] > before


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{RUN}: {counted['tests']}, tapes: {counted['tapes']}")
