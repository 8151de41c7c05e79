"""Random Jacobians by the parameter-shift rule, compared with differences of exact values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

from .cases import labels
from .check import namespace, open_device, used_helpers
from .circuits import Circuit, Measurement, Shape
from .compare import deviation
from .gates import GATES, Numbers, available
from .reference import pauli_terms

STEP = 1e-4


@dataclass(frozen=True)
class Gradient:
    """One QNode of angles ``x``.

    Attributes:
        wires: Labels of the device.
        lines: Statements, with ``x[0]`` and so on as angles.
        measurement: What is returned.
        angles: Where the Jacobian is taken, radians.
        options: Options of the device, as sources.
        broadcast: Whether shifted circuits are entries of a broadcast.
    """

    wires: tuple
    lines: tuple
    measurement: Measurement
    angles: tuple
    options: dict
    broadcast: bool

    @property
    def shots(self):
        """Shots of each shifted circuit; Aer runs a dynamic one shot by shot."""
        return 10_000 if any("qml.measure(" in line for line in self.lines) else 100_000

    @property
    def source(self):
        """The quantum function."""
        body = [*self.lines, f"return {self.measurement.source}"]
        return "def circuit(x):\n" + "".join(f"    {line}\n" for line in body)


class _Parameters(Numbers):
    """Numbers whose angles are entries of ``x``."""

    def __init__(self, rng, wires, angles):
        super().__init__(rng, wires)
        self.angles = angles

    def angle(self, largest=6.5):
        """The next entry."""
        self.angles.append(round(float(self.rng.uniform(-3, 3)), 3))
        return f"x[{len(self.angles) - 1}]"


def make_gradient(seed, index):
    """The case with a number; the same each time."""
    rng = np.random.default_rng([99, seed, index])
    wires = labels(rng, 4)
    circuit = Circuit(rng, wires, Shape())
    angles, lines = [], [f"qml.RX(0.4, {w!r})" for w in circuit.wires]
    table = available(GATES)
    dynamic = rng.random() < 0.25
    while len(angles) < 3:
        count, source = table[rng.integers(len(table))]
        if count > len(circuit.wires):
            continue
        if dynamic and not circuit.measured:
            lines.append(f"m0 = qml.measure({circuit.some(1)[0]!r})")
            circuit.measured = 1
        text = source(_Parameters(rng, circuit.some(count), angles))
        lines.append(f"qml.cond(m0, lambda: {text})()" if circuit.measured and rng.random() < 0.5 else text)
    kind = str(rng.choice(["expval", "expval", "var", "var", "probs"]))
    if kind == "probs":
        measurement = Measurement(kind, "wires", repr(circuit.some(2)))
    else:
        matrices = kind == "var" and rng.random() < 0.3
        measurement = Measurement(
            kind, "op", _of_matrices(rng, circuit) if matrices else circuit.observable()
        )
    options = {}
    if rng.random() < 0.3:
        options["parametrise"] = "False"
    if rng.random() < 0.3:
        options["primitive"] = "'estimator'"
    return Gradient(tuple(wires), tuple(lines), measurement, tuple(angles), options, bool(rng.random() < 0.3))


def _of_matrices(rng, circuit):
    """A multiple, sum or product of observables without Pauli words, whose squares PennyLane's rule may not know."""
    one, *others = circuit.some(2)
    numbers = Numbers(rng, (one, *others))
    matrix = f"qml.Hermitian(hermitian(1, {numbers.seed()}), wires=[{one!r}])"
    forms = [f"0.7 * {matrix}", f"qml.sum({matrix}, qml.PauliX({one!r}))"]
    for other in others:
        forms += [
            f"qml.sum({matrix}, 0.5 * qml.Hadamard({other!r}))",
            f"qml.prod({matrix}, qml.Hadamard({other!r}))",
            f"0.8 * qml.Projector([1, 0], wires=[{one!r}, {other!r}])",
        ]
    return forms[rng.integers(len(forms))]


