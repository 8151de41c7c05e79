"""Random circuits of every kind on this machine, compared with exact references."""

from __future__ import annotations

import os
from collections import Counter
from importlib import import_module
from inspect import isclass

import pennylane as qml
import pytest
from qiskit_aer.noise import NoiseModel, depolarizing_error

from crosscheck.cases import make_case
from crosscheck.check import Checker, assert_no_difference, check_many, program
from crosscheck.gates import GATES, LEFT_OUT, PREPARATIONS, TEMPLATES, names
from crosscheck.gradients import compare_gradient, gradient_program, make_gradient
from crosscheck.lowering import assert_gates_agree
from crosscheck.noise import compare_noise, make_noisy

SWEEP = int(os.environ.get("TESTS_SWEEP", "5000"))
SEED = int(os.environ.get("TESTS_SEED", "1"))

SHARES = {
    "gates": 0.3,
    "wrappers": 0.2,
    "dynamic": 0.15,
    "options": 0.2,
    "single": 0.05,
    "raw": 0.05,
    "complex": 0.05,
}
"""How much of a sweep each family on this machine takes."""


def test_every_gate_of_pennylane_is_tried():
    controlled = vars(import_module("pennylane.ops.op_math.controlled_ops"))
    every = {n for n, c in controlled.items() if isclass(c) and issubclass(c, qml.operation.Operator)}
    every |= set(qml.ops.qubit.__all__)
    assert every - names([*GATES, *PREPARATIONS, *TEMPLATES]) - set(LEFT_OUT) == set()


def test_a_device_that_is_wrong_is_found_out():
    """A tenth of noise on each gate is a difference, and the difference is a program of a few lines."""
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(
        depolarizing_error(0.1, 1), ["rz", "ry", "rx", "h", "x", "sx", "unitary"]
    )
    checker = Checker(seconds=5, noise_model=noise)
    index = 0
    while not checker.report.failures and index < 20:
        checker.check(make_case("gates", 0, index))
        index += 1
    (text,) = checker.report.failures
    compile(text, "program", "exec")
    assert "expected" in text
    assert len(text.splitlines()) < 60


@pytest.mark.parametrize("family", sorted(SHARES))
def test_circuits_agree(family):
    assert_no_difference(family, check_many(family, 0, 40))


def lowered(wires, tape):
    (made,), _ = qml.device("threaded.ibmq", wires=wires, progress=False).preprocess_transforms()((tape,))
    return made.operations


def test_gates_in_wrappers_have_their_matrices():
    assert_gates_agree(100, 0, lowered)


def jacobians(count, seed):
    compared = Counter()
    for index in range(count):
        case = make_gradient(seed, index)
        found = compare_gradient(case)
        compared["PennyLane cannot" if found is None else "compared"] += 1
        assert not found, gradient_program(case, found)
    print(f"\n{count} Jacobians: {dict(compared)}")


def test_jacobians_agree():
    jacobians(12, 0)


def noisy(batches, seed, *backends):
    tapes = 0
    for index in range(batches):
        case = make_noisy(seed, index, *backends)
        found = compare_noise(case)
        tapes += len(case.tapes)
        assert not found, program(case, found)
    print(f"\n{tapes} tapes on snapshots")


def test_snapshots_agree_with_aer():
    noisy(4, 0, "fake_manila")


@pytest.mark.sweep
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("family", sorted(SHARES))
def test_many_circuits_agree(family):
    assert_no_difference(family, check_many(family, SEED, round(SWEEP * SHARES[family])))


@pytest.mark.sweep
@pytest.mark.timeout(14400)
def test_many_gates_in_wrappers_have_their_matrices():
    assert_gates_agree(SWEEP, SEED, lowered)


@pytest.mark.sweep
@pytest.mark.timeout(14400)
def test_many_jacobians_agree():
    jacobians(SWEEP // 10, SEED)


@pytest.mark.sweep
@pytest.mark.timeout(14400)
def test_many_snapshots_agree_with_aer():
    noisy(SWEEP // 50, SEED, "fake_manila", "fake_torino")
