"""Random circuits through the real client and the loopback service, compared with exact values."""

from __future__ import annotations

import os

import pytest
from crosscheck.check import Checker, assert_no_difference, check_many

from pennylane_threaded_ibmq.loopback import SIMULATOR

SWEEP = int(os.environ.get("TESTS_SWEEP", "5000"))
SEED = int(os.environ.get("TESTS_SEED", "1"))


def crosscheck(loopback, tmp_path, tapes, seed):
    """Expectation values come from the service's Estimator, all else from its Sampler."""
    loopback(slots=20)
    checker = Checker(estimator=True, backend=SIMULATOR, journal=tmp_path / "journal.sqlite")
    assert_no_difference("service", check_many("service", seed, tapes, checker))


def test_circuits_agree(loopback, tmp_path):
    crosscheck(loopback, tmp_path, 20, 0)


@pytest.mark.sweep
@pytest.mark.timeout(14400)
def test_many_circuits_agree(loopback, tmp_path):
    crosscheck(loopback, tmp_path, SWEEP // 20, SEED)
