"""The examples that pennylane-qiskit documents for ``qiskit.remote``, run on both devices.

Sources: the docstring of ``pennylane_qiskit.RemoteDevice``, that of ``qiskit_session``, and the page "The Remote
device" of its documentation. The examples that need IBM's systems run on FakeManilaV2 here. What ``qiskit.remote``
takes as bare keywords (``optimization_level``, ``resilience_level``) this device takes in ``transpile_options`` and
``primitive_options``.
"""

import warnings

import numpy as np
import pennylane as qml
import pytest
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import Session
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

pytest.importorskip("pennylane_qiskit", reason="qiskit.remote is compared with on the pinned versions")

BACKENDS = {"aer": AerSimulator, "manila": FakeManilaV2}
SIGMAS = 6


@pytest.fixture(params=BACKENDS)
def devices(request):
    """Both devices on one backend: ``this, remote = devices(wires=5)``."""

    def make(this_options=None, remote_options=None, **common):
        backend = BACKENDS[request.param]()
        this = qml.device("threaded.ibmq", backend=backend, **common, **(this_options or {}))
        remote = qml.device("qiskit.remote", backend=backend, **common, **(remote_options or {}))
        return this, remote

    with warnings.catch_warnings():
        # of shots on the device, which the documentation still shows, and of Qiskit's own
        warnings.simplefilter("ignore")
        yield make


def rotation(device, shots=None):
    """The first example: a rotation and a CNOT."""
    options = {} if shots is None else {"shots": shots}

    @qml.qnode(device, **options)
    def circuit(x):
        qml.RX(x, wires=[0])
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    return circuit


def three_angles(device, **options):
    """The example of the documentation's page."""

    @qml.qnode(device, **options)
    def circuit(x, y, z):
        qml.RZ(z, wires=[0])
        qml.RY(y, wires=[0])
        qml.RX(x, wires=[0])
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(wires=1))

    return circuit


def assert_same(ours, theirs, shots):
    """Same shape and type of number, and values no further apart than two samples of so many shots are."""
    assert np.shape(ours) == np.shape(theirs)
    assert np.asarray(ours).dtype == np.asarray(theirs).dtype
    assert np.allclose(ours, theirs, atol=SIGMAS * np.sqrt(2 / shots))


def test_expectation_value(devices):
    """``circuit(np.pi / 3)`` with 1024 shots."""
    this, remote = devices(wires=5)
    x = np.pi / 3
    assert_same(rotation(this, 1024)(x), rotation(remote, 1024)(x), 1024)


def test_shots_of_the_circuit_and_of_set_shots(devices):
    """Two shots, then five, then two again: one eigenvalue a shot."""
    results = []
    for device in devices(wires=5):

        @qml.qnode(device, shots=2)
        def circuit(x):
            qml.RX(x, wires=[0])
            qml.CNOT(wires=[0, 1])
            return qml.sample(qml.PauliZ(1))

        x = np.pi / 3
        results.append([circuit(x), qml.set_shots(circuit, 5)(x), circuit(x)])
    for ours, theirs in zip(*results, strict=True):
        assert np.shape(ours) == np.shape(theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype
        assert set(np.unique(ours)) <= {-1, 1}
    assert [np.shape(r) for r in results[0]] == [(2,), (5,), (2,)]


@pytest.mark.parametrize(("level", "seed"), [(1, 42), (2, 24)])
def test_options_of_transpiler_and_runtime(devices, level, seed):
    """The options of the example, and the device made anew with others."""
    transpile = {"optimization_level": level, "seed_transpiler": seed}
    this, remote = devices(
        wires=5,
        this_options={"transpile_options": transpile, "primitive_options": {"resilience_level": 1}},
        remote_options={"resilience_level": 1, **transpile},
    )
    x = np.pi / 3
    assert_same(rotation(this, 4096)(x), rotation(remote, 4096)(x), 4096)


def test_default_shots(devices):
    """Without shots both warn and take 1024."""
    this, remote = devices(wires=5)
    angles = (0.2, 0.1, 0.3)
    assert_same(three_angles(this)(*angles), three_angles(remote)(*angles), 1024)


def test_shots_of_the_device(devices):
    """4096 shots of the device; 10 000 of the circuit take their place."""
    this, remote = devices(wires=5, shots=4096)
    angles = (0.2, 0.1, 0.3)
    assert_same(three_angles(this)(*angles), three_angles(remote)(*angles), 4096)
    ours, theirs = (qml.set_shots(three_angles(d), 10_000)(*angles) for d in (this, remote))
    assert_same(ours, theirs, 10_000)


def test_a_session_given_to_the_device():
    """``session=Session(...)``: both use it and neither closes it."""
    backend = FakeManilaV2()
    x = np.pi / 3
    with warnings.catch_warnings(), Session(backend=backend) as session:
        warnings.simplefilter("ignore")
        this, remote = (
            qml.device(name, wires=2, backend=backend, session=session)
            for name in ("threaded.ibmq", "qiskit.remote")
        )
        assert_same(rotation(this, 4096)(x), rotation(remote, 4096)(x), 4096)
        assert session._active


def test_several_circuits_give_what_single_ones_give(devices):
    """The loop of the session's example: each angle a circuit."""
    this, remote = devices(wires=2)
    angles = [0.0, 0.7, np.pi / 2, np.pi]
    ours, theirs = ([rotation(d, 4096)(a) for a in angles] for d in (this, remote))
    assert_same(ours, theirs, 4096)
