"""What IBM's primitives say beside their numbers: one shape for both primitives and both kinds of them, by tape."""

from __future__ import annotations

import time

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import JobFailedError, ShardFailedError
from pennylane_threaded_ibmq.loopback import Fault


def tape(angle, *measurements, shots=200):
    return qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], measurements, shots=shots)


KINDS = pytest.mark.parametrize("api", ["auto", "service"])

SHOTS = 6400
"""Shots of 32 randomizations, over whose spread a client that twirls by itself reckons a standard error."""


@KINDS
def test_an_estimator_tells_standard_errors_by_word_and_row(loopback, device, api):
    loopback()
    dev = device(primitive="estimator", primitive_api=api, primitive_options={"resilience_level": 1})
    started = time.time() - 1
    observable = qml.Z(0) @ qml.Z(1) + 0.5 * qml.X(0)
    parts = [(0.4, observable), (np.array([0.1, 0.2, 0.3]), qml.Z(1)), (0.9, observable)]
    handle = dev.submit([tape(angle, qml.expval(measured), shots=SHOTS) for angle, measured in parts])
    handle.result()
    first, second, third = handle.metadata
    assert [len(one) for one in (first, second, third)] == [1, 1, 1]
    (one,) = first
    assert one.primitive == "estimator"
    assert one.job_id in handle.job_ids
    assert one.shots == SHOTS
    assert one.precision == pytest.approx(SHOTS**-0.5, rel=0.01)
    assert set(one.words) == {"Z(0) @ Z(1)", "X(0)"}
    assert one.standard_errors.shape == (1, 2)
    # the parity is certain, and X is a coin
    errors = dict(zip(one.words, one.standard_errors[0], strict=True))
    assert errors["X(0)"] == pytest.approx(SHOTS**-0.5, rel=0.8)
    assert errors["Z(0) @ Z(1)"] == pytest.approx(0, abs=0.02)
    assert second[0].standard_errors.shape == (3, 1)
    assert third[0].words == one.words
    for start, stop in one.timing:
        assert started <= start <= stop <= time.time() + 1
    assert "threaded-ibmq" not in str(one.pub), "our own mark is nobody's business"


@KINDS
def test_a_sampler_tells_its_shots(loopback, device, api):
    loopback()
    handle = device(primitive="sampler", primitive_api=api).submit(
        [tape(0.4, qml.probs(wires=[0, 1])), tape(0.4, qml.expval(qml.Z(0)), qml.expval(qml.X(0)))]
    )
    handle.result()
    one, two = handle.metadata
    assert {len(one), len(two)} == {1, 2}, "one PUB for each basis"
    for pub in (*one, *two):
        assert (pub.primitive, pub.shots, pub.words, pub.standard_errors) == ("sampler", 200, (), None)
        assert pub.timing
        assert pub.resilience == {}


@pytest.mark.parametrize("api", ["client", "service"])
def test_mitigation_is_told_in_one_place_for_both_kinds(loopback, device, new_client, api):
    if api == "client" and not new_client:
        pytest.skip("the installed client has no client-side primitives")
    loopback()
    options = {"resilience_level": 1, "resilience": {"measure_mitigation": True}}
    handle = device(primitive="estimator", primitive_api=api, primitive_options=options).submit(
        [tape(0.4, qml.expval(qml.Z(0)))]
    )
    handle.result()
    ((one,),) = handle.metadata
    told = {**one.pub.get("resilience", {}), **one.job.get("options", {}).get("resilience", {})}
    assert {key: one.resilience[key] for key in told} == told
    if api == "client":
        assert one.resilience["measure_mitigation"] is True
        assert one.resilience["resilience_level"] == 1


def test_copies_of_a_shot_vector_are_pubs_of_their_own(loopback, device):
    loopback()
    handle = device(primitive="estimator").submit([tape(0.4, qml.expval(qml.Z(0)), shots=(100, 300))])
    handle.result()
    (pubs,) = handle.metadata
    assert [round(one.precision**-2) for one in pubs] == [100, 300]


def test_a_tape_without_a_result_has_none(loopback, device):
    service = loopback()
    service.inject(Fault(effect="job", on="POST /jobs", reason="broken", reason_code=1517))
    handle = device(shard_size=1, max_jobs=1).submit(
        [tape(0.4, qml.expval(qml.Z(0))), tape(0.4, qml.expval(qml.Z(0)))]
    )
    with pytest.raises((ShardFailedError, JobFailedError)):
        handle.result()
    assert [len(one) for one in handle.metadata] == [0, 1]


def test_a_batch_that_is_taken_up_has_its_metadata(loopback, device):
    loopback()
    dev = device(primitive="estimator")
    handle = dev.submit([tape(0.4, qml.expval(qml.Z(0)))])
    handle.result()
    again = dev.resume(handle.batch_id)
    again.result()
    assert again.metadata[0][0].job_id == handle.metadata[0][0].job_id
    np.testing.assert_array_equal(again.metadata[0][0].standard_errors, handle.metadata[0][0].standard_errors)


def test_nothing_is_said_on_this_machine():
    handle = qml.device("threaded.ibmq", wires=2).submit(
        [tape(0.4, qml.expval(qml.Z(0))), tape(0.4, qml.sample())]
    )
    handle.result()
    assert handle.metadata == ((), ())
