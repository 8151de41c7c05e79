"""From blocks to PUBs and back: what each row runs, and where each of its shots belongs."""

from __future__ import annotations

from math import ceil

import numpy as np
import pennylane as qml
import pytest
from planned import blocks_of, shots_of
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from pennylane_threaded_ibmq.circuits.decode import BlockResult, decode_block
from pennylane_threaded_ibmq.circuits.outcomes import ShotBits
from pennylane_threaded_ibmq.circuits.plan import compiled_circuits
from pennylane_threaded_ibmq.circuits.pubs import Pub, collect, make_request
from pennylane_threaded_ibmq.circuits.shadows import ANGLES, draw_recipes, read_shadow

RNG = np.random.default_rng


def tape(*measurements, angle=0.1, shots=10):
    return qml.tape.QuantumScript([qml.RX(angle, 0), qml.RY(0.5, 1)], list(measurements), shots=shots)


def test_a_precision_asks_for_just_so_many_shots():
    for shots in [*range(1, 3000), 10_000, 99_999, 100_000, 1_000_003]:
        assert ceil(1 / Pub(None, None, shots).precision ** 2) == shots
        assert 1 / Pub(None, None, shots).precision ** 2 == pytest.approx(shots - 0.25)


def test_each_setting_is_a_pub_with_all_rows():
    (block,) = blocks_of([tape(qml.expval(qml.X(0)), qml.expval(qml.Z(0)), angle=a) for a in (0.1, 0.2)])
    request = make_request(block, RNG(0))
    assert request.block is block
    assert request.recipes == {}
    assert [pub.setting for pub in request.pubs] == list(block.settings) == [0, 1]
    for pub in request.pubs:
        assert pub.circuit is block.template.sampler_circuit(pub.setting).circuit
        assert pub.values.tolist() == [[0.1, 0.5], [0.2, 0.5]]
        assert (pub.shots, pub.slots, pub.observables) == (10, None, ())


def test_an_estimator_has_a_pub_for_each_copy():
    (block,) = blocks_of([tape(qml.expval(qml.X(0)), qml.expval(qml.Y(1)), shots=[10, 20])], estimator=True)
    request = make_request(block, RNG(0))
    assert [pub.shots for pub in request.pubs] == [10, 20]
    assert {id(pub.circuit) for pub in request.pubs} == {id(block.template.estimator_circuit()[0].circuit)}
    assert request.recipes == {}
    assert all(pub.setting == -1 and pub.values.tolist() == [[0.1, 0.5]] for pub in request.pubs)
    assert all([o.to_list() for o in pub.observables] == [[("IX", 1)], [("YI", 1)]] for pub in request.pubs)
    result = collect(request, [np.array([[0.25], [0.5]]), np.array([[0.75], [-1.0]])], RNG(0))
    assert result.word_values.tolist() == [[[0.25, 0.5]], [[0.75, -1.0]]]
    assert result.outcomes == {}
    decoded = decode_block(block, result, RNG(0))
    assert [[float(v) for v in decoded[0, m]] for m in (0, 1)] == [[0.25, 0.75], [0.5, -1.0]]


def test_what_a_block_runs_is_transpiled_once():
    (sampler,) = blocks_of([tape(qml.expval(qml.X(0)), qml.expval(qml.Z(0)))])
    assert sampler.template._compiled == {}
    compiled_circuits(sampler)
    assert set(sampler.template._compiled) == {0, 1}
    assert sampler.template._estimator is None
    assert compiled_circuits(sampler) == [sampler.template.sampler_circuit(i).circuit for i in (0, 1)]
    (estimator,) = blocks_of([tape(qml.expval(qml.X(0)))], estimator=True)
    compiled_circuits(estimator)
    assert estimator.template._compiled == {}
    assert compiled_circuits(estimator) == [estimator.template.estimator_circuit()[0].circuit]


# --------------------------------------------------------------------------------------------------------- shadows


