"""Options for one QNode: a device like another with some of them changed."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import ConfigurationError, UsageLimitError
from pennylane_threaded_ibmq.loopback import SIMULATOR

SMALL = "ibm_manila"


def tape(angle=0.7, shots=1000):
    return qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=shots)


def test_one_qnode_has_other_options_on_the_same_login_and_circuits(loopback, device):
    service = loopback()
    dev = device(primitive="estimator", primitive_options={"resilience_level": 0, "default_shots": 77})

    def circuit(x):
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(1))

    plain = qml.set_shots(qml.QNode(circuit, dev), 1000)
    other = dev.with_options(resilience_level=1, shard_size=1)
    mitigated = qml.set_shots(qml.QNode(circuit, other), 1000)
    assert plain(0.7) == pytest.approx(np.cos(0.7), abs=0.15)
    logins = service.counters.logins
    assert mitigated(0.7) == pytest.approx(np.cos(0.7), abs=0.15)
    assert service.counters.logins == logins
    assert (dev.transpiles, other.transpiles) == (1, 0)
    assert dev._settings.primitive_options == {"resilience_level": 0, "default_shots": 77}
    assert other._settings.primitive_options == {"resilience_level": 1, "default_shots": 77}
    assert other._settings.shard_size == 1
    assert other._settings.primitive == "estimator"
    assert [batch.options["primitive_options"]["resilience_level"] for batch in dev.batches()] == [1, 0]


def test_options_that_concern_compiled_circuits_compile_anew(loopback, device):
    loopback()
    dev = device()
    dev.batch_execute([tape()])
    other = dev.with_options(optimization_level=3)
    other.batch_execute([tape()])
    assert (dev.transpiles, other.transpiles) == (1, 1)


def test_the_least_busy_backend_stays_the_one_that_it_was(loopback, device):
    service = loopback(backends=(SMALL, "ibm_lima"))
    dev = device(backend="least_busy")
    name = dev.backend_name
    service.hold()
    busy = device(backend=name)
    handle = busy.submit([tape()])
    assert dev.with_options(shard_size=1).backend_name == name
    service.release()
    handle.result()


def test_what_one_has_spent_the_other_cannot(loopback, device):
    loopback()
    dev = device(budget_secs=6)
    dev.batch_execute([tape(), tape(0.2)])
    dev.with_options(resilience_level=0).batch_execute([tape()])
    with pytest.raises(UsageLimitError, match="budget_secs=6"):
        dev.with_options(resilience_level=0).batch_execute([tape(0.5)])
    dev.with_options(budget_secs=50).batch_execute([tape(0.5)])


def test_options_are_checked_as_for_a_new_device(loopback, device):
    loopback()
    dev = device()
    with pytest.raises(ConfigurationError, match="Did you mean 'shard_size'"):
        dev.with_options(shard_sise=1)
    with pytest.raises(ConfigurationError, match="resilience_level"):
        dev.with_options(resilience_level=7)
    each = device(primitive_options={"estimator": {"resilience_level": 1}})
    with pytest.raises(ConfigurationError, match="for each primitive, and this names none") as caught:
        each.with_options(resilience_level=2)
    assert caught.value.argument == "resilience_level"
    whole = each.with_options(primitive_options={"estimator": {"resilience_level": 2}})
    assert whole._settings.primitive_options == {"estimator": {"resilience_level": 2}}


def test_it_has_its_own_shots_random_numbers_and_tracker():
    dev = qml.device("threaded.ibmq", wires=3, seed_simulator=7)
    other, third = dev.with_options(shots=10), dev.with_options(timeout_secs=60)
    assert (len(other.wires), other._default_shots, third._default_shots) == (3, 10, 1024)

    def samples(one):
        script = qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=0)], shots=64)
        return one.batch_execute([script])[0].ravel().tolist()

    with qml.Tracker(dev) as tracker:
        drawn = [samples(other), samples(third)]
    assert drawn[0] != drawn[1]
    assert "batches" not in tracker.totals
    again = qml.device("threaded.ibmq", wires=3, seed_simulator=7)
    repeated = [samples(again.with_options(shots=10)), samples(again.with_options(timeout_secs=60))]
    assert repeated == drawn


def test_another_backend_may_be_chosen_too(loopback, device):
    loopback()
    dev = device()
    assert dev.with_options(backend=SIMULATOR).backend_name == SIMULATOR
    assert dev.backend_name == SMALL