def compare_gradient(case):
    """Differences of one Jacobian, as texts; ``None`` where PennyLane cannot compute the values themselves."""
    names = namespace()
    exec(case.source, names)
    circuit = names["circuit"]
    x = np.array(case.angles)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = qml.QNode(circuit, qml.device("default.qubit"), diff_method=None)
        try:
            wanted = _differences(lambda at: np.asarray(reference(at), dtype=float), x)
        except Exception:  # noqa: BLE001 - whatever PennyLane cannot do is not compared
            return None
        try:
            found = _jacobian(case, circuit, open_device(case))
        except UnsupportedCircuitError as error:
            # PennyLane's rule is wrong there, and is refused where there is no other
            if case.measurement.kind == "var" and "variance of a sum" in str(error):
                return None
            raise
        except Exception:
            if case.broadcast and not _works(case, circuit):
                return None
            raise
    allowed = _allowed(case, names)
    if found.shape != wanted.shape:
        return [f"shape {found.shape}, expected {wanted.shape}"]
    if not (np.abs(found - wanted) <= allowed).all():
        return [f"got {found.round(4).tolist()}, expected {wanted.round(4).tolist()} within {allowed:.4f}"]
    return []


def _jacobian(case, circuit, dev):
    kwargs = {"gradient_kwargs": {"broadcast": True}} if case.broadcast else {}
    node = qml.set_shots(qml.QNode(circuit, dev, diff_method="parameter-shift", **kwargs), case.shots)
    return np.asarray(qml.jacobian(node)(pnp.array(case.angles, requires_grad=True)), dtype=float)


def _works(case, circuit):
    """Whether PennyLane can do it on its own device; it has no broadcast rule for some gates, and fails with them."""
    try:
        _jacobian(case, circuit, qml.device("default.qubit"))
    except Exception:  # noqa: BLE001 - whatever it is
        return False
    return True


def _differences(function, x):
    columns = []
    for i in range(len(x)):
        shift = np.zeros(len(x))
        shift[i] = STEP
        columns.append((function(x + shift) - function(x - shift)) / (2 * STEP))
    return np.stack(columns, axis=-1)


def _allowed(case, names):
    """Largest error: the coefficients of the rules of all gates tried here sum to 1 at most for each angle."""
    if case.measurement.kind == "probs":
        return deviation(0.25, 1, case.shots) * 2
    observable = eval(case.measurement.what, names)
    matrix = qml.matrix(observable, wire_order=observable.wires)

    def of_words(operator):
        terms = {w: c for w, (c, _) in pauli_terms(operator).items() if set(w) != {"I"}}
        return sum(abs(c) for c in terms.values()) * deviation(1, 2, case.shots, max(len(terms), 1))

    first = of_words(matrix)
    if case.measurement.kind == "expval":
        return first * 1.5
    norm = np.linalg.norm(matrix, 2)
    return of_words(matrix @ matrix) * 1.5 + 4 * norm * first + 2 * first**2


def gradient_program(case, found):
    """A program that shows the difference."""
    given = "".join(f", {k}={v}" for k, v in case.options.items())
    kwargs = ", gradient_kwargs={'broadcast': True}" if case.broadcast else ""
    lines = [
        "import numpy as np",
        "import pennylane as qml",
        "from pennylane import numpy as pnp",
        "",
        *used_helpers(case.source),
        f"dev = qml.device('threaded.ibmq', wires={list(case.wires)}, seed_simulator=7, progress=False{given})",
        "",
        case.source,
        f"x = pnp.array({list(case.angles)}, requires_grad=True)",
        f"node = qml.set_shots(qml.QNode(circuit, dev, diff_method='parameter-shift'{kwargs}), {case.shots})",
        "print('got', qml.jacobian(node)(x))",
        "print('exact', qml.jacobian(qml.QNode(circuit, qml.device('default.qubit'), diff_method='backprop'))(x))",
        *(f"# {text}" for text in found),
    ]
    return "\n".join(lines) + "\n"