@pytest.mark.parametrize(("letter", "obs"), list(enumerate([qml.X, qml.Y, qml.Z])))
def test_angles_of_a_basis_turn_it_to_z(letter, obs):
    circuit = QuantumCircuit(1)
    circuit.rz(ANGLES[letter][0], 0)
    circuit.ry(ANGLES[letter][1], 0)
    turn = Operator(circuit).data
    np.testing.assert_allclose(turn.conj().T @ np.diag([1, -1]) @ turn, qml.matrix(obs(0)), atol=1e-12)


def shadow_block(shots=40, rows=2, seed=None, **options):
    mp = (
        qml.classical_shadow(wires=[1, 0], seed=seed)
        if seed is not None
        else qml.classical_shadow(wires=[1, 0])
    )
    return blocks_of([tape(mp, angle=0.1 * (i + 1), shots=shots) for i in range(rows)], **options)[0]


def unseeded(block):
    """The readout of a shadow whose measurement was given no seed."""
    (readout,) = block.template.readouts
    readout.process.seed = None
    return readout


def test_bases_are_drawn_for_each_row_shot_and_wire():
    readout = unseeded(shadow_block())
    drawn = draw_recipes(readout, 3, 200, RNG(5))
    assert (drawn.shape, drawn.dtype) == ((3, 200, 2), np.int8)
    assert set(np.unique(drawn)) == {0, 1, 2}
    np.testing.assert_array_equal(drawn, RNG(5).integers(0, 3, size=(3, 200, 2)))
    seeded = draw_recipes(shadow_block(seed=9).template.readouts[0], 3, 200, RNG(5))
    assert (seeded.shape, seeded.dtype) == ((3, 200, 2), np.int8)
    wanted = np.random.RandomState(9).randint(0, 3, size=(200, 2))
    for row in seeded:
        np.testing.assert_array_equal(row, wanted)


@pytest.mark.parametrize("single", [False, True])
def test_each_shot_of_a_shadow_comes_back_with_its_basis(single):
    block = shadow_block(equal_shots=single)
    unseeded(block)
    assert block.single_shots is single
    request = make_request(block, RNG(3))
    (recipes,) = request.recipes.values()
    assert recipes.shape == (2, 40, 2)
    seen = np.zeros((2, 40), dtype=int)
    results = []
    for pub in request.pubs:
        assert pub.circuit is block.template.sampler_circuit(pub.setting).circuit
        assert pub.slots.shape == (len(pub.values), pub.shots, 2)
        bits = np.zeros((len(pub.values), pub.shots, 1), dtype=np.uint8)
        for row, slots in enumerate(pub.slots):
            tape_row = set(slots[:, 0])
            assert len(tape_row) == 1
            angle = 0.1 * (tape_row.pop() + 1)
            for shot, (at, place) in enumerate(slots):
                seen[at, place] += 1
                np.testing.assert_allclose(
                    pub.values[row], [angle, 0.5, *ANGLES[recipes[at, place]].ravel()], atol=1e-12
                )
                # what is "measured" tells which shot it was
                bits[row, shot, 0] = (place + at) % 4
        # a service may give more shots than were asked for
        more = np.full((len(bits), 2, 1), 255, dtype=np.uint8)
        results.append(ShotBits(np.concatenate([bits, more], axis=1)))
    assert (seen == 1).all()
    counts = [pub.shots for pub in request.pubs]
    if single:
        assert counts == [1]
    else:
        assert len(set(counts)) == len(counts)
        assert sum(len(pub.values) for pub in request.pubs) <= 2 * 9
    result = collect(request, results, RNG(0))
    ((setting, outcomes),) = result.outcomes.items()
    assert outcomes.packed.shape == (2, 40, 1)
    for row in range(2):
        assert outcomes.packed[row, :, 0].tolist() == [(p + row) % 4 for p in range(40)]
    assert result.recipes == {setting: recipes}
    readout = block.template.readouts[0]
    first, second = read_shadow(readout, outcomes, recipes)
    assert (first.shape, first.dtype) == ((2, 40, 2), np.int8)
    wanted = np.array([[p % 4 & 1, p % 4 >> 1] for p in range(40)])
    np.testing.assert_array_equal(first[0], wanted[:, readout.bits])
    np.testing.assert_array_equal(first[1], recipes[0])
    np.testing.assert_array_equal(second[1], recipes[1])


