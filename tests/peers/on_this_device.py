"""A plugin for other projects' tests: what has shots runs on ``threaded.ibmq``, the rest where it would run anyway.

The tests make a ``default.qubit`` or ``lightning.qubit`` and get one whose circuits with shots are prepared and run by
the device of this project. It counts the tests in which that happened, so that a run that tests nothing is seen.
"""

from __future__ import annotations

import functools

import pennylane as qml
import pytest
from pennylane.devices import DefaultQubit

pytest_plugins = ("random_seed",)

NAMES = frozenset({"default.qubit", "reference.qubit", "lightning.qubit"})
RUN = "tests that ran circuits on threaded.ibmq"

make_device = qml.device
counted = {"tapes": 0, "tests": 0}


class SharedDevice(DefaultQubit):
    """``default.qubit`` for circuits without shots, ``threaded.ibmq`` for those with shots."""

    def ours(self, tape):
        """The device of this project with the wires that a tape means."""
        device = _with_wires(tuple(self.wires or tape.wires or (0,)))
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


@functools.lru_cache(maxsize=64)
def _with_wires(wires):
    return make_device("threaded.ibmq", wires=wires, progress=False)


def shared(name, *args, **kwargs):
    """In the place of ``qml.device``."""
    if name not in NAMES or kwargs.get("max_workers") is not None:
        return make_device(name, *args, **kwargs)
    options = {k: v for k, v in kwargs.items() if k in {"wires", "shots", "seed"}}
    return SharedDevice(*args, **options)


def pytest_configure(config):
    qml.device = shared


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    before = counted["tapes"]
    yield
    counted["tests"] += counted["tapes"] > before


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{RUN}: {counted['tests']}, tapes: {counted['tapes']}")
