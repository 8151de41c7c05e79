"""Words that share circuits, and shots that are read for every word that they measure."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from planned import blocks_of

from pennylane_threaded_ibmq.circuits.decode import BlockResult, decode_block
from pennylane_threaded_ibmq.circuits.grouping import group_words
from pennylane_threaded_ibmq.circuits.outcomes import ShotBits, ShotCounts
from pennylane_threaded_ibmq.circuits.shards import Shard


def local_words(number, wires, seed, most=4, least=4):
    """Random words of few letters."""
    rng = np.random.default_rng(seed)
    return [
        tuple(
            sorted(
                (int(w), "XYZ"[rng.integers(3)])
                for w in rng.choice(wires, rng.integers(least, most + 1), replace=False)
            )
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_thousand_words_take_few_circuits(seed):
    assert len(group_words(local_words(1000, 20, seed))) <= 72


@pytest.mark.parametrize(
    "words",
    [
        local_words(200, 6, 1, least=1),
        [((0, "Z"),), ((0, "Z"), (1, "Z"), (2, "Z")), ((0, "X"),)],
        [(), ((0, "Y"),)],
        [()],
        [],
        local_words(60, 4, 2, least=0),
    ],
)
def test_each_word_is_measured_in_the_same_bases_every_time(words):
    bases = group_words(words)
    assert bases == group_words(words * 2)
    for word in words:
        assert any(all(basis.get(w) == letter for w, letter in word) for basis in bases)


@pytest.mark.parametrize(
    ("letters", "bases"), [("Z", 1), ("ZZ", 1), ("ZX", 2), ("ZXZX", 2), ("ZXY", 3)], ids=str
)
def test_two_bases_or_fewer_are_not_looked_for_again(letters, bases, monkeypatch):
    """Most templates have one or two, and passes over them would take as long as the rest of the template."""
    passes = []
    monkeypatch.setattr(
        "pennylane_threaded_ibmq.circuits.grouping._by_colour",
        lambda colours, *, largest_first: passes.append(largest_first) or range(len(colours)),
    )
    assert len(group_words([((i, "Z"), (9, letter)) for i, letter in enumerate(letters)])) == bases
    assert bool(passes) == (bases > 2)


def test_more_words_than_a_table_of_conflicts_holds_are_grouped(monkeypatch):
    words = local_words(300, 8, 3, least=1)
    few = len(group_words(words))
    monkeypatch.setattr("pennylane_threaded_ibmq.circuits.grouping.MOST_WORDS", 10)
    bases = group_words(words)
    assert few <= len(bases) <= 1.5 * few
    assert all(any(all(b.get(w) == c for w, c in word) for b in bases) for word in words)


def planned(measurements, shots=8, operations=()):
    """The only block of one tape, and the classical bit of each wire in each of its settings."""
    tape = qml.tape.QuantumScript(list(operations), measurements, shots=shots)
    (block,) = blocks_of([tape])
    return block, [dict(zip(s.wires, s.bits(s.wires), strict=True)) for s in block.template.settings]


def setting_of(block, **letters):
    """Position of the setting that measures some wires in some letters."""
    want = {(int(name[1:]), letter) for name, letter in letters.items()}
    return next(i for i, s in enumerate(block.template.settings) if want <= set(s.basis))


def seen(bits, shots):
    """Outcomes of one row from the values of wires, shot by shot."""
    packed = [[sum(value << bits[w] for w, value in shot.items())] for shot in shots]
    return ShotBits(np.array([packed], dtype=np.uint8))


def counted(outcomes):
    """The same, as a simulator counts it."""
    values, counts = np.unique(outcomes.packed[0, :, 0], return_counts=True)
    table = [{hex(v): int(n) for v, n in zip(values.tolist(), counts, strict=True)}]
    return ShotCounts.from_counts(table, 8, outcomes.shots)


WORDS = [qml.expval(qml.Z(0) @ qml.X(1)), qml.expval(qml.Z(0) @ qml.Z(1))]


@pytest.mark.parametrize("form", [lambda outcomes: outcomes, counted])
def test_shots_of_all_settings_that_measure_a_word_count_alike(form):
    measurements = [
        *WORDS,
        qml.expval(2.0 * qml.Z(0) + 1.0),
        qml.var(qml.Z(0)),
        qml.probs(wires=0),
        qml.var(3.0 * qml.Z(0)),
    ]
    block, bits = planned(measurements)
    with_x, with_z = setting_of(block, w0="Z", w1="X"), setting_of(block, w0="Z", w1="Z")
    result = BlockResult(
        {
            # a service may give more shots than were asked for; 6 of 8 and 1 of 12 read 1 on wire 0
            with_x: form(seen(bits[with_x], [{0: i < 6, 1: 0} for i in range(8)])),
            with_z: form(seen(bits[with_z], [{0: i < 1, 1: 1} for i in range(12)])),
        }
    )
    got = decode_block(block, result, np.random.default_rng(0))
    mean = (13 - 7) / 20
    assert got[0, 0] == [pytest.approx((2 - 6) / 8)]
    assert got[0, 1] == [pytest.approx(-(11 - 1) / 12)]
    assert got[0, 2] == [pytest.approx(2 * mean + 1)]
    assert got[0, 3] == [pytest.approx(1 - mean**2)]
    assert np.allclose(got[0, 4][0], [13 / 20, 7 / 20])
    assert got[0, 5] == [pytest.approx(9 * (1 - mean**2))]


def test_a_variance_of_a_sum_takes_the_shots_in_which_all_its_words_have_values():
    block, bits = planned([
        qml.var(qml.Z(0) + qml.Z(1)),
        qml.expval(qml.Z(0) @ qml.Z(1) @ qml.X(2)),
        qml.expval(qml.Z(0) @ qml.Z(1) @ qml.Y(2)),
        qml.expval(qml.Z(0) @ qml.X(1)),
    ])  # fmt: skip
    both = {setting_of(block, w0="Z", w1="Z", w2=letter) for letter in "XY"}
    alone = setting_of(block, w0="Z", w1="X")
    opposite = [{0: i % 2, 1: 1 - i % 2, 2: 0} for i in range(8)]
    alike = [{0: i % 2, 1: i % 2, 2: 0} for i in range(8)]
    outcomes = {s: seen(bits[s], shots) for s, shots in zip(sorted(both), [opposite, alike], strict=True)}
    outcomes[alone] = seen(bits[alone], [{0: 1, 1: 1} | ({2: 0} if 2 in bits[alone] else {})] * 8)
    got = decode_block(block, BlockResult(outcomes), np.random.default_rng(0))
    # the sum is 0 in one of the two and +2 or -2 in the other; the third has no value of it
    assert got[0, 0] == [pytest.approx(2.0)]


def test_a_setting_without_valid_shots_takes_no_part():
    with qml.queuing.AnnotatedQueue() as queue:
        qml.measure(2, postselect=1)
        for mp in (qml.Z(0) @ qml.X(1), qml.Z(0) @ qml.Z(1), qml.Z(0)):
            qml.expval(mp)
    tape = qml.tape.QuantumScript.from_queue(queue, shots=4)
    (block,) = blocks_of([tape])
    bits = [{2: 0, **dict(zip(s.wires, s.bits(s.wires), strict=True))} for s in block.template.settings]
    shots = [{0: 0, 1: 0, 2: 1}, {0: 1, 1: 0, 2: 1}, {0: 1, 1: 0, 2: 1}, {0: 1, 1: 0, 2: 0}]
    outcomes = {0: seen(bits[0], shots), 1: seen(bits[1], [{0: 0, 1: 0, 2: 0}] * 4)}
    got = decode_block(block, BlockResult(outcomes), np.random.default_rng(0))
    assert got[0, 2] == [pytest.approx(-1 / 3)]


@pytest.mark.parametrize("backend", ["ibmq_qasm_simulator", "aer_simulator_density_matrix"])
@pytest.mark.parametrize("shots", [100, [60, 100]])
def test_the_mean_is_unbiased_and_its_variance_is_halved(backend, shots):
    dev = qml.device("threaded.ibmq", wires=2, backend=backend, seed_simulator=5)

    @qml.set_shots(shots)
    @qml.qnode(dev)
    def circuit(x):
        qml.RX(x, wires=0)
        qml.CNOT([0, 1])
        qml.RY(0.4, wires=0)
        return *(qml.expval(mp.obs) for mp in WORDS), qml.expval(qml.Z(0)), qml.expval(qml.X(1))

    rows = 1000
    found = circuit(np.full(rows, 0.7))
    found = found if isinstance(shots, int) else found[1]
    exact = [float(v) for v in qml.qnode(qml.device("default.qubit", wires=2))(circuit.func)(0.7)]
    for value, means, pooled in zip(exact, found, [1, 1, 2, 1], strict=True):
        variance = (1 - value**2) / (100 * pooled)
        assert abs(np.mean(means) - value) < 5 * np.sqrt(variance / rows)
        # the variance of a sample variance is 2 / rows of its square
        assert abs(np.var(means) / variance - 1) < 5 * np.sqrt(2 / rows)


def test_an_estimator_measures_words_and_its_sampler_only_what_is_left():
    dev = qml.device("threaded.ibmq", wires=2, primitive="estimator", seed_simulator=5)
    tape = qml.tape.QuantumScript([], [*WORDS, qml.probs(wires=0)], shots=50)
    got = dev.batch_execute([tape])[0]
    assert np.allclose(got[2], [1, 0])
    assert dev.estimate([tape]).circuits == 3


def test_jobs_are_recognised_by_their_bases(monkeypatch):
    block, _ = planned([qml.expval(qml.Z(0)), *WORDS])
    monkeypatch.setattr(
        "pennylane_threaded_ibmq.circuits.measure.group_words", lambda words: group_words(words)[::-1]
    )
    other, _ = planned([qml.expval(qml.Z(0)), *WORDS])
    assert Shard((block,)).content() != Shard((other,)).content()
