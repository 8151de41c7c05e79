"""In which bases a tape is measured, and where each result is read."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.circuits.measure import plan_measurements
from pennylane_threaded_ibmq.circuits.readout import Kind
from pennylane_threaded_ibmq.circuits.structure import StructureReader
from pennylane_threaded_ibmq.exceptions import UnsupportedCircuitError

WIRES = ["a", "b", "c"]


def planned(*measurements, first=0):
    tape = qml.tape.QuantumScript([], list(measurements), shots=10)
    data = StructureReader().read(tape, 0)
    return plan_measurements(tape, data, WIRES, first=first)


def bases(settings):
    return [dict(s.basis) for s in settings]


def test_words_that_agree_share_a_setting():
    settings, readouts = planned(
        qml.expval(qml.Z("a")), qml.expval(qml.Z("a") @ qml.X("b")), qml.expval(qml.X("b"))
    )
    assert bases(settings) == [{"a": "Z", "b": "X"}]
    assert [r.settings for r in readouts] == [(0,)] * 3
    assert [r.bits for r in readouts] == [((0,),), ((0, 1),), ((1,),)]
    assert all(r.kind is Kind.WORDS and r.direct for r in readouts)


def test_words_that_do_not_agree_have_settings_of_their_own():
    settings, (readout,) = planned(qml.expval(qml.X("a") + 2.0 * qml.Z("a")))
    assert sorted(b["a"] for b in bases(settings)) == ["X", "Z"]
    assert not readout.direct
    for word, home in zip(readout.words, readout.settings, strict=True):
        assert dict(settings[home].basis)["a"] == dict(word)["a"]


def test_bits_follow_the_order_of_the_wires_behind_those_of_the_middle():
    settings, (readout,) = planned(qml.probs(wires=["c", "a"]), first=2)
    (setting,) = settings
    assert setting.wires == ("a", "c")
    assert setting.first == 2
    assert readout.bits == (3, 2)
    assert readout.kind is Kind.PROBABILITIES


def test_a_measurement_without_wires_means_all():
    settings, readouts = planned(qml.sample(), qml.counts(), qml.probs())
    assert bases(settings) == [dict.fromkeys(WIRES, "Z")]
    assert [r.bits for r in readouts] == [(0, 1, 2)] * 3
    assert [r.kind for r in readouts] == [Kind.SAMPLES, Kind.SAMPLES, Kind.PROBABILITIES]


def test_nothing_to_measure_is_a_setting_without_wires():
    settings, (readout,) = planned(qml.expval(2.0 * qml.I("a")))
    assert [(s.basis, s.wires, s.first) for s in settings] == [((), (), 0)]
    assert readout.words == ()


def test_an_observable_that_is_no_word_is_turned_by_its_own_gates():
    settings, (readout,) = planned(qml.expval(qml.Hermitian(np.array([[1.0, 1.0], [1.0, -1.0]]), "b")))
    (setting,) = settings
    assert setting.wires == ("b",)
    assert setting.is_local
    assert [g.name for g in setting.rotations] == ["QubitUnitary"]
    assert readout.kind is Kind.EIGENVALUES
    np.testing.assert_allclose(readout.eigenvalues, [-np.sqrt(2), np.sqrt(2)])


def test_rotations_of_two_wires_are_not_local():
    matrix = np.kron(np.array([[0, 1], [1, 0]]), np.array([[1, 0], [0, -1]])) + np.eye(4)[::-1]
    settings, _ = planned(qml.expval(qml.Hermitian(matrix, ["a", "b"])))
    assert not settings[0].is_local


def test_special_settings_come_behind_those_of_words():
    settings, readouts = planned(
        qml.expval(qml.Hermitian(np.array([[1.0, 1.0], [1.0, -1.0]]), "b")),
        qml.classical_shadow(wires=["a"]),
        qml.expval(qml.X("a")),
    )
    assert [bool(s.rotations) for s in settings] == [False, True, False]
    assert [s.random_basis for s in settings] == [False, False, True]
    assert [r.settings for r in readouts] == [(1,), (2,), (0,)]
    assert readouts[1].kind is Kind.SHADOW


@pytest.mark.parametrize(
    ("words", "products"),
    [
        # they anticommute: their products cancel
        (("X", "Z"), []),
        (("XX", "YY"), ["ZZ"]),
        (("XX", "ZZ"), ["YY"]),
        # a product that is a word already
        (("XX", "YY", "ZZ"), []),
        (("XI", "IZ", "ZI"), ["XZ", "ZZ"]),
    ],
)
def test_words_of_a_square(words, products):
    def word(text):
        return qml.prod(
            *(getattr(qml, letter)(w) for w, letter in zip("ab", text, strict=False) if letter != "I")
        )

    def name(pairs):
        return "".join(dict(pairs).get(w, "I") for w in "ab")[: len(words[0])]

    _, (readout,) = planned(qml.var(qml.dot([1.0] * len(words), [word(w) for w in words])))
    if not readout.direct:
        assert sorted(name(w) for w in readout.products) == sorted(products)


@pytest.mark.parametrize(
    ("left", "right", "sign", "product"),
    [("XX", "YY", -1.0, "ZZ"), ("XX", "ZZ", -1.0, "YY"), ("XY", "YX", 1.0, "ZZ"), ("ZX", "XZ", 1.0, "YY")],
)
def test_signs_of_products(left, right, sign, product):
    def word(text):
        return qml.prod(*(getattr(qml, letter)(w) for w, letter in zip("ab", text, strict=True)))

    _, (readout,) = planned(qml.var(word(left) + word(right)))
    ((i, j, found, k),) = readout.pairs
    assert (i, j, found) == (0, 1, sign)
    assert "".join(letter for _, letter in readout.all_words[k]) == product
    # (2 XX + 3 YY)**2 = 13 +- 12 ZZ
    square = readout.mean_square(np.array([[2.0, 3.0]]), np.array([[0.1, 0.2, 0.5]]))
    np.testing.assert_allclose(square, [13 + 12 * sign * 0.5])


def test_where_else_a_word_is_measured():
    _, (readout,) = planned(qml.expval(qml.Z("a") @ qml.X("b") + qml.Z("a") @ qml.Y("b") + 3.0 * qml.Z("a")))
    entry = readout.words.index((("a", "Z"),))
    home = readout.settings[entry]
    other = 1 - home
    assert readout.sources(entry, {0, 1}) == ((home, (0,)), (other, (0,)))
    # what is not run is not read
    assert readout.sources(entry, {home}) == ((home, (0,)),)


def test_a_variance_of_words_that_agree_needs_one_setting():
    settings, (readout,) = planned(qml.var(qml.Z("a") + qml.X("b") + qml.Z("a") @ qml.X("b")))
    assert bases(settings) == [{"a": "Z", "b": "X"}]
    assert readout.direct
    assert readout.variance


def test_what_is_no_observable_is_refused():
    with pytest.raises(UnsupportedCircuitError, match="is not Hermitian"):
        planned(qml.expval(qml.prod(qml.Projector([0], "a"), qml.X("a"))))
    with pytest.raises(UnsupportedCircuitError, match="coefficient"):
        planned(qml.expval(1j * qml.Z("a")))
    with pytest.raises(UnsupportedCircuitError, match="coefficient"):
        planned(qml.shadow_expval(1j * qml.Z("a")))


def test_a_matrix_that_is_hermitian_but_for_rounding_is_an_observable():
    class Mine(qml.operation.Operator):
        """An operator that does not say whether it is Hermitian."""

        num_wires = 1
        is_hermitian = False

        def __init__(self, matrix, wires):
            self.mine = np.asarray(matrix)
            super().__init__(wires=wires)

        def matrix(self, wire_order=None):
            return self.mine

        def eigvals(self):
            return np.linalg.eigvals(self.mine)

        def diagonalizing_gates(self):
            return [qml.Hadamard(self.wires)]

        has_matrix = True

    almost = np.array([[0.0, 1.0], [1.0 + 1e-9, 0.0]])
    settings, _ = planned(qml.expval(Mine(almost, "a")))
    assert [g.name for g in settings[0].rotations] == ["Hadamard"]
    with pytest.raises(UnsupportedCircuitError, match="is not Hermitian, so its values are not real numbers"):
        planned(qml.expval(Mine(np.array([[0.0, 1.0], [0.5, 0.0]]), "a")))


def test_probabilities_in_the_basis_of_a_word_take_it_whatever_its_coefficient():
    settings, (readout,) = planned(qml.probs(op=qml.s_prod(2.0, qml.X("a"))))
    assert bases(settings) == [{"a": "X"}]
    assert readout.kind is Kind.PROBABILITIES


def test_bits_of_an_observable_follow_its_wires():
    _, (readout,) = planned(qml.sample(qml.Z("c") @ qml.Z("a")))
    assert readout.kind is Kind.SAMPLES
    assert [("a", "c")[bit] for bit in readout.bits] == ["c", "a"]


def test_a_users_own_measurement_is_given_all_wires():
    class Mine(qml.measurements.SampleMP):
        """A measurement of the user's."""

    settings, (readout,) = planned(Mine(wires=qml.wires.Wires(["b"])))
    assert settings[0].wires == tuple(WIRES)
    assert readout.labels == tuple(WIRES)


