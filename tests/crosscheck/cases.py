"""Random cases by family: batches of circuits, options of the device and the way to run them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pennylane as qml

from pennylane_threaded_ibmq.simulators.lightning import find_lightning

from .circuits import LABELS, Circuit, Measurement, Shape

SIMULATORS = ("'aer'",) if find_lightning() is None else ("'aer'", "'lightning'")
"""Simulators that a circuit without noise can run on; the PennyLane of before 0.36 has another Lightning."""


@dataclass(frozen=True)
class Case:
    """One batch on one device.

    Attributes:
        family: Which generator made it.
        wires: Labels of the device.
        tapes: The batch.
        options: Options of the device, as sources.
        way: How the batch is run.
        method: ``mcm_method``, for the way ``"qml.execute"``.
        single: Whether numbers are of single precision.
    """

    family: str
    wires: tuple
    tapes: tuple
    options: dict
    way: str = "batch_execute"
    method: object = None
    single: bool = False


def twin(rng, tape):
    """The same circuit again, with other angles or with the same."""
    if rng.random() < 0.3:
        return tape

    def other(match):
        return match.group(1) + repr(round(float(rng.uniform(-3, 3)), 3))

    lines = tuple(
        line if "qml.pow" in line else re.sub(r"(qml\.\w+\()-?\d+\.\d+(?=, wires=)", other, line)
        for line in tape.lines
    )
    return replace(tape, lines=lines)


def batch(rng, wires, shape, most=3):
    """Some circuits, some of them with twins, in any order."""
    tapes = []
    for _ in range(int(rng.integers(1, most + 1))):
        tape = Circuit(rng, wires, shape).make()
        tapes.append(tape)
        tapes += [twin(rng, tape) for _ in range(int(rng.choice([0, 0, 1, 2])))]
    return tuple(tapes[i] for i in rng.permutation(len(tapes)))


def labels(rng, most=6):
    """Wires of a device."""
    chosen = LABELS[rng.integers(len(LABELS))]
    return chosen[: int(rng.integers(2, most + 1))]


def options(rng, wires, *, local=True):
    """Options that change how a batch is planned and run, but no result."""
    found = {}

    def maybe(share, name, *values):
        if rng.random() < share:
            found[name] = str(values[rng.integers(len(values))])

    maybe(0.3, "parametrise", "False")
    maybe(0.4, "primitive", "'estimator'", "'sampler'")
    maybe(0.4, "shard_size", "1", "2", "3")
    maybe(0.2, "max_jobs", "1", "3")
    maybe(0.3, "optimization_level", "0", "1", "2", "3")
    if local:
        maybe(0.2, "initial_layout", repr(rng.permutation(len(wires)).tolist()))
        maybe(0.15, "noise_model", "NoiseModel()")
        maybe(
            0.2,
            "backend",
            *(f"'aer_simulator_{m}'" for m in ("statevector", "density_matrix", "matrix_product_state")),
        )
        maybe(0.15, "engine", "ThreadPoolExecutor(2)")
    return found


def simulators(rng, case):
    """Some cases on each of the simulators that a circuit without noise can run on, whichever is the default."""
    chosen = str(rng.choice(SIMULATORS))
    if rng.random() < 0.7 and not {"backend", "noise_model"} & set(case.options):
        return replace(case, options={**case.options, "simulator": chosen})
    return case


def complex_observable(rng, wires):
    """An operator that is no observable."""
    a, b = (wires[i] for i in rng.permutation(len(wires))[:2])
    forms = (
        "qml.prod(qml.PauliX({0!r}), qml.PauliY({0!r}))",
        "1j * qml.PauliZ({0!r})",
        "qml.PauliX({0!r}) + 0.5j * qml.PauliZ({1!r})",
        "qml.prod(qml.Hadamard({0!r}), qml.PauliZ({0!r}))",
        "qml.S({0!r})",
        "qml.prod(qml.T({0!r}), qml.PauliZ({1!r}))",
        "qml.exp(qml.PauliX({0!r}), 0.3j)",
        "qml.RX(0.3, {0!r})",
        "qml.QFT(wires=[{0!r}, {1!r}])",
        "qml.Hamiltonian([1j, 0.5], [qml.PauliX({0!r}), qml.PauliZ({1!r})])",
        "qml.s_prod(1j, qml.Hermitian(hermitian(1, 3), wires={0!r}))",
        "qml.sum(qml.Hadamard({0!r}), qml.s_prod(1j, qml.Hadamard({1!r})))",
        "qml.adjoint(qml.T({0!r}))",
        "qml.pow(qml.PauliX({0!r}), 0.5)",
    )
    return forms[rng.integers(len(forms))].format(a, b)


# ---------------------------------------------------------------------------------------------------------- families


def _gates(rng):
    wires = labels(rng)
    return Case("gates", wires, batch(rng, wires, Shape()), {})


def _wrappers(rng):
    wires = labels(rng)
    shape = Shape(batch=0.7, gates=4, templates=0.3, preparations=0.15, kinds=("probs", "expval", "counts"))
    return Case("wrappers", wires, batch(rng, wires, shape), {})


def _dynamic(rng):
    wires = labels(rng, 4)
    shape = Shape(dynamic=1.0, gates=6, batch=0.15, wires=4)
    made = Case("dynamic", wires, batch(rng, wires, shape, 2), {})
    if rng.random() < 0.5:
        return replace(
            made, way="qml.execute", method=[None, "deferred", "one-shot", "device"][rng.integers(4)]
        )
    return made


def _options(rng):
    wires = labels(rng)
    shape = Shape(dynamic=0.1, gates=5, batch=0.35, vector=0.3, kinds=Shape.kinds[:-1])
    way = ["batch_execute", "submit", "qml.execute"][rng.integers(3)]
    return Case("options", wires, batch(rng, wires, shape), options(rng, wires), way)


def _single(rng):
    wires = labels(rng)
    shape = Shape(single=True, gates=5, preparations=0.4, kinds=("expval", "probs", "counts"))
    return Case("single", wires, batch(rng, wires, shape), {}, single=True)


def _raw(rng):
    wires = labels(rng, 4)
    shape = Shape(gates=5, dynamic=0.1, batch=0.2)
    return Case("raw", wires, batch(rng, wires, shape, 2), {}, "dev.execute")


def _complex(rng):
    wires = labels(rng, 4)
    circuit = Circuit(rng, wires, Shape(gates=3))
    tape = circuit.make()
    kind = str(rng.choice(["expval", "var"]))
    asked = Measurement(kind, "op", complex_observable(rng, wires))
    given = options(rng, wires, local=False)
    return Case("complex", wires, (replace(tape, returns=(asked,), broken=True),), given)


def _service(rng):
    wires = labels(rng, 5)
    shape = Shape(dynamic=0.2, gates=5, vector=0.2, batch=0.25, shots=(1000, 2000))
    return Case("service", wires, batch(rng, wires, shape, 2), options(rng, wires, local=False))


def _classic(rng):
    wires = labels(rng)
    kinds = ("expval", "expval", "var", "probs", "counts", "sample")
    # before PennyLane 0.33 a preparation after other gates is an error of its simulator, or a reset
    preparations = 0.1 if hasattr(qml, "StatePrep") else 0
    shape = Shape(kinds=kinds, entries=2, preparations=preparations)
    return Case("classic", wires, batch(rng, wires, shape), {})


def _classic_options(rng):
    made = _classic(rng)
    given = options(rng, made.wires)
    return replace(
        made, options={k: v for k, v in given.items() if k not in {"primitive", "engine", "backend"}}
    )


FAMILIES = {
    "gates": _gates,
    "wrappers": _wrappers,
    "dynamic": _dynamic,
    "options": _options,
    "single": _single,
    "raw": _raw,
    "complex": _complex,
    "service": _service,
    "classic": _classic,
    "classic-options": _classic_options,
}


def make_case(family, seed, index):
    """The case of a family with a number; the same each time."""
    rng = np.random.default_rng([*family.encode(), seed, index])
    case = FAMILIES[family](rng)
    return case if family == "service" else simulators(rng, case)
