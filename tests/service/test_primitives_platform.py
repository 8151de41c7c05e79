"""Both kinds of IBM's primitives: which runs what, with which options, and how many shots come back."""

from __future__ import annotations

import warnings

import numpy as np
import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.loopback import SIMULATOR
from pennylane_threaded_ibmq.stacks.current.primitives import FEW_PUBS, choose_api

TWIRLED = {"sampler": {"twirling": {"enable_measure": True}}}


@pytest.fixture
def only_new(new_client):
    if not new_client:
        pytest.skip("the installed client has no client-side primitives")


def tape(angle, *measurements, shots=1000):
    return qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], measurements, shots=shots)


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_no_warning_of_the_client_reaches_the_user(loopback, device, primitive):
    loopback()
    for api in ("auto", "service"):
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            dev = device(primitive=primitive, primitive_api=api)
            (found,) = dev.batch_execute([tape(0.0, qml.expval(qml.Z(1)))])
        assert found == pytest.approx(1.0, abs=0.1)


@pytest.mark.usefixtures("only_new")
@pytest.mark.parametrize(("api", "program"), [("client", "executor"), ("service", "sampler")])
def test_the_kind_that_is_asked_for_runs(loopback, device, api, program):
    service = loopback()
    dev = device(primitive="sampler", primitive_api=api)
    dev.batch_execute([tape(0.3, qml.probs(wires=[0, 1]))])
    assert [job.program_id for job in service.jobs] == [program]


@pytest.mark.usefixtures("only_new")
def test_an_estimator_of_many_structures_is_sent_the_cheaper_way(loopback, device):
    service = loopback()
    dev = device(primitive="estimator")
    structures = [
        qml.tape.QuantumScript([qml.RY(0.3, 0)] + [qml.X(0)] * n, [qml.expval(qml.Z(0))], shots=100)
        for n in range(FEW_PUBS + 1)
    ]
    for few in (structures[:FEW_PUBS], structures):
        found = dev.batch_execute(few)
        np.testing.assert_allclose(found, [(-1) ** n * np.cos(0.3) for n in range(len(few))], atol=0.3)
    assert [job.program_id for job in service.jobs] == ["executor", "estimator"]


def test_which_kind_is_a_matter_of_the_job(new_client):
    assert choose_api("service", "estimator", 1) == "service"
    assert choose_api("auto", "sampler", 1000, only="service") == "service"
    assert choose_api("auto", "sampler", 1000) == ("client" if new_client else "service")
    assert choose_api("auto", "estimator", 1000) == "service"


@pytest.mark.usefixtures("only_new")
def test_shots_that_twirling_adds_are_used_and_never_refused(loopback, device):
    """100 shots become 128: statistics take all of them, samples and counts as many as were asked for."""
    service = loopback()
    dev = device(primitive="sampler", primitive_options=TWIRLED, primitive_api="client")
    measured = (qml.probs(wires=[0]), qml.sample(wires=[0]), qml.counts(wires=[0, 1]), qml.expval(qml.Z(1)))
    probs, samples, counts, mean = dev.batch_execute([tape(1.1, *measured, shots=100)])[0]
    assert len(samples) == 100
    assert sum(counts.values()) == 100
    assert probs[0] * 128 == pytest.approx(round(probs[0] * 128))
    assert mean == pytest.approx(2 * probs[0] - 1)
    assert service.counters.jobs == 1


@pytest.mark.usefixtures("only_new")
def test_a_shot_vector_gets_its_shots_though_more_come(loopback, device):
    loopback()
    dev = device(primitive="sampler", primitive_options=TWIRLED, primitive_api="client")
    result = dev.batch_execute([tape(1.1, qml.sample(wires=[0]), shots=(30, 40))])[0]
    assert [len(copy) for copy in result] == [30, 40]


def test_rows_without_parameters_are_measured_one_by_one(loopback, device):
    loopback()
    dev = device(primitive="sampler", backend=SIMULATOR)
    tapes = [qml.tape.QuantumScript([qml.H(0)], [qml.probs(wires=0)], shots=20_000) for _ in range(4)]
    found = np.array(dev.batch_execute(tapes))
    assert len({tuple(row) for row in found}) > 1
    np.testing.assert_allclose(found, 0.5, atol=0.03)


@pytest.mark.parametrize("primitive", ["estimator", "sampler"])
def test_each_number_of_shots_is_a_job_where_it_must_be(loopback, device, primitive, new_client):
    service = loopback()
    dev = device(primitive=primitive, primitive_options={"estimator": {"resilience_level": 0}})
    tapes = [tape(0.2 * n, qml.expval(qml.Z(0)), shots=shots) for n, shots in enumerate((400, 900, 400))]
    tapes.append(tape(0.6, qml.expval(qml.Z(0)), shots=(400, 900)))
    found = dev.batch_execute(tapes)
    np.testing.assert_allclose(found[:3], np.cos([0.0, 0.2, 0.4]), atol=0.2)
    np.testing.assert_allclose(found[3], np.cos(0.6), atol=0.2)
    assert service.counters.jobs <= (4 if new_client else 2)


