"""Lightning's state vector under this device: the same distribution as by any other way, or Aer."""

import pickle
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from scipy.stats import chi2, unitary_group

from pennylane_threaded_ibmq.circuits.template import append_gates
from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.simulators import lightning
from pennylane_threaded_ibmq.simulators.fusion import DIAGONAL, FIXED, GENERATORS, KERNELS, can_fuse, fuse
from pennylane_threaded_ibmq.simulators.lightning import MODULE, Lightning, find_lightning
from pennylane_threaded_ibmq.simulators.program import BARRIER, MEASURE, STATE, UNITARY, Placed, Program

COLUMNS = 4
"""Columns of values that the gates of a random program share."""


@pytest.fixture(scope="module")
def engine():
    found = find_lightning()
    assert found is not None
    return found


def random_gate(rng, size):
    """Any gate on any qubits, with a number, a column or neither."""
    arity = {"CSwapGate": 3, "CCXGate": 3, "CCZGate": 3, UNITARY: int(rng.integers(1, 4)), BARRIER: size}
    pairs = [*KERNELS, "CCZGate", "ECRGate", UNITARY, BARRIER]
    name = str(rng.choice([*FIXED, *GENERATORS, *GENERATORS, *pairs, *pairs]))
    one = name in FIXED or name in GENERATORS
    qubits = tuple(int(q) for q in rng.permutation(size)[: arity.get(name, 1 if one else 2)])
    if name == UNITARY:
        return Placed(name, qubits, array=unitary_group.rvs(2 ** len(qubits), random_state=rng))
    if name in GENERATORS or name[:3] in {"RXX", "RYY", "RZZ"}:
        if rng.random() < 0.6:
            return Placed(name, qubits, column=int(rng.integers(COLUMNS)))
        return Placed(name, qubits, float(rng.uniform(-7, 7)))
    return Placed(name, qubits)


def random_program(rng):
    size = int(rng.integers(3, 7))
    gates = []
    if rng.random() < 0.5:
        # beside other gates, but before all on its own qubits
        state = rng.normal(size=4) + 1j * rng.normal(size=4)
        gates += [Placed("RYGate", (2,), 0.7), Placed(STATE, (1, 0), array=state / np.linalg.norm(state))]
    gates += [random_gate(rng, size) for _ in range(int(rng.integers(1, 25)))]
    measured = rng.permutation(size)[: int(rng.integers(1, size + 1))]
    return Program(size, tuple(gates), tuple(map(int, measured)))


def by_qiskit(program, values):
    """The distribution of each row by linear algebra, of the very circuit that Aer would run."""
    parameters = ParameterVector("p", values.shape[1])
    circuit = QuantumCircuit(program.num_qubits)
    append_gates(circuit, program.gates, parameters)
    rows = []
    for row in values:
        bound = circuit.assign_parameters(
            {p: x for p, x in zip(parameters, row, strict=True) if p in circuit.parameters}
        )
        rows.append(Statevector(bound).probabilities(list(program.measured)))
    return np.array(rows)


def test_single_precision_is_close_and_is_what_it_says():
    single, errors = find_lightning(single=True), []
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        program, values = random_program(rng), rng.uniform(-7, 7, (6, COLUMNS))
        errors.append(np.abs(single.probabilities(fuse(program), values) - by_qiskit(program, values)).max())
    assert 1e-9 < max(errors) < 1e-5


@pytest.mark.parametrize(
    ("options", "single"),
    [
        ({"simulator_options": {"precision": "single"}}, True),
        ({"simulator_options": {"precision": "double"}}, False),
        ({"simulator_options": {"precision": "single"}, "simulator": "lightning"}, True),
        ({}, False),
    ],
    ids=str,
)
def test_lightning_computes_with_the_precision_that_is_asked_for(options, single):
    with device(**options) as dev:
        dev.batch_execute([TAPE])
        assert dev.transpiles == 0
        assert dev._open().runner.backend.lightning.single is single


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_have_the_distribution_of_their_circuit(engine, seed):
    """Rows that are all alike, that differ in one value, and that have nothing in common."""
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    values = np.tile(rng.uniform(-4, 4, COLUMNS), (9, 1))
    for row in range(1, 7):
        values[row, rng.integers(COLUMNS)] += rng.choice([np.pi / 2, -np.pi / 2])
    values[7:] = rng.uniform(-4, 4, (2, COLUMNS))
    found = engine.probabilities(fuse(program), values)
    np.testing.assert_allclose(found, by_qiskit(program, values), atol=1e-12)


