"""What fits in one job of IBM's: how circuits are counted, how a batch is cut, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from math import inf

import numpy as np
import pennylane as qml
import pytest
from planned import planned
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from pennylane_threaded_ibmq.circuits.limits import (
    REFUSALS,
    SERVICE_MOST,
    JobSize,
    Weight,
    circuit_size,
    weigh,
)
from pennylane_threaded_ibmq.circuits.shards import Limits, cut
from pennylane_threaded_ibmq.device.templates import TemplateStore
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError
from pennylane_threaded_ibmq.execution.usage import overheads

UNLIMITED = JobSize(*[inf] * len(fields(JobSize)))


def tape(angle=0.3, shots=100, rows=1):
    angle = angle if rows == 1 else np.linspace(0.1, 1.0, rows)
    return qml.tape.QuantumScript(
        [qml.RX(angle, 0), qml.CNOT([0, 1])], [qml.probs(wires=[0, 1])], shots=shots
    )


def expectation(angle=0.3):
    return qml.tape.QuantumScript(
        [qml.RX(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.X(0)), qml.expval(qml.Z(1))], shots=100
    )


@pytest.fixture(scope="module")
def blocks_of():
    """Plan tapes for a system: ``blocks_of(tapes)``."""
    with qml.device("threaded.ibmq", wires=2, backend="fake_manila") as dev:
        make_template = partial(dev._planner.make_template, dev._open())
        yield lambda tapes: planned(tapes, TemplateStore(), make_template, estimator=True)


def limits(options=None, **most):
    return Limits(replace(UNLIMITED, **most), partial(weigh, overhead=overheads(options or {})))


def test_a_circuit_is_counted_as_ibm_counts():
    circuit = QuantumCircuit(3, 2)
    circuit.rz(Parameter("a"), 0)
    circuit.sx(0)
    circuit.cx(0, 1)
    circuit.barrier()
    circuit.ecr(1, 2)
    circuit.measure(1, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.cz(1, 0)
        circuit.reset(1)
    size = circuit_size(circuit)
    # qubit 1: init 50, cx 5, ecr 5, measure 10, x 2, cz 5, reset 17
    assert size == JobSize(circuits=1, instructions=94, two_qubit_gates=3, rz=1, sx=1)


def test_the_limits_are_those_that_ibm_publishes():
    assert SERVICE_MOST.executions == 10e6
    assert SERVICE_MOST.instructions == 26.8e6
    assert SERVICE_MOST.two_qubit_gates == 5e6
    assert (SERVICE_MOST.rz, SERVICE_MOST.sx) == (30e6, 20e6)
    assert set(REFUSALS) == {f.name for f in fields(JobSize)} - {"bytes"}


@pytest.mark.parametrize("name", [f.name for f in fields(JobSize)])
def test_a_batch_beyond_a_limit_becomes_as_few_jobs_as_fit(blocks_of, name):
    tapes = [tape(angle) for angle in np.linspace(0.1, 3.0, 20)]
    (block,) = blocks_of(tapes)
    weight = weigh(block, overheads({}))
    most = getattr(weight.of(7), name)
    assert most > 0
    shards = cut([block], "auto", limits(**{name: most}))
    assert [len(shard.positions) for shard in shards] == [7, 7, 6]
    assert sorted(p for shard in shards for p in shard.positions) == list(range(20))
    assert len(cut([block], "auto", limits(**{name: getattr(weight.of(20), name)}))) == 1


def test_blocks_share_a_job_up_to_its_limit(blocks_of):
    blocks = blocks_of([tape(), tape(shots=200), tape(shots=300)])
    assert len(blocks) == 3
    most = 500
    shards = cut(blocks, "auto", limits(executions=most))
    assert [sum(weigh(b, overheads({})).of(b.rows).executions for b in s.blocks) for s in shards] == [
        300,
        300,
    ]


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_a_circuit_beyond_a_limit_is_refused(blocks_of, name):
    (block,) = blocks_of([tape(0.1), tape(0.2)])
    most = getattr(weigh(block, overheads({})).of(1), name) - 1
    with pytest.raises(UnsupportedCircuitError, match=r"Nothing was sent\.") as caught:
        cut([block], "auto", limits(**{name: most}))
    for text in ("Tape 0", f"{most:,.0f}", REFUSALS[name][0], "docs/guides/job-limits", REFUSALS[name][1]):
        assert text in str(caught.value)
    assert caught.value.tape == 0


def test_a_tape_of_many_rows_is_refused_where_its_rows_together_are_too_many(blocks_of):
    (block,) = blocks_of([tape(rows=30, shots=100)])
    with pytest.raises(
        UnsupportedCircuitError, match=r"30 rows of values with 3,000 executions.*at most 2,000"
    ):
        cut([block], "auto", limits(executions=2000))
    assert len(cut([block], "auto", limits(executions=3000))) == 1


def test_what_is_guessed_is_no_reason_to_refuse(blocks_of):
    """How many bytes a request will have is an estimate: a tape that may be too large is sent by itself."""
    (block,) = blocks_of([tape(0.1), tape(0.2)])
    assert [shard.positions for shard in cut([block], "auto", limits(bytes=1))] == [(0,), (1,)]


@pytest.mark.parametrize(
    ("options", "folding"),
    [
        ({}, 1),
        ({"resilience_level": 2}, 9),
        ({"resilience": {"zne_mitigation": True, "zne": {"noise_factors": [1, 2]}}}, 3),
        ({"resilience": {"zne_mitigation": True, "zne": {"amplifier": "pea"}}}, 3),
    ],
)
def test_gate_folding_counts(blocks_of, options, folding):
    (block,) = blocks_of([expectation()])
    weights = [weigh(block, overheads({"estimator": one})) for one in ({"resilience_level": 0}, options)]
    plain, folded = (weight.of(1) for weight in weights)
    assert folded.two_qubit_gates == folding * plain.two_qubit_gates
    assert folded.instructions == plain.instructions
    # IBM cuts the jobs of an Estimator itself
    assert folded.executions == 0


def test_twirled_shots_are_counted_as_they_are_run(blocks_of):
    (block,) = blocks_of([tape(shots=100)])
    twirled = overheads({"sampler": {"twirling": {"enable_gates": True}}})
    assert [weigh(block, o).of(3).executions for o in (overheads({}), twirled)] == [300, 384]


def test_rows_that_fit_are_counted_after_what_is_sent_once():
    weight = Weight(JobSize(bytes=10), JobSize(bytes=3))
    assert weight.most_rows(replace(UNLIMITED, bytes=19)) == 3
    assert weight.most_rows(replace(UNLIMITED, bytes=9)) == 0
    assert weight.most_rows(UNLIMITED) == inf
