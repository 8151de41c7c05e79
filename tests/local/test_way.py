"""The way of a batch on this machine is the one that the docs draw."""

import pennylane as qml
from way import check, followed


def test_a_batch_goes_the_way_that_is_drawn():
    tape = qml.tape.QuantumScript([qml.RX(0.3, 0)], [qml.expval(qml.Z(0))], shots=100)
    with followed() as (called, returned), qml.device("threaded.ibmq", wires=1) as dev:
        dev.batch_execute([tape, tape])
    check("on this machine", called, returned)