def test_each_copy_of_a_shot_vector_has_the_bases_of_its_own_shots():
    block = shadow_block(shots=(2, 3), rows=1)
    shots = ["00", "01", "10", "11", "01"]
    recipes = np.arange(10, dtype=np.int8).reshape(1, 5, 2) % 3
    (setting,) = block.settings
    result = BlockResult({setting: shots_of(block, setting, [shots])}, recipes={setting: recipes})
    (copies,) = decode_block(block, result, RNG(0)).values()
    wanted = np.array([[int(bit) for bit in shot] for shot in shots])
    for copy, part in zip(copies, (slice(0, 2), slice(2, 5)), strict=True):
        np.testing.assert_array_equal(copy, [wanted[part], recipes[0, part]])


def test_rows_of_a_shadow_of_fewer_wires_leave_the_other_angles():
    ops = [qml.RX(0.1, 0), qml.RY(0.5, 1)]
    tapes = [
        qml.tape.QuantumScript(
            ops,
            [qml.classical_shadow(wires=[1], seed=1), qml.classical_shadow(wires=[0, 1], seed=2)],
            shots=30,
        )
    ]
    (block,) = blocks_of(tapes)
    request = make_request(block, RNG(0))
    assert set(request.recipes) == {0, 1}
    assert [request.recipes[i].shape[-1] for i in (0, 1)] == [1, 2]
    for pub in request.pubs:
        (template_readout,) = [r for r in block.template.readouts if r.settings == (pub.setting,)]
        recipes = request.recipes[pub.setting]
        used = 2 * len(template_readout.bits)
        for row, slots in enumerate(pub.slots):
            np.testing.assert_array_equal(
                pub.values[row][2 : 2 + used], ANGLES[recipes[0, slots[0, 1]]].ravel()
            )
            assert not pub.values[row][2 + used :].any()


def test_expectation_values_from_a_shadow():
    word = qml.Z(0) @ qml.X(1)
    (block,) = blocks_of([tape(qml.shadow_expval(word, seed=1), shots=3)])
    (readout,) = block.template.readouts
    recipes = np.array([[[2, 0], [2, 0], [0, 0]]], dtype=np.int8)
    outcomes = shots_of(block, 0, [["00", "01", "11"]])
    # 9 times the mean sign of the shots whose bases are those of the word; the third has another
    (value,) = read_shadow(readout, outcomes, recipes)
    np.testing.assert_allclose(value, 9 * (1 - 1 + 0) / 3)
    (value,) = read_shadow(readout, shots_of(block, 0, [["00", "11", "11"]]), recipes)
    np.testing.assert_allclose(value, 9 * (1 + 1 + 0) / 3)


def test_a_shadow_of_another_wire_and_the_median_of_its_parts():
    (block,) = blocks_of([tape(qml.shadow_expval(qml.Z(1), seed=1, k=3), shots=6)])
    recipes = np.array([[[2], [2], [2], [0], [2], [2]]], dtype=np.int8)
    outcomes = shots_of(block, 0, [["0", "0", "1", "0", "1", "1"]])
    (value,) = read_shadow(block.template.readouts[0], outcomes, recipes)
    # means of two shots each; the fourth has another basis
    np.testing.assert_allclose(value, np.median([3, -1.5, -3]))


def test_settings_of_a_block_keep_their_results_apart():
    last = [qml.expval(qml.X(1)), qml.expval(qml.Z(1))]
    (block,) = blocks_of([tape(qml.classical_shadow(wires=[0], seed=4), *last, shots=4)])
    request = make_request(block, RNG(0))
    results = []
    for pub in request.pubs:
        if pub.slots is None:
            results.append(shots_of(block, pub.setting, [["0", "1", "0", "0"]]))
        else:
            results.append(ShotBits(np.ones((len(pub.values), pub.shots, 1), dtype=np.uint8)))
    result = collect(request, results, RNG(0))
    decoded = decode_block(block, result, RNG(0))
    assert decoded[0, 1] == decoded[0, 2] == [0.5]
    (shadow,) = decoded[0, 0]
    assert shadow[0].ravel().tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(shadow[1], np.random.RandomState(4).randint(0, 3, size=(4, 1)))
