"""What is refused before anything runs, and what passes untouched."""

import warnings

import numpy as np
import pennylane as qml
import pytest
from qiskit.transpiler import PassManager, TranspilerError
from qiskit.transpiler.basepasses import AnalysisPass

from pennylane_threaded_ibmq.exceptions import UnknownWireError, UnsupportedCircuitError


class Unheard(qml.operation.Operation):
    """A gate without a decomposition."""

    num_wires = 1
    num_params = 0


class T(qml.operation.Operation):
    """A gate of the user's own with a name of PennyLane's."""

    num_wires = 1
    num_params = 0

    @staticmethod
    def compute_decomposition(wires):
        """A flip."""
        return [qml.X(wires)]


class U1(qml.operation.Operation):
    """Another, for which PennyLane knows a decomposition by its name."""

    num_wires = 1
    num_params = 1

    @staticmethod
    def compute_matrix(angle):
        """A turn that is seen."""
        return qml.matrix(qml.RX(angle, 0))


@pytest.fixture
def dev():
    return qml.device("threaded.ibmq", wires=2, seed_simulator=5, simulator="aer")


def _tape(operations=(), measurements=(), shots=10):
    return qml.tape.QuantumScript(list(operations), list(measurements) or [qml.expval(qml.Z(0))], shots=shots)


@pytest.mark.parametrize(
    ("bad", "kind", "text"),
    [
        (_tape([Unheard(0)]), UnsupportedCircuitError, r"Unheard.*Accepted: .*RX.*qml\.cond"),
        (
            _tape(measurements=[qml.state()]),
            UnsupportedCircuitError,
            r"state.*Accepted: Expectation, Variance",
        ),
        (
            _tape(measurements=[qml.expval(qml.SparseHamiltonian(qml.X(0).sparse_matrix(), 0))]),
            UnsupportedCircuitError,
            r"SparseHamiltonian.* of Expectation .*Accepted: .*Hermitian",
        ),
        (_tape([qml.X("z")]), UnknownWireError, r"'z'.*The device has \[0, 1\]"),
        (_tape([qml.RX(np.inf, 0)]), UnsupportedCircuitError, r"operation 0, RX on wires \[0\]"),
    ],
)
def test_an_error_names_the_tape_what_is_wrong_and_what_is_accepted(dev, bad, kind, text):
    """The tape's place in the batch is in the text and in the error."""
    with pytest.raises(kind, match=rf"(?s)^Tape 2: .*{text}.*Nothing was sent\.$") as raised:
        dev.batch_execute([_tape(), _tape(), bad, _tape()])
    assert raised.value.tape == 2


class NoCnot(AnalysisPass):
    """A compiler's pass that takes some circuits and not others."""

    def run(self, dag):
        if "cx" in dag.count_ops():
            raise TranspilerError("no cx here.")


def test_a_tape_that_cannot_be_compiled_is_named_as_it_was_given():
    """Also where a tape before it has become several."""
    tapes = [_tape([qml.RX(np.array([0.1, 0.2, 0.3]), 0)]), _tape([qml.CNOT([0, 1])])]
    manager = PassManager([NoCnot()])
    with qml.device("threaded.ibmq", wires=2, parametrise=False, pass_manager=manager) as dev:
        with pytest.raises(
            UnsupportedCircuitError, match=r"^Tape 1 cannot be transpiled.*no cx here"
        ) as caught:
            dev.batch_execute(tapes)
        assert caught.value.tape == 1


def test_looking_for_the_tape_repeats_no_warning(dev):
    """A tape without shots warns once, also if a later one is refused."""
    tapes = [_tape(shots=None), _tape(measurements=[qml.state()])]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(UnsupportedCircuitError):
            dev.batch_execute(tapes)
    assert len([w for w in caught if "no analytic results" in str(w.message)]) == 1


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("form", ["angle", "matrix", "state", "template"])
def test_a_batch_keeps_its_leading_axis(dev, batch, form):
    """Parameter broadcasting, of angles and of what is part of a structure, for one entry as for several."""
    x = np.linspace(0.0, np.pi, 2)[-batch:]

    @qml.qnode(dev)
    def circuit():
        if form == "angle":
            qml.RX(x, 0)
        elif form == "matrix":
            qml.QubitUnitary(qml.RX.compute_matrix(x), 0)
        elif form == "state":
            qml.StatePrep(np.stack([np.cos(x / 2), np.sin(x / 2)], axis=1), 0)
        else:
            qml.AngleEmbedding(x[:, None], wires=[0])
        return qml.expval(qml.Z(0)), qml.probs(wires=[0, 1]), qml.sample(wires=[0]), qml.counts(wires=0)

    value, probs, samples, counts = qml.set_shots(circuit, 6)()
    assert np.array_equal(value, np.cos(x).round())
    assert probs.shape == (batch, 4)
    assert np.shape(samples) == (batch, 6, 1)
    assert len(counts) == batch
    assert dev.transpiles == (batch if form in {"matrix", "state"} else 1)


def test_ready_tapes_pass_as_they_are(dev):
    """No copy and no transform: this is what makes large gradients fast."""
    tape = _tape([qml.RX(0.1, 0), qml.CNOT([0, 1])])
    dynamic = qml.tape.make_qscript(lambda: [qml.cond(qml.measure(0), qml.RX)(0.1, 1), qml.probs(wires=1)])()
    dynamic = dynamic.copy(shots=10)
    tapes, _ = dev.preprocess_transforms()((tape, dynamic))
    assert tapes[0] is tape
    assert tapes[1] is dynamic


def test_a_variance_finds_its_words_in_one_setting(dev):
    """Other measurements in the same bases must not scatter the words of a variance."""

    @qml.qnode(dev)
    def circuit():
        qml.RY(0.4, 0)
        qml.RX(0.9, 1)
        return qml.var(qml.Y(0) + qml.Z(1)), qml.expval(qml.X(0) @ qml.X(1)), qml.probs(wires=[1, 0])

    exact = qml.QNode(circuit.func, qml.device("default.qubit", wires=2))()
    for got, want in zip(qml.set_shots(circuit, 20_000)(), exact, strict=True):
        assert np.allclose(got, want, atol=0.04)


def test_allocated_wires_become_wires_of_the_device():
    dev = qml.device("threaded.ibmq", wires=3, seed_simulator=2)

    @qml.set_shots(2000)
    @qml.qnode(dev)
    def circuit():
        with qml.allocate(1) as extra:
            qml.Hadamard(extra[0])
            qml.CNOT([extra[0], 0])
        return qml.probs(wires=0)

    np.testing.assert_allclose(circuit(), [0.5, 0.5], atol=0.06)


@pytest.mark.parametrize("gate", [lambda: T(0), lambda: U1(np.pi, 0)], ids=["decomposes", "matrix"])
@pytest.mark.parametrize("wrapped", [lambda op: op, qml.adjoint], ids=["itself", "adjoint"])
def test_a_gate_of_the_users_own_with_a_known_name_is_what_it_says(dev, gate, wrapped):
    tape = _tape([wrapped(gate())], shots=10)
    assert dev.batch_execute([tape]) == dev.execute([tape]) == (-1.0,)
