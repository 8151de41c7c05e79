"""Counts in texts: one of a thing is no plural."""

import pytest

from pennylane_threaded_ibmq._quantity import quantity


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("job",), "0 jobs"),
        (1, ("job",), "1 job"),
        (2, ("batch", "batches"), "2 batches"),
        (1, ("batch", "batches"), "1 batch"),
        (1.0, ("day",), "1 day"),
        (0.5, ("day",), "0.5 days"),
        (12345678, ("execution",), "12345678 executions"),
    ],
)
def test_a_number_agrees_with_its_noun(number, words, text):
    assert quantity(number, *words) == text
