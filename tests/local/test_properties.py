"""Random circuits and measurements against default.qubit."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LABELS = (0, "a", 2)
SHOTS = 6000

angles = st.floats(-7, 7, allow_nan=False).map(lambda x: round(x, 3))
one_wire = st.sampled_from(LABELS)
two_wires = st.permutations(LABELS).map(lambda w: w[:2])
three_wires = st.permutations(LABELS)

ROTATIONS_1 = (qml.RX, qml.RY, qml.RZ, qml.PhaseShift, qml.U1)
ROTATIONS_2 = (qml.CRX, qml.CRY, qml.CRZ, qml.IsingXX, qml.IsingYY, qml.IsingZZ, qml.ControlledPhaseShift)
FIXED_1 = (qml.X, qml.Y, qml.Z, qml.Hadamard, qml.S, qml.T, qml.SX)
FIXED_2 = (qml.CNOT, qml.CY, qml.CZ, qml.CH, qml.SWAP, qml.ISWAP, qml.ECR)
FIXED_3 = (qml.Toffoli, qml.CSWAP, qml.CCZ)

gates = st.one_of(
    st.builds(lambda g, x, w: g(x, w), st.sampled_from(ROTATIONS_1), angles, one_wire),
    st.builds(lambda g, x, w: g(x, w), st.sampled_from(ROTATIONS_2), angles, two_wires),
    st.builds(lambda g, w: g(w), st.sampled_from(FIXED_1), one_wire),
    st.builds(lambda g, w: g(w), st.sampled_from(FIXED_2), two_wires),
    st.builds(lambda g, w: g(w), st.sampled_from(FIXED_3), three_wires),
    st.builds(qml.Rot, angles, angles, angles, one_wire),
    st.builds(qml.U2, angles, angles, one_wire),
    st.builds(qml.U3, angles, angles, angles, one_wire),
    st.builds(qml.SingleExcitation, angles, two_wires),
    st.builds(lambda g, w: qml.adjoint(g(w)), st.sampled_from((qml.S, qml.T, qml.SX)), one_wire),
    st.builds(qml.MultiRZ, angles, three_wires),
    st.builds(lambda seed, w: qml.QubitUnitary(_unitary(seed), w), st.integers(0, 99), two_wires),
)


def _unitary(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
    return np.linalg.qr(matrix)[0]


def _hermitian(seed):
    matrix = np.random.default_rng(seed).normal(size=(2, 2))
    return matrix + matrix.T


paulis = st.sampled_from((qml.X, qml.Y, qml.Z))
words = st.builds(
    lambda wires, letters: qml.prod(*(p(w) for p, w in zip(letters, wires, strict=False))),
    three_wires,
    st.lists(paulis, min_size=1, max_size=3),
)
sums = st.builds(
    lambda ops, coeffs: qml.dot([round(c, 2) for c in coeffs[: len(ops)]], ops),
    st.lists(words, min_size=1, max_size=4),
    st.lists(st.floats(-2, 2, allow_nan=False), min_size=4, max_size=4),
)
observables = st.one_of(
    words,
    sums,
    st.builds(lambda seed, w: qml.Hermitian(_hermitian(seed), w), st.integers(0, 99), one_wire),
    st.builds(qml.Projector, st.lists(st.integers(0, 1), min_size=2, max_size=2), two_wires),
    st.builds(qml.Hadamard, one_wire),
)
measurements = st.one_of(
    st.builds(qml.expval, observables),
    st.builds(qml.var, observables),
    st.builds(lambda w: qml.probs(wires=w), two_wires),
    st.builds(lambda op: qml.probs(op=op), words),
)


def compare(operations, asked, primitive="auto"):
    tape = qml.tape.QuantumScript(operations, asked)
    exact = qml.device("default.qubit").execute([tape])[0]
    dev = qml.device("threaded.ibmq", wires=LABELS, seed_simulator=1, primitive=primitive)
    found = dev.batch_execute([tape.copy(shots=SHOTS)])[0]
    if len(asked) == 1:
        exact, found = (exact,), (found,)
    for measurement, mine, right in zip(asked, found, exact, strict=True):
        # six standard errors of the worst observable made here, squared for a variance
        scale = 1.0 if measurement.obs is None else float(np.abs(qml.eigvals(measurement.obs)).max())
        power = 2 if isinstance(measurement, qml.measurements.VarianceMP) else 1
        np.testing.assert_allclose(mine, right, atol=6 * max(scale, 0.2) ** power * power / np.sqrt(SHOTS))


CHECKS = {"suppress_health_check": list(HealthCheck)}


@settings(max_examples=60, **CHECKS)
@given(st.lists(gates, max_size=10), st.lists(measurements, min_size=1, max_size=3))
def test_circuits_agree_with_exact_values(operations, asked):
    compare(operations, asked)


@settings(max_examples=25, **CHECKS)
@given(st.lists(gates, max_size=8), st.lists(measurements, min_size=1, max_size=3))
def test_circuits_agree_through_the_estimator(operations, asked):
    compare(operations, asked, "estimator")


@pytest.mark.sweep
@settings(max_examples=2000, derandomize=False, suppress_health_check=list(HealthCheck))
@given(
    st.lists(gates, max_size=20),
    st.lists(measurements, min_size=1, max_size=4),
    st.sampled_from(["auto", "estimator"]),
)
def test_many_circuits(operations, asked, primitive):
    compare(operations, asked, primitive)
