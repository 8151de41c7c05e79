"""Several rows of a circuit without parameters: never an array of shape (N, 0), which services read in their own ways."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from qiskit_ibm_runtime import QiskitRuntimeService
from waiting import wait_until


def twins(count, shots, measurement=lambda: qml.sample(wires=[0, 1])):
    """Equal tapes: a coin, and a wire that is always 1."""
    return [
        qml.tape.QuantumScript([qml.Hadamard(0), qml.X(1)], [measurement()], shots=shots)
        for _ in range(count)
    ]


def sent(handle):
    """PUBs of a batch's only job, read back with the real client; client-side primitives send none."""
    (job_id,) = handle.job_ids
    return QiskitRuntimeService().job(job_id).inputs["pubs"]


@pytest.mark.parametrize("seed", [None, 3])
def test_samples_of_twins_are_shots_of_one_circuit(loopback, device, seed, new_client):
    """One circuit with the shots of all rows, dealt out: no row repeats another, none is empty."""
    loopback(seed=seed)
    dev = device(primitive="sampler")
    handle = dev.submit(twins(5, 300))
    results = handle.result()
    if not new_client:
        ((_, values, shots),) = sent(handle)
        assert np.size(values) == 0
        assert np.ndim(values) == 1
        assert shots == 1500
    assert all(r.shape == (300, 2) and (r[:, 1] == 1).all() and 90 < r[:, 0].sum() < 210 for r in results)
    # a seeded loopback service draws the same for rows of equal probabilities, which each row is here with a new client
    assert len({r.tobytes() for r in results}) == 5 or (new_client and seed is not None)


def test_shots_of_rows_are_cut_at_the_most_of_the_backend(loopback, device, new_client):
    """A circuit has 100 000 shots at most there, so three rows fit in one."""
    loopback()
    dev = device(primitive="sampler")
    handle = dev.submit(twins(7, 30_000, lambda: qml.probs(wires=[0, 1])))
    results = handle.result()
    if not new_client:
        assert [shots for _, _, shots in sent(handle)] == [90_000, 90_000, 30_000]
    assert np.allclose(results, [0, 0.5, 0, 0.5], atol=0.02)


def test_shot_vectors_and_other_tapes_keep_their_places(loopback, device):
    """Rows with parameters, twins and a shot vector in one batch: each gets its own result."""
    loopback()
    dev = device(primitive="sampler")
    angles = [qml.tape.QuantumScript([qml.RX(x, 0)], [qml.counts(wires=0)], shots=100) for x in (0.0, np.pi)]
    split = [t.copy(shots=[20, 30]) for t in twins(2, None)]
    results = dev.batch_execute([angles[0], *split, angles[1], *twins(2, 50)])
    assert results[0] == {"0": 100}
    assert results[3] == {"1": 100}
    assert [[part.shape for part in r] for r in results[1:3]] == [[(20, 2), (30, 2)]] * 2
    assert [r.shape for r in results[4:]] == [(50, 2)] * 2
    assert all((np.concatenate(r)[:, 1] == 1).all() for r in results[1:3])


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("primitive", ["sampler", "estimator"])
def test_twins_are_rows_of_one_pub_each_with_shots_of_its_own(loopback, device, primitive, seed, new_client):
    service = loopback(seed=seed)
    dev = device(primitive=primitive)
    handle = dev.submit(twins(4, 20_000, lambda: qml.expval(qml.Z(0) + 2 * qml.Z(1) + 0.5 * qml.X(0))))
    results = handle.result()
    pubs = service.counters.pubs
    if primitive == "estimator":
        # a client-side Estimator adds the circuit by which readout errors are learned
        assert pubs == 1 + new_client
    else:
        assert pubs == 2
    assert np.allclose(results, -1.5, atol=0.05)
    # four that are equal by chance would be one in ten million
    assert len(set(map(float, results))) > 1 or (primitive == "sampler" and new_client and seed is not None)


def test_what_tells_twins_apart_changes_nothing_and_no_two_have_the_same(loopback, device):
    loopback()
    dev = device(primitive="estimator", primitive_api="service")
    handle = dev.submit(twins(4, 2000, lambda: qml.expval(qml.Z(0) + 2 * qml.Z(1))))
    handle.result()
    ((circuit, observables, values, _),) = sent(handle)
    first = circuit.data[0]
    assert (first.operation.name, circuit.num_parameters) == ("rz", 1)
    assert np.shape(values) == (4, 1, 1)
    assert len(np.unique(values)) == 4
    template = (
        dev._plan(tuple(twins(1, 2000, lambda: qml.expval(qml.Z(0) + 2 * qml.Z(1)))))
        .shards[0]
        .blocks[0]
        .template
    )
    plain = template.estimator_circuit()[0].circuit
    assert [i.operation.name for i in circuit.data[1:]] == [i.operation.name for i in plain.data]
    qubits = [circuit.find_bit(q).index for q in first.qubits]
    assert qubits[0] in {plain.find_bit(q).index for i in plain.data for q in i.qubits}
    assert circuit.num_qubits == plain.num_qubits
    assert len(observables) == 2


@pytest.mark.parametrize("primitive", ["sampler", "estimator"])
def test_a_program_that_died_takes_its_job_over(loopback, device, primitive):
    """The number of PUBs is known without the job."""
    service = loopback(job_secs=0.5)
    tapes = twins(3, 200, lambda: qml.expval(qml.Z(1)))
    first = device(primitive=primitive)
    handle = first.submit(tapes)
    wait_until(lambda: handle.job_ids)
    handle.detach()
    again = device(primitive=primitive)
    assert np.allclose(again.resume(handle.batch_id).result(), -1)
    assert len(service.jobs) == 1