def test_every_gate_of_the_converter_is_known():
    from pennylane_threaded_ibmq.circuits.gates import LOWERING

    names = {step.gate for steps in LOWERING.values() for step in steps}
    assert can_fuse(Program(3, tuple(Placed(name, (0, 1, 2)) for name in names), ()))
    assert not can_fuse(Program(1, (Placed(MEASURE, (0,), bit=0),), (0,)))
    assert not can_fuse(Program(1, (Placed("UnknownGate", (0,)),), (0,)))


@pytest.mark.parametrize("threads", ["1", "3"])
def test_rows_do_not_depend_on_each_other(engine, monkeypatch, threads):
    """To the last bit: how a batch is cut, and by how many threads, changes nothing."""
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(lightning, "QUBITS_FOR_THREADS", 1)
    monkeypatch.setattr(lightning, "ROWS_AT_ONCE", 5)
    rng = np.random.default_rng(3)
    circuit = fuse(random_program(rng))
    values = rng.choice([0.3, 1.9], (23, COLUMNS))
    whole = engine.probabilities(circuit, values)
    for row in range(23):
        np.testing.assert_array_equal(engine.probabilities(circuit, values[row : row + 1])[0], whole[row])


def layered(size, depth):
    """Rotations of each qubit and a ring of CNOTs, and its number of angles."""
    gates, column = [], 0
    for _ in range(depth):
        for qubit in range(size):
            for name in ("RZGate", "RYGate", "RXGate"):
                gates.append(Placed(name, (qubit,), column=column))
                column += 1
        gates += [Placed("CXGate", (q, (q + 1) % size)) for q in range(size)]
    return Program(size, tuple(gates), tuple(range(size))), column


class Counting:
    """Lightning's own kernels, counted."""

    def __init__(self):
        self.calls = 0
        self.kept = 0
        self._real = import_module(MODULE)
        self.MeasurementsC128 = lambda state: self._real.MeasurementsC128(state.real)

    def StateVectorC128(self, size):  # noqa: N802 - Lightning's name
        return CountingState(self, self._real.StateVectorC128(size))


class CountingState:
    def __init__(self, counts, real):
        self.counts, self.real = counts, real

    def __getattr__(self, name):
        kernel = getattr(self.real, name)

        def call(*arguments):
            if name == "getState":
                self.counts.kept += 1
            elif name != "updateData":
                self.counts.calls += 1
            return kernel(*arguments)

        return call


def test_what_the_rows_of_a_gradient_have_in_common_is_done_once():
    program, angles = layered(4, 3)
    circuit = fuse(program)
    values = np.tile(np.linspace(0.1, 2, angles), (2 * angles, 1))
    for column in range(angles):
        values[2 * column, column] += np.pi / 2
        values[2 * column + 1, column] -= np.pi / 2
    counts = Counting()
    found = Lightning(counts).probabilities(circuit, values)
    np.testing.assert_allclose(found, by_qiskit(program, values), atol=1e-12)
    # three rotations of a qubit are one step
    assert len(circuit.steps) == 3 * 4 * 2
    assert counts.calls < 0.62 * len(values) * len(circuit.steps)
    # one state is kept for all rows that part at a step
    assert counts.kept <= angles / 3


def test_what_changes_no_outcome_is_left_out():
    """Beside what is measured, after it, or a phase of the outcomes."""
    program = Program(
        30,
        (
            Placed("HGate", (0,)),
            *[Placed("RXGate", (q,), 0.1) for q in range(30)],
            Placed("CXGate", (7, 8)),
            Placed("CXGate", (0, 29)),
            Placed("CZGate", (0, 5)),
            *[Placed(name, (0,), 0.3 if name == "RZGate" else None) for name in ("TGate", "RZGate")],
        ),
        (0,),
    )
    circuit = fuse(program)
    assert circuit.num_qubits == 2
    assert len(circuit.steps) == 3
    assert {"RZZGate", "CCZGate"} <= DIAGONAL


# ------------------------------------------------------------------------------------------------------------- device


def device(wires=3, **options):
    return qml.device("threaded.ibmq", wires=wires, progress=False, **{"seed_simulator": 11, **options})


def wave(x):
    return [qml.RY(x, 0), qml.CNOT([0, 1]), qml.RX(2 * x, 1), qml.IsingXX(0.4, [1, 2])]


def script(x, *measurements, shots=1000):
    return qml.tape.QuantumScript(wave(x), measurements, shots=shots)


