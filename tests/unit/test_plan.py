"""From tapes to blocks: who shares a template, what goes through which primitive, and whose fault an error is."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from planned import TemplatesOfACall, blocks_of, planned

from pennylane_threaded_ibmq.circuits.plan import compile_blocks, join, of_tape
from pennylane_threaded_ibmq.circuits.template import Template
from pennylane_threaded_ibmq.exceptions import ConfigurationError, UnsupportedCircuitError


def tape(angle=0.1, *measurements, gate=qml.RX, shots=10):
    return qml.tape.QuantumScript([gate(angle, 0)], measurements or [qml.expval(qml.Z(0))], shots=shots)


def test_tapes_of_one_structure_and_number_of_shots_are_a_block():
    tapes = [tape(0.1), tape(0.2, gate=qml.RY), tape(0.3), tape(0.4, shots=20), tape(np.array([0.5, 0.6]))]
    blocks = blocks_of(tapes)
    assert [[m.position for m in b.members] for b in blocks] == [[0, 2, 4], [1], [3]]
    first = blocks[0]
    np.testing.assert_array_equal(first.values.ravel(), [0.1, 0.3, 0.5, 0.6])
    assert [m.rows for m in first.members] == [slice(0, 1), slice(1, 2), slice(2, 4)]
    assert first.template is blocks[2].template
    assert first.template is not blocks[1].template


def test_without_parameters_each_tape_has_its_circuit():
    blocks = blocks_of([tape(0.1), tape(0.2), tape(0.1)], parametrise=False)
    assert [[m.position for m in b.members] for b in blocks] == [[0, 2], [1]]
    with pytest.raises(
        UnsupportedCircuitError, match=r"^Tape 1 has 2 rows of angles, and with parametrise=False"
    ):
        blocks_of([tape(0.1), tape(np.array([0.1, 0.2]))], parametrise=False)
    # rows that are alike have one circuit
    assert blocks_of([tape(np.array([0.1, 0.1]))], parametrise=False)[0].rows == 2


def test_words_go_through_the_estimator_and_all_else_through_the_sampler():
    measurements = [
        qml.expval(qml.Z(0)),
        qml.counts(wires=[0]),
        qml.var(qml.X(0)),
        qml.expval(2.0 * qml.I(0)),
    ]
    blocks = blocks_of([tape(0.1, *measurements)], estimator=True)
    assert {b.primitive: b.readouts for b in blocks} == {"estimator": (0, 2), "sampler": (1, 3)}
    (block,) = blocks_of([tape(0.1, *measurements)])
    assert (block.primitive, block.readouts) == ("sampler", (0, 1, 2, 3))


def test_a_dynamic_circuit_is_no_matter_of_an_estimator():
    with qml.queuing.AnnotatedQueue() as queue:
        m = qml.measure(0)
        qml.cond(m, qml.X)(1)
        qml.expval(qml.Z(1))
    (block,) = blocks_of([qml.tape.QuantumScript.from_queue(queue, shots=10)], estimator=True)
    assert block.primitive == "sampler"


def test_random_bases_stand_apart_where_a_job_takes_one_number_of_shots():
    measurements = [qml.classical_shadow(wires=[0]), qml.counts(wires=[0])]
    assert [b.single_shots for b in blocks_of([tape(0.1, *measurements)])] == [False]
    blocks = blocks_of([tape(0.1, *measurements)], equal_shots=True)
    assert {b.readouts: b.single_shots for b in blocks} == {(0,): True, (1,): False}


def test_settings_that_are_run_and_their_shots():
    (block,) = blocks_of([tape(np.array([0.1, 0.2]), qml.expval(qml.X(0) + qml.Z(0)), shots=(10, 20))])
    assert block.settings == (0, 1)
    assert block.row_shots == 30
    assert block.copy_shots == (10, 20)
    assert block.rows == 2


def test_members_that_are_taken_begin_at_the_first_row():
    (block,) = blocks_of([tape(0.1), tape(np.array([0.2, 0.3])), tape(0.4)])
    part = block.take(block.members[1:])
    np.testing.assert_array_equal(part.values.ravel(), [0.2, 0.3, 0.4])
    assert [(m.position, m.rows) for m in part.members] == [(1, slice(0, 2)), (2, slice(2, 3))]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (UnsupportedCircuitError("no such gate."), UnsupportedCircuitError, "Tape 1: no such gate."),
        (UnsupportedCircuitError("Tape 1 is odd."), UnsupportedCircuitError, "Tape 1 is odd."),
        (ConfigurationError("an option"), ConfigurationError, "an option"),
        (
            RuntimeError("boom."),
            UnsupportedCircuitError,
            "Tape 1 cannot become a circuit of Qiskit: boom. Nothing was sent.",
        ),
    ],
)
def test_what_cannot_be_made_is_the_fault_of_its_tape(error, kind, text):
    def fail(_):
        raise error

    with pytest.raises(kind) as caught:
        of_tape(1, "cannot become a circuit of Qiskit: {error}", fail, tape(0.2))
    assert str(caught.value) == text
    assert getattr(caught.value, "tape", 1) in (1, None)


def test_a_tape_that_cannot_be_read_is_named():
    odd = qml.tape.QuantumScript([qml.RX(object(), 0)], [qml.expval(qml.Z(0))], shots=10)
    with pytest.raises(UnsupportedCircuitError, match=r"^Tape 1 ") as caught:
        blocks_of([tape(0.1), odd])
    assert caught.value.tape == 1


@pytest.mark.parametrize("estimator", [False, True])
def test_a_block_is_compiled_once_and_named_where_it_cannot_be(estimator):
    compiled = []

    def transpile(circuit):
        compiled.append(circuit)
        if circuit.count_ops().get("ry"):
            raise RuntimeError("no ry here.")
        return circuit

    tapes = [tape(0.1), tape(0.2), tape(0.3, gate=qml.RZ)]
    blocks = planned(
        tapes,
        TemplatesOfACall(),
        lambda alike: Template(alike.example, alike.members[0].data, [0], transpile),
        estimator=estimator,
    )
    compile_blocks(blocks)
    compile_blocks(blocks)
    assert len(compiled) == 2
    odd = planned(
        [tape(0.1), tape(0.2, gate=qml.RY), tape(0.3, gate=qml.RY)],
        TemplatesOfACall(),
        lambda alike: Template(alike.example, alike.members[0].data, [0], transpile),
        estimator=estimator,
    )
    with pytest.raises(UnsupportedCircuitError) as caught:
        compile_blocks(odd)
    assert str(caught.value) == "Tape 1 cannot be transpiled for the backend: no ry here. Nothing was sent."
    assert caught.value.tape == 1


@pytest.mark.parametrize("options", [{}, {"estimator": True, "equal_shots": True}, {"parametrise": False}])
def test_the_plans_of_several_batches_joined_are_the_plan_of_all_tapes(options):
    measured = [qml.expval(qml.Z(0)), qml.probs(wires=[0]), qml.classical_shadow(wires=[0])]
    tapes = [tape(0.1), tape(0.2, gate=qml.RY), tape(0.3, *measured), tape(0.4, shots=20), tape(0.5)]
    tapes += [tape(0.6, *measured), tape(0.1), tape(0.7, gate=qml.RY)]
    templates = TemplatesOfACall()
    whole = blocks_of(tapes, templates=templates, **options)
    parts = [tapes[:3], tapes[3:4], [], tapes[4:]]
    joined = join(
        [blocks_of(part, templates=templates, **options) for part in parts], [len(part) for part in parts]
    )
    assert len(joined) == len(whole)
    for mine, theirs in zip(joined, whole, strict=True):
        np.testing.assert_array_equal(mine.values, theirs.values)
        places = [[(m.position, m.rows) for m in block.members] for block in (mine, theirs)]
        assert places[0] == places[1]
        same = [
            (b.structure, b.template, b.shots, b.readouts, b.primitive, b.single_shots)
            for b in (mine, theirs)
        ]
        assert same[0] == same[1]
