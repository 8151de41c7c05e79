"""A user's own processing of samples is given what PennyLane's simulators give it."""

import numpy as np
import pennylane as qml
import pytest
from pennylane.measurements import CountsMP, ExpectationMP, SampleMeasurement
from pennylane.tape import QuantumScript
from pennylane.wires import Wires


class Seen(SampleMeasurement):
    """Hands on what it was given."""

    def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
        """Samples of all wires, with the order of the wires."""
        return np.concatenate(
            [[list(wire_order).index(w) for w in wire_order], np.asarray(samples).mean(axis=-2).ravel()]
        )

    def process_counts(self, counts, wire_order):
        """Not used."""
        raise NotImplementedError

    def shape(self, shots=None, num_device_wires=0):
        """Wires and means."""
        return (2 * num_device_wires,)


@pytest.mark.parametrize("wires", [["a", "b", "c", "d"], ["b"], ["c", "a"]])
def test_it_gets_all_wires_of_the_device_in_order(wires):
    def circuit():
        qml.X("a")
        qml.X("c")
        return Seen(wires=wires)

    dev = qml.device("threaded.ibmq", wires=["d", "c", "b", "a"])
    order, means = np.split(qml.set_shots(qml.QNode(circuit, dev), 20)(), 2)
    assert order.tolist() == [0, 1, 2, 3]
    assert means.tolist() == [0, 1, 0, 1]


class Mean(ExpectationMP):
    """A kind of PennyLane's as it is."""


class Doubled(ExpectationMP):
    """Twice the mean."""

    def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
        """With PennyLane's own processing."""
        return 2 * super().process_samples(samples, wire_order, shot_range, bin_size)


class Threes(CountsMP):
    """Counts threefold."""

    def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
        """With PennyLane's own processing."""
        counts = super().process_samples(samples, wire_order, shot_range, bin_size)
        return {key: 3 * count for key, count in counts.items()}


def test_kinds_of_pennylanes_measurements_keep_their_own_processing():
    dev = qml.device("threaded.ibmq", wires=2)
    matrix = qml.Hermitian(np.diag([3.0, 5.0]), 0)
    measured = [Doubled(obs=qml.Z(0)), Doubled(obs=matrix), Threes(obs=matrix), Threes(wires=Wires([1, 0]))]
    ((word, mean, values, outcomes),) = dev.batch_execute([QuantumScript([qml.X(0)], measured, shots=10)])
    assert (word, mean, values, outcomes) == (-2.0, 10.0, {5.0: 30}, {"01": 30})


@pytest.mark.parametrize("kind", [Mean, Doubled])
def test_those_of_other_observables_are_told_apart(kind):
    """Objects of one batch after the other take each other's place in memory."""
    dev = qml.device("threaded.ibmq", wires=1)
    for value in range(20):
        matrix = qml.Hermitian(np.diag([float(value), 0.0]), 0)
        tape = QuantumScript([], [kind(obs=matrix)], shots=10)
        assert dev.batch_execute([tape]) == ((2 if kind is Doubled else 1) * value,)


def test_the_number_of_wires_is_a_property():
    assert qml.device("threaded.ibmq", wires=["x", "y"]).num_wires == 2


@pytest.mark.parametrize("all_outcomes", [False, True])
def test_counts_have_the_form_of_pennylanes(all_outcomes):
    def circuit():
        qml.X(0)
        return qml.counts(wires=[0, 1], all_outcomes=all_outcomes)

    found, exact = (
        qml.set_shots(qml.QNode(circuit, qml.device(name, wires=2)), 9)()
        for name in ("threaded.ibmq", "default.qubit")
    )
    assert found == exact
    assert list(found) == list(exact)
    assert [(type(k), type(v)) for k, v in found.items()] == [(type(k), type(v)) for k, v in exact.items()]


def test_counts_of_many_shots_are_those_of_the_samples():
    def circuit():
        for wire in range(3):
            qml.RY(0.4 + wire, wire)
        return qml.counts(), qml.sample()

    counts, samples = qml.set_shots(qml.QNode(circuit, qml.device("threaded.ibmq", wires=3)), 20_000)()
    strings, numbers = np.unique(["".join(map(str, row)) for row in samples], return_counts=True)
    assert dict(zip(strings, numbers, strict=True)) == counts


def test_counts_of_mid_circuit_values_are_numpys():
    def circuit():
        qml.X(0)
        m = qml.measure(0)
        return qml.counts(m), qml.counts([m, m])

    for counts in qml.set_shots(qml.QNode(circuit, qml.device("threaded.ibmq", wires=1)), 7)():
        assert [type(v) for v in counts.values()] == [np.int64]