@pytest.mark.parametrize("simulator", ["aer", "lightning"])
def test_draws_follow_the_distribution(simulator):
    """300 rows of 200 shots: the sum of all chi-squares is one."""
    rows, shots = 300, 200
    tape = qml.tape.QuantumScript(wave(np.full(rows, 0.8)), [qml.probs(wires=[2, 0, 1])], shots=shots)
    (found,) = device(simulator=simulator).batch_execute([tape])
    exact = qml.execute([script(0.8, qml.probs(wires=[2, 0, 1]), shots=None)], qml.device("default.qubit"))[0]
    statistic = (shots * (found - exact) ** 2 / exact).sum()
    assert 1e-6 < chi2.sf(statistic, rows * 7) < 1 - 1e-6
    assert len(np.unique(found, axis=0)) > rows / 2


def test_a_batch_of_everything_is_right_and_what_lightning_cannot_do_goes_to_aer():
    """Structures, shot vectors, broadcasts, shadows, and a circuit that measures on the way."""

    def flip():
        qml.RY(1.1, 0)
        m = qml.measure(0)
        qml.cond(m, qml.RX)(0.7, 1)
        return qml.probs(wires=[1])

    dynamic = qml.tape.make_qscript(flip)()
    tapes = [
        script(0.3, qml.probs(wires=[1, 0]), qml.expval(qml.X(2) @ qml.Y(1))),
        qml.tape.QuantumScript(wave(np.array([0.3, 1.4])), [qml.var(qml.Z(0) + qml.X(1))], shots=40_000),
        script(0.9, qml.expval(qml.Z(1)), shots=[20_000, 40_000]),
        dynamic.copy(shots=40_000),
        script(0.3, qml.counts(wires=[0]), qml.sample(wires=[2])),
        script(1.4, qml.shadow_expval(qml.Z(0) @ qml.Z(1), seed=5), shots=40_000),
        qml.tape.QuantumScript([], [qml.expval(qml.I(0)), qml.probs(wires=[2])], shots=10),
    ]
    dev = device()
    found = dev.batch_execute(tapes)
    exact = [
        qml.execute([t.copy(shots=None)], qml.device("default.qubit", wires=4), None)[0]
        for t in [*tapes[:4], script(1.4, qml.expval(qml.Z(0) @ qml.Z(1)))]
    ]
    np.testing.assert_allclose(found[0][0], exact[0][0], atol=0.08)
    np.testing.assert_allclose(found[0][1], exact[0][1], atol=0.15)
    np.testing.assert_allclose(found[1], exact[1], atol=0.03)
    for copy in found[2]:
        np.testing.assert_allclose(copy, exact[2], atol=0.04)
    np.testing.assert_allclose(found[3], exact[3], atol=0.02)
    assert sum(found[4][0].values()) == 1000
    np.testing.assert_allclose(found[5], exact[4], atol=0.06)
    assert found[6][0] == 1
    # the circuit that measures on the way
    assert dev.transpiles == 1


def test_a_seed_repeats_and_a_run_differs_from_the_next():
    tape = script(0.7, qml.probs(wires=[0, 1]))
    first, other = device(simulator="lightning"), device(simulator="lightning")
    runs = [first.batch_execute([tape])[0], first.batch_execute([tape])[0]]
    assert not np.array_equal(*runs)
    for run in runs:
        np.testing.assert_array_equal(other.batch_execute([tape])[0], run)