class Odd(qml.operation.Operator):
    """An observable that is made as a test needs it."""

    num_wires = None
    is_hermitian = False
    has_matrix = True
    has_diagonalizing_gates = True

    def __init__(self, wires, diagonal, gates=(), off=0.0):
        super().__init__(wires=wires)
        self.diagonal, self.gates, self.off = diagonal, gates, off

    def matrix(self, wire_order=None):
        made = np.diag(np.asarray(self.diagonal, dtype=complex))
        made[0, -1] += self.off
        return made

    def eigvals(self):
        return np.asarray(self.diagonal)

    def diagonalizing_gates(self):
        return list(self.gates)


class Claimed(Odd):
    """The same, said to be Hermitian."""

    is_hermitian = True


def test_what_has_no_real_values_is_refused_by_its_name():
    parts = "Measure its Hermitian and anti-Hermitian parts, (A + A†)/2 and (A - A†)/2i, one by one. Nothing was sent."
    with pytest.raises(UnsupportedCircuitError) as caught:
        planned(qml.expval(Odd("a", [1, -1], off=0.5)))
    assert str(caught.value).endswith(f" is not Hermitian, so its values are not real numbers. {parts}")
    with pytest.raises(
        UnsupportedCircuitError, match=r"^expval\(.* is no observable: it has the eigenvalue 1"
    ):
        planned(qml.expval(Claimed("a", [1 + 0.5j, -1])))
    planned(qml.expval(Odd("a", [1, -1], off=1e-7)))
    # so many wires are not looked at
    wide = np.ones(2**11)
    planned(qml.expval(Odd(range(11), wide, off=0.5)))
    with pytest.raises(UnsupportedCircuitError, match="not Hermitian"):
        planned(qml.expval(Odd(range(10), np.ones(2**10), off=0.5)))


