"""Random circuits on the classic stack, compared with exact values: as far as its PennyLane goes."""

from __future__ import annotations

import os

import pennylane as qml
import pytest
from crosscheck.check import assert_no_difference, check_many
from crosscheck.lowering import assert_gates_agree

from pennylane_threaded_ibmq.stacks.classic.preprocess import prepare_classic

SWEEP = int(os.environ.get("TESTS_SWEEP", "5000"))
SEED = int(os.environ.get("TESTS_SEED", "1"))
FAMILIES = ("classic", "classic-options")
MOST_SKIPPED = 0.7
"""PennyLane 0.31 knows no powers of templates and fewer wrappers."""


@pytest.mark.parametrize("family", FAMILIES)
def test_circuits_agree(family):
    assert_no_difference(family, check_many(family, 0, 30), MOST_SKIPPED)


def lowered(wires, tape):
    dev = qml.device("threaded.ibmq", wires=wires, progress=False)
    (made,), _ = prepare_classic(tape, device=dev, shots=tape.shots)
    return made.operations


def test_gates_in_wrappers_have_their_matrices():
    assert_gates_agree(100, 0, lowered)


@pytest.mark.sweep
@pytest.mark.timeout(14400)
def test_many_gates_in_wrappers_have_their_matrices():
    assert_gates_agree(SWEEP, SEED, lowered)


@pytest.mark.sweep
@pytest.mark.timeout(14400)
@pytest.mark.parametrize("family", FAMILIES)
def test_many_circuits_agree(family):
    assert_no_difference(family, check_many(family, SEED, SWEEP // 2), MOST_SKIPPED)