def test_rows_are_the_same_however_the_batch_is_cut():
    tapes = [script(x, qml.probs(wires=[0, 1])) for x in np.linspace(0, 3, 5)]
    with_engine = device(engine=InOrder())
    for found, wanted in zip(with_engine.batch_execute(tapes), device().batch_execute(tapes), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert with_engine.transpiles == 0


class InOrder(import_module("concurrent.futures").Executor):
    """Runs at once, from pickles, as another process would."""

    _max_workers = 3

    def submit(self, function, /, *arguments, **_):
        future = import_module("concurrent.futures").Future()
        future.set_result(pickle.loads(pickle.dumps(function(*arguments))))
        return future


def gradient(dev):
    def circuit(x):
        for op in (qml.RX(x[0], 0), qml.CRY(x[1], [0, 1]), qml.CNOT([1, 2]), qml.RZ(x[2], 2), qml.RX(0.3, 2)):
            qml.apply(op)
        return qml.expval(qml.Z(2) + 0.5 * qml.Y(0))

    node = qml.QNode(circuit, dev, diff_method="best")
    return qml.grad(node)(pnp.array([0.4, 1.1, 0.7], requires_grad=True))


def test_gradients_agree_with_the_exact_ones():
    exact = gradient(qml.device("default.qubit", wires=3))
    np.testing.assert_allclose(gradient(device(shots=100_000, simulator="lightning")), exact, atol=0.02)


FIRST = """
import sys
import pennylane as qml
before = set(sys.modules)
dev = qml.device("threaded.ibmq", wires=4)
circuit = qml.qnode(dev)(lambda: (qml.Hadamard(0), qml.expval(qml.Z(0) @ qml.X(1)))[-1])
assert -1 <= circuit() <= 1
print(sorted({"qiskit", "qiskit_aer", "qiskit_ibm_runtime"} & (set(sys.modules) - before)))
assert dev.transpiles == 0
dev.batch_execute([qml.tape.make_qscript(lambda: (qml.measure(0), qml.probs(wires=[0]))[-1])().copy(shots=10)])
assert "qiskit_aer" in sys.modules
"""


def test_a_first_circuit_loads_neither_qiskit_nor_aer_and_what_needs_them_does():
    done = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------------------- option

TAPE = script(0.3, qml.expval(qml.Z(0)))


@pytest.mark.parametrize(
    ("options", "transpiles"),
    [
        ({}, 0),
        ({"simulator": "auto"}, 0),
        ({"simulator": "lightning"}, 0),
        ({"simulator": "lightning", "optimization_level": 3}, 0),
        ({"simulator": "aer"}, 1),
        # what is compiled is asked for, so it is compiled
        ({"optimization_level": 3}, 1),
        ({"compile_backend": "fake_manila"}, 1),
        ({"backend": "aer_simulator"}, 1),
        ({"backend": "aer_simulator_statevector"}, 1),
        ({"backend": AerSimulator()}, 1),
        ({"backend": "fake_manila"}, 1),
        ({"noise_model": NoiseModel()}, 1),
        ({"primitive": "estimator"}, 1),
    ],
    ids=str,
)
def test_who_simulates(options, transpiles):
    with device(**options) as dev:
        assert -1 <= dev.batch_execute([TAPE])[0] <= 1
        assert dev.transpiles == transpiles


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"noise_model": NoiseModel()}, "noise_model is given"),
        ({"backend": "aer_simulator"}, "simulates by itself"),
        ({"backend": "aer_simulator_stabilizer"}, "simulates by itself"),
        ({"backend": "fake_manila"}, "simulates by itself"),
        ({"backend": AerSimulator()}, "simulates by itself"),
    ],
    ids=str,
)
def test_lightning_is_refused_where_it_would_be_something_else(options, reason):
    with pytest.raises(ConfigurationError, match=reason) as caught:
        device(simulator="lightning", **options)
    assert caught.value.argument == "simulator"


def test_an_unknown_simulator_is_refused_and_options_of_the_primitives_keep_their_name():
    with pytest.raises(ConfigurationError, match="simulator='stim'"):
        device(simulator="stim")
    from pennylane_threaded_ibmq.settings import load_settings

    settings = load_settings({"simulator": {"seed_simulator": 3}})
    assert settings.simulator == "auto"
    assert settings.primitive_options == {"simulator": {"seed_simulator": 3}}


class Swapped(Counting):
    """A version whose kernels mean something else."""

    def StateVectorC128(self, size):  # noqa: N802 - Lightning's name
        state = self._real.StateVectorC128(size)
        return SimpleNamespace(
            **{n: getattr(state, n) for n in dir(state) if n[0] != "_" and n != "CNOT"},
            CNOT=lambda wires, *rest: state.CNOT(wires[::-1], *rest),
            real=state,
        )


@pytest.mark.parametrize("module", [None, SimpleNamespace(), Swapped()], ids=["absent", "empty", "other"])
def test_aer_takes_over_where_lightning_is_not_what_it_was(monkeypatch, module):
    monkeypatch.setitem(sys.modules, MODULE, module)
    dev = device()
    assert -1 <= dev.batch_execute([TAPE])[0] <= 1
    assert dev.transpiles == 1
    with pytest.raises(ConfigurationError, match="pip install -U pennylane-lightning"):
        device(simulator="lightning")


def test_more_qubits_than_a_state_may_have_go_to_aer():
    """A circuit of Clifford gates, which Aer knows to do without a state."""
    size = 24
    chain = [qml.Hadamard(0), *[qml.CNOT([i, i + 1]) for i in range(size - 1)]]
    tape = qml.tape.QuantumScript(chain, [qml.expval(qml.Z(0) @ qml.Z(size - 1))], shots=100)
    dev = device(size)
    assert dev.batch_execute([tape])[0] == 1
    assert dev.transpiles == 1
    few = qml.tape.QuantumScript([qml.RX(np.pi, w) for w in range(size)], [qml.expval(qml.Z(20))], shots=100)
    assert dev.batch_execute([few])[0] == -1
    assert dev.transpiles == 1
