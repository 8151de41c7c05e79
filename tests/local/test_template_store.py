"""Which templates a device keeps: as many as its memory takes, and those that are used again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.device.templates import TemplateStore


@dataclass
class Weight:
    """What a store sees of a template."""

    size: int = 10


class Count:
    """Asks a store, and counts what had to be made."""

    def __init__(self, room):
        self.store = TemplateStore(room)
        self.made = []

    def ask(self, *keys, size=10):
        before = len(self.made)
        for key in keys:
            self.store.get(key, lambda key=key: self.made.append(key) or Weight(size))
        return len(self.made) - before


def test_a_series_that_is_too_long_is_kept_in_part():
    count = Count(1000)
    assert count.ask(*range(150)) == 150
    again = [count.ask(*range(150)) for _ in range(4)]
    assert all(made <= 150 - 70 for made in again)
    assert len(count.store) == 100


def test_what_is_used_again_outlasts_a_long_series():
    count = Count(1000)
    for _ in range(3):
        count.ask(*range(50))
    count.ask(*range(1000, 1500))
    assert count.ask(*range(50)) == 0


def test_what_is_new_is_kept_while_it_is_used():
    count = Count(1000)
    for _ in range(30):
        count.ask(*range(100))
    assert count.ask("new") == 1
    assert count.ask(*["new"] * 50) == 0


def test_what_was_used_long_ago_makes_room():
    count = Count(1000)
    for _ in range(20):
        count.ask(*range(100))
    for _ in range(20):
        count.ask(*range(100, 200))
    assert count.ask(*range(100, 200)) == 0


def test_templates_are_weighed_after_they_have_grown():
    count = Count(1000)
    grown = [count.store.get(key, Weight) for key in range(90)]
    for template in grown[:50]:
        template.size = 100
    count.ask("next")
    assert sum(t.size for _, t in count.store._templates.values()) <= 1000


def test_one_that_is_larger_than_all_room_is_kept_until_the_next():
    count = Count(5)
    assert [count.ask(key) for key in "aabba"] == [1, 0, 1, 0, 1]


def test_keys_of_one_hash_are_told_apart():
    count = Count(1000)
    assert count.ask(-1, -2, -1) == 3  # hash(-1) == hash(-2)


def tapes(number):
    """As many structures."""
    return [
        qml.tape.QuantumScript(
            [qml.RX(0.1, 0) if bit == "1" else qml.RY(0.1, 0) for bit in f"{k:09b}"],
            [qml.expval(qml.Z(0))],
            shots=5,
        )
        for k in range(number)
    ]


@pytest.mark.parametrize(("room", "transpiles"), [({}, 300), ({"template_bytes": 1}, 600)])
def test_structures_are_transpiled_once_while_they_fit(room, transpiles):
    dev = qml.device("threaded.ibmq", wires=1, backend="aer_simulator", **room)
    many = tapes(300)
    for _ in range(3 if not room else 2):
        assert np.shape(dev.batch_execute(many)) == (300,)
    assert dev.transpiles == transpiles
