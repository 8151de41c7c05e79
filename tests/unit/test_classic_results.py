"""Results of the classic service as it writes them: one hexadecimal number a shot, one entry a circuit."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pennylane_threaded_ibmq.stacks.classic.memory import UnreadableResultError, read_results


def read(*data, bits=4, shots=2, **more):
    """The outcomes of one circuit for each of some data, as numbers."""
    pubs = [(SimpleNamespace(num_clbits=bits), None, shots) for _ in data]
    results = [{"success": True, "data": one, **more} for one in data]
    found = [pub.bits[0] for pub in read_results({"results": results}, pubs, "tag")]
    return [[int.from_bytes(row.tobytes(), "big") for row in rows] for rows in found]


def test_shots_are_read_in_order_whatever_zeros_they_begin_with():
    assert read({"memory": ["0x1", "0x000f"]}, {"memory": ["0xA", "0x0"]}) == [[1, 15], [10, 0]]
    assert read({"memory": ["0x1ff", "0x3"]}, bits=9) == [[0x1FF, 3]]
    assert read({"memory": ["0x" + "f" * 32, "0x1"]}, bits=128) == [[2**128 - 1, 1]]


def test_counts_are_as_many_shots():
    (found,) = read({"counts": {"0x3": 2, "0x0": 1}}, shots=3)
    assert sorted(found) == [0, 3, 3]


def test_a_circuit_that_measures_nothing_has_no_outcomes():
    assert read({}, bits=0) == [[0, 0]]


@pytest.mark.parametrize("data", [{}, {"memory": []}, {"counts": {}}, {"statevector": [1, 0]}])
def test_no_outcomes_of_a_circuit_that_measures_are_not_zeros(data):
    with pytest.raises((UnreadableResultError, ValueError)):
        read(data)


@pytest.mark.parametrize("data", [{}, {"memory": ["0x1", "0x1"]}])
def test_a_circuit_that_failed_within_a_job_is_said(data):
    with pytest.raises(UnreadableResultError, match=r"circuit 0 of the job failed: ERROR: no memory\."):
        read(data, success=False, status="ERROR: no memory")


@pytest.mark.parametrize("word", ["0x10000", "0x100", "1f", "0x", "", "0xg1", "0x1 ", "0X1", "-0x1", "0x-1"])
@pytest.mark.parametrize("key", ["memory", "counts"])
def test_what_is_no_outcome_is_never_a_number(word, key):
    words = {"memory": ["0x1", word], "counts": {"0x1": 1, word: 1}}
    with pytest.raises(UnreadableResultError, match="is no outcome of 4 bits"):
        read({key: words[key]})


def test_another_number_of_results_or_shots_is_said():
    with pytest.raises(UnreadableResultError, match="1 shot instead of 2"):
        read({"memory": ["0x1"]})
    with pytest.raises(UnreadableResultError, match="0 results instead of 1"):
        read_results({}, [(SimpleNamespace(num_clbits=1), None, 1)], "tag")


def test_rows_of_one_circuit_are_together_and_the_first_shots_count():
    pubs = [(SimpleNamespace(num_clbits=1), np.zeros((2, 1)), 1), (SimpleNamespace(num_clbits=1), None, 2)]
    answer = {"results": [{"data": {"memory": words}} for words in (["0x1", "0x0"], ["0x0"], ["0x1", "0x1"])]}
    first, second = read_results(answer, pubs, "tag")
    assert first.bits.tolist() == [[[1]], [[0]]]
    assert second.bits.tolist() == [[[1], [1]]]
