"""Slots and pauses of one backend, by a clock that is turned by hand."""

from __future__ import annotations

import gc

import pytest

from pennylane_threaded_ibmq.service.clock import Clock
from pennylane_threaded_ibmq.service.pace import (
    FIRST_PAUSE_SECS,
    LEARNED_SECS,
    LONGEST_PAUSE_SECS,
    Pacer,
    Pacers,
)


class Hands(Clock):
    """A clock that moves when it is told to; nobody who waits by it waits."""

    def __init__(self):
        self.time = 1000.0
        self.pauses = []

    def now(self):
        return self.time

    def pause(self, secs):
        self.pauses.append(secs)
        return 0.0


class Patience:
    """Waits for some looks, and gives up."""

    def __init__(self, looks):
        self.looks = looks

    def is_set(self):
        self.looks -= 1
        return self.looks < 0


@pytest.fixture
def clock():
    return Hands()


@pytest.fixture
def pacer(clock):
    return Pacer(clock)


def enters(pacer, looks=1):
    return pacer.enter(Patience(looks))


def test_there_is_a_slot_for_everybody_until_the_service_says_otherwise(pacer, clock):
    assert all(enters(pacer) for _ in range(100))
    assert clock.pauses == []


def test_who_has_given_up_takes_no_slot(pacer):
    assert not enters(pacer, looks=0)
    assert enters(pacer)
    pacer.no_slot()  # the only one in flight: had the other one a slot, this would be a limit of one
    assert not enters(pacer)


def test_as_many_as_were_in_flight_are_the_limit(pacer):
    for _ in range(4):
        assert enters(pacer)
    pacer.no_slot()
    assert not enters(pacer)
    pacer.leave()
    assert enters(pacer)
    assert not enters(pacer)


def test_what_was_refused_as_too_fast_holds_no_slot(pacer):
    for _ in range(3):
        enters(pacer)
    pacer.too_fast(0.0)
    pacer.no_slot()  # of the two that are left: a limit of one
    assert not enters(pacer)
    pacer.leave()
    assert enters(pacer)


def test_a_limit_is_forgotten_after_a_minute(pacer, clock):
    for _ in range(3):
        enters(pacer)
    pacer.no_slot()
    clock.time += LEARNED_SECS - 0.01
    assert not enters(pacer)
    clock.time += 0.01
    assert enters(pacer)
    assert enters(pacer)


def test_who_waits_for_a_slot_looks_now_and_then(pacer, clock):
    enters(pacer)
    enters(pacer)
    pacer.no_slot()
    assert not enters(pacer, looks=3)
    assert clock.pauses == [0.2, 0.2, 0.2]


def test_others_hold_all_slots(pacer, clock):
    """Nothing of ours is in flight, so there is no slot of ours to wait for: a pause, twice as long each time."""
    pause = FIRST_PAUSE_SECS
    for _ in range(8):
        assert enters(pacer)
        pacer.no_slot()
        clock.time += pause - 0.001
        assert not enters(pacer)
        clock.time += 0.001
        pause = min(2 * pause, LONGEST_PAUSE_SECS)
    assert pause == LONGEST_PAUSE_SECS


def test_a_job_that_is_accepted_ends_the_growth(pacer, clock):
    for _ in range(3):
        enters(pacer)
        pacer.no_slot()
        clock.time += LONGEST_PAUSE_SECS
    pacer.accepted()
    enters(pacer)
    pacer.no_slot()
    clock.time += FIRST_PAUSE_SECS
    assert enters(pacer)


def test_many_refusals_at_once_are_one(pacer, clock):
    for _ in range(5):
        enters(pacer)
    for _ in range(5):
        pacer.too_fast(None)
    clock.time += FIRST_PAUSE_SECS - 0.001
    assert not enters(pacer)
    clock.time += 0.001
    assert enters(pacer)
    pacer.too_fast(None)
    clock.time += 2 * FIRST_PAUSE_SECS - 0.001
    assert not enters(pacer)
    clock.time += 0.001
    assert enters(pacer)


def test_the_service_says_how_long(pacer, clock):
    enters(pacer)
    enters(pacer)
    pacer.too_fast(7.0)
    pacer.too_fast(3.0)  # the longer one holds
    clock.time += 6.99
    assert not enters(pacer)
    clock.time += 0.01
    assert enters(pacer)


def test_slots_of_those_that_came_too_fast_are_given_back(pacer, clock):
    enters(pacer)
    enters(pacer)
    pacer.too_fast(0.0)
    pacer.no_slot()  # it was alone, so others hold the slots: a pause and no limit
    clock.time += FIRST_PAUSE_SECS
    assert enters(pacer)
    assert enters(pacer)


def test_who_waits_for_a_pause_looks_when_it_ends_and_not_too_often(pacer, clock):
    enters(pacer)
    pacer.too_fast(0.005)
    assert not enters(pacer)
    enters_later = Patience(1)
    clock.time += 0.005
    assert pacer.enter(enters_later)
    pacer.too_fast(0.1)
    assert not enters(pacer)
    clock.time += 0.1
    assert enters(pacer)
    pacer.too_fast(5.0)
    assert not enters(pacer)
    assert clock.pauses == pytest.approx([0.01, 0.1, 0.2])


def test_a_pacer_for_each_backend_of_an_instance_while_somebody_uses_it():
    pacers = Pacers()
    mine = pacers.of("crn", "ibm_torino")
    assert pacers.of("crn", "ibm_torino") is mine
    assert pacers.of("crn", "ibm_fez") is not mine
    assert pacers.of("other", "ibm_torino") is not mine
    mine.enter(Patience(1))
    del mine
    gc.collect()
    assert pacers.of("crn", "ibm_torino")._in_flight == 0