@pytest.mark.parametrize("shard_size", ["auto", 1])
def test_copies_of_different_length_stay_with_the_estimator(loopback, device, shard_size, new_client):
    """Each length is a job of its own where it must be; none is measured by the Sampler, which corrects no errors."""
    service = loopback()
    dev = device(primitive="estimator", primitive_api="service", shard_size=shard_size)
    measured = (qml.expval(qml.Z(0)), qml.expval(qml.Z(0) @ qml.Z(1)))
    angles = (0.4, 0.8, 1.0, 1.2)
    tapes = [tape(angle, *measured, shots=(5000, 20_000, 5000)) for angle in angles]
    found = dev.batch_execute(tapes)
    for angle, copies in zip(angles, found, strict=True):
        assert len(copies) == 3
        for single, pair in copies:
            assert single == pytest.approx(np.cos(angle), abs=0.25)
            assert pair == pytest.approx(1.0, abs=0.25)
    # those of one tape may be equal by chance, those of all four are so once in fifty million times
    assert any(copies[0] != copies[2] for copies in found)
    assert {job.program_id for job in service.jobs} == {"estimator"}
    assert service.counters.jobs == (2 if new_client else 1) * (len(tapes) if shard_size == 1 else 1)


def test_shadows_go_with_other_measurements(loopback, device):
    loopback()
    dev = device(backend=SIMULATOR)
    shadow, mean = dev.batch_execute(
        [tape(0.4, qml.shadow_expval(qml.Z(0) @ qml.Z(1), seed=2), qml.expval(qml.Z(0)), shots=3000)]
    )[0]
    assert shadow == pytest.approx(1.0, abs=0.25)
    assert mean == pytest.approx(np.cos(0.4), abs=0.1)


# ---------------------------------------------------------------------------------------------------------- options


@pytest.mark.usefixtures("only_new")
def test_options_of_the_other_kind_choose_it(loopback, device):
    service = loopback()
    dev = device(primitive="estimator", primitive_options={"seed_estimator": 3})
    dev.batch_execute([tape(0.3, qml.expval(qml.Z(0)))])
    assert [job.program_id for job in service.jobs] == ["estimator"]


@pytest.mark.usefixtures("only_new")
@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"seed_estimator": 3},
            "unknown option 'seed_estimator'. seed_estimator: the client-side primitives have no seed",
        ),
        ({"simulator": {"noise_model": None}}, "simulate with backend='aer_simulator'"),
        ({"resilience_levle": 1}, "Did you mean 'resilience_level'"),
    ],
)
def test_an_option_that_has_moved_says_where(loopback, device, options, text):
    service = loopback()
    with pytest.raises(ConfigurationError) as caught:
        device(primitive_options=options, primitive_api="client")
    assert text in str(caught.value)
    assert service.counters.jobs == 0


def test_a_kind_that_is_not_there_is_refused(loopback, device, new_client):
    if new_client:
        pytest.skip("it is there")
    loopback()
    with pytest.raises(
        ConfigurationError, match="primitive_api='client': the installed qiskit-ibm-runtime has no"
    ):
        device(primitive_api="client")


def shifted(angles):
    """The tapes of a gradient by shifts: two for each of the angles, of shape ``(layers, wires, 3)``."""
    word = qml.Hamiltonian([0.5, 0.25, 0.125], [qml.Z(0), qml.X(1) @ qml.X(2), qml.Y(3)])
    tapes = []
    for place in np.ndindex(angles.shape):
        for shift in (np.pi / 2, -np.pi / 2):
            moved = angles.copy()
            moved[place] += shift
            with qml.queuing.AnnotatedQueue() as queue:
                for layer in moved:
                    for wire, angle in enumerate(layer):
                        qml.Rot(*angle, wires=wire)
                        qml.CNOT([wire, (wire + 1) % len(layer)])
                qml.expval(word)
            tapes.append(qml.tape.QuantumScript.from_queue(queue, shots=1000))
    return tapes


@pytest.mark.usefixtures("only_new")
@pytest.mark.parametrize("level", [0, 1])
def test_shifted_tapes_on_a_large_system_are_one_small_request(loopback, device, level):
    """Rows, not circuits: what is sent hardly grows with the tapes, and nothing is compiled for the second step."""
    service = loopback(backends=("ibm_torino",), queue_secs=3600)
    dev = device(
        backend="ibm_torino",
        wires=4,
        on_interrupt="detach",
        primitive_api="client",
        primitive_options={"estimator": {"resilience_level": level}},
    )
    angles = np.random.default_rng(5).uniform(0, np.pi, (3, 4, 3))
    sizes = []
    for _ in range(2):
        tapes = shifted(angles)
        before = service.counters
        dev.submit(tapes)
        service.wait_for_jobs(before.jobs + 1, status="Queued")
        sizes.append(service.counters.bytes_received - before.bytes_received)
        assert (len(tapes), service.counters.jobs - before.jobs) == (72, 1)
        assert service.counters.pubs - before.pubs == 1 + level
        angles = angles + 0.1
    assert dev.transpiles == 1
    # 50 kB, and 88 kB with the circuit by which readout errors are learned: a PUB for each tape would be 2 MB
    assert max(sizes) < 70_000 + 40_000 * level
