"""What a batch was charged: unknown, and not free, while IBM is still computing it."""

from __future__ import annotations

from math import inf

import pennylane as qml
import pytest

from pennylane_threaded_ibmq.ibm.errors import LONGEST_HEADER_SECS, retry_after
from pennylane_threaded_ibmq.ibm.usage import charged_secs


@pytest.mark.parametrize(
    ("usage", "seconds"),
    [
        ({"quantum_seconds": 2.5, "seconds": 3}, 2.5),
        ({"quantum_seconds": 0, "seconds": 0}, 0.0),
        ({"quantum_seconds": None}, None),
        ({"qpu_charge_time_seconds": 2.5, "status": "complete"}, 2.5),
        ({"qpu_charge_time_seconds": 0, "status": "complete"}, 0.0),
        ({"qpu_charge_time_seconds": 0, "status": "pending"}, None),
        ({"qpu_charge_time_seconds": 1.5, "status": "pending"}, None),
        ({"qpu_charge_time_seconds": 1.5}, None),
        ({}, None),
        (None, None),
    ],
)
def test_charge_in_all_forms(usage, seconds):
    """Old and new forms give the charge, and what is not complete is unknown."""
    assert charged_secs({"usage": usage}) == seconds


def test_pending_charge_is_unknown_until_it_is_known(loopback, device, new_client):
    """Neither the tracker nor the handle takes a pending charge for 0; the next look has it."""
    service = loopback()
    service.hold("usage")
    tape = qml.tape.QuantumScript([qml.RY(0.5, 0)], [qml.expval(qml.Z(0))], shots=100)
    dev = device()
    with qml.Tracker(dev) as tracker:
        dev.execute([tape])
    assert ("usage_secs" in tracker.totals) is not new_client
    handle = dev.submit([tape])
    handle.result()
    charged = service.jobs[1].usage_secs
    assert charged > 0
    assert handle.usage_secs == (None if new_client else charged)
    service.release(stage="usage")
    requests = service.counters.requests
    assert handle.usage_secs == charged
    assert handle.usage_secs == charged
    assert service.counters.requests <= requests + 1


class _Response:
    def __init__(self, value):
        self.headers = {"Retry-After": value}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("-1", 0.0),
        ("inf", LONGEST_HEADER_SECS),
        ("1e9", LONGEST_HEADER_SECS),
        ("nan", None),
        ("Sat, 28 Nov 2026 07:00:00 GMT", None),
    ],
)
def test_no_header_makes_a_program_wait_without_end(value, seconds):
    """A header asks for minutes at most, whatever it says."""
    error = RuntimeError("too many requests")
    error.response = _Response(value)
    assert retry_after(error) == seconds
    assert inf > LONGEST_HEADER_SECS
