"""Results of tapes, put together from what shards give: parts of a tape, copies of a shot vector, failures."""

import pennylane as qml
import pytest

from pennylane_threaded_ibmq.circuits.decode import MISSING
from pennylane_threaded_ibmq.execution.tape_results import TapeResults


def tape(measurements=1, shots=10):
    return qml.tape.QuantumScript([], [qml.expval(qml.Z(0))] * measurements, shots=shots)


def test_a_tape_that_measures_nothing_has_its_result_from_the_beginning():
    results = TapeResults([tape(0)], "")
    assert results.are_settled([0])
    assert results.future(0).result(0) == ()


def test_a_tape_waits_for_all_its_measurements():
    results = TapeResults([tape(2), tape()], "batch")
    future = results.future(0)
    assert results.take((0, 1), {(0, 1): [0.25], (1, 0): [0.75]}, None) == ([], None)
    assert (results.values, results.are_settled([0]), results.are_settled([1])) == ([None, 0.75], False, True)
    assert results.take((0,), {(0, 0): [0.5]}, None) == ([0], None)
    results.resolve(0)
    assert future.result(0) == (0.5, 0.25)
    assert results.future(1).result(0) == 0.75


def test_copies_of_a_shot_vector_may_come_from_several_shards():
    results = TapeResults([tape(shots=[10, 20])], "")
    results.take((0,), {(0, 0): [MISSING, 0.5]}, None)
    assert not results.are_settled([0])
    results.take((0,), {(0, 0): [0.25, MISSING]}, None)
    assert results.values == [(0.25, 0.5)]


def test_a_failure_is_that_of_the_tapes_that_have_no_result_yet():
    results = TapeResults([tape(), tape()], "")
    futures = [results.future(0), results.future(1)]
    results.take((0,), {(0, 0): [1.0]}, None)
    error = RuntimeError("no result")
    assert results.take((0, 1), {}, error) == ([1], error)
    results.resolve(0)
    results.resolve(1)
    assert futures[0].result(0) == 1.0
    assert futures[1].exception(0) is error
    assert results.errors == {1: error}


def test_parts_that_do_not_fit_are_a_failure_and_nobody_waits_for_ever(caplog):
    results = TapeResults([tape(2)], "")
    future = results.future(0)
    awaited, failure = results.take((0,), {(0, 0): [1.0], (0, 1): [1.0, 2.0]}, None)
    assert awaited == [0]
    assert isinstance(failure, ValueError)
    results.resolve(0)
    with pytest.raises(ValueError):
        future.result(0)
    assert "could not be put together" in caplog.text