def test_gates_that_turn_an_observable_are_taken_apart():
    (setting,), _ = planned(qml.expval(Odd(["a", "b"], [1, 2, 3, 4], [qml.CRot(0.1, 0.2, 0.3, ["a", "b"])])))
    order = ["a", "b"]
    np.testing.assert_allclose(
        qml.matrix(qml.tape.QuantumScript(setting.rotations), wire_order=order),
        qml.CRot(0.1, 0.2, 0.3, order).matrix(),
        atol=1e-12,
    )

    class Closed(qml.operation.Operation):
        num_wires = 1
        num_params = 0

    with pytest.raises(UnsupportedCircuitError) as caught:
        planned(qml.expval(Odd("a", [1, 2], [Closed(wires="a")])))
    assert (
        str(caught.value) == "The basis change Closed, needed to measure an observable, has no decomposition."
    )


def test_probabilities_are_of_outcomes_whatever_their_values():
    (setting,), _ = planned(qml.probs(op=qml.s_prod(1j, qml.X("a"))))
    assert setting.basis == (("a", "X"),)
    with pytest.raises(UnsupportedCircuitError, match="it has the coefficient"):
        planned(qml.counts(qml.s_prod(1j, qml.X("a"))))


def test_coefficients_of_a_shadow_are_real():
    with pytest.raises(UnsupportedCircuitError, match=r"^shadowexpval.* it has the coefficient 0\+1j"):
        planned(qml.shadow_expval(qml.s_prod(1j, qml.X("a"))))


def test_values_midway_are_read_where_final_samples_are():
    values = [qml.measure("a"), qml.measure("b")]
    kinds = [qml.expval(values[0]), qml.probs(op=values[1]), qml.var(values[0]), qml.counts(values[1])]
    final = [qml.expval(qml.X("c")), qml.sample(wires=["c"])]
    operations = [v.measurements[0] for v in values]
    tape = qml.tape.QuantumScript(operations, [*kinds, *final], shots=10)
    data = StructureReader().read(tape, 0)
    settings, readouts = plan_measurements(tape, data, WIRES, first=2)
    (home,) = {i for i, s in enumerate(settings) if dict(s.basis)["c"] == "Z"}
    assert [r.settings for r in readouts[:4]] == [(home,)] * 4
    assert [r.bits for r in readouts[:4]] == [(0,), (1,), (0,), (1,)]
    assert all(r.anywhere is True for r in readouts[:4])


def test_statistics_take_the_shots_of_other_settings():
    _, readouts = planned(
        qml.probs(wires=["a"]),
        qml.expval(qml.Projector([1], "a")),
        qml.expval(qml.Z("a") @ qml.X("b")),
        qml.expval(qml.Z("a") @ qml.Z("b")),
    )
    for readout in readouts[:1]:
        assert len(readout.sources(0, {0, 1})) == 2
        assert len(readout.sources(0, {readout.settings[0]})) == 1
    user = qml.measurements.ExpectationMP(wires=qml.wires.Wires(["a"]), eigvals=np.array([1.0, 3.0]))
    _, (own, *_) = planned(user, qml.expval(qml.Z("a") @ qml.X("b")), qml.expval(qml.Z("a") @ qml.Z("b")))
    assert len(own.sources(0, {0, 1})) == 2
    with pytest.raises(UnsupportedCircuitError, match=r"has the eigenvalue 1\+1j"):
        planned(qml.measurements.ExpectationMP(wires=qml.wires.Wires(["a"]), eigvals=np.array([1.0, 1 + 1j])))
