"""Bad input gets one clear error: the argument, the value, what is allowed, what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pennylane as qml
import pytest
from qiskit_ibm_runtime.options import EstimatorOptions, SamplerOptions

from pennylane_threaded_ibmq import loose_options
from pennylane_threaded_ibmq.exceptions import (
    BackendError,
    ConfigurationError,
    ConfigurationWarning,
    CredentialsError,
    DeviceClosedError,
    ThreadedIBMQError,
    UnknownWireError,
    UnsupportedCircuitError,
)

Script = qml.tape.QuantumScript


@pytest.fixture(autouse=True)
def _no_account(monkeypatch, tmp_path):
    for variable in ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(
        "qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE",
        str(tmp_path / "none.json"),
    )


@pytest.mark.parametrize(
    ("options", "error", "texts"),
    [
        ({"backend": "fake_manilla"}, BackendError, ["'fake_manilla'", "Did you mean 'fake_manila'"]),
        ({"backend": "fake_manila", "wires": 9}, BackendError, ["9 wires", "'fake_manila' has 5 qubits"]),
        ({"backend": "aer_simulator", "wires": 70}, BackendError, ["70 wires", "aer_simulator"]),
        ({"backend": "aer_simulator_statevectr"}, BackendError, ["Did you mean 'statevector'"]),
        ({"backend": "aer_simulato"}, CredentialsError, ["Did you mean 'aer_simulator'"]),
        ({"backend": "ibmq_manila"}, BackendError, ["2023-09-26", "account", "backend='fake_manila'"]),
        ({"backend": "ibm_torino"}, CredentialsError, ["QISKIT_IBM_TOKEN", "backend='fake_torino'"]),
        ({"backend": 3}, ConfigurationError, ["backend=3", "BackendV2", "int"]),
        ({"backend": None}, ConfigurationError, ["backend=None"]),
        ({"wires": 0}, ConfigurationError, ["wires=0", "at least 1", "or None"]),
        ({"wires": -1}, ConfigurationError, ["wires=-1"]),
        ({"wires": 10**30}, ConfigurationError, ["wires=1000", "at least 1"]),
        ({"shots": []}, ConfigurationError, ["shots=[]", "at least 1"]),
        ({"max_jobs": np.array([1, 2])}, ConfigurationError, ["max_jobs=array([1, 2])", "valid integer"]),
        ({"simulator": -1}, ConfigurationError, ["simulator=-1", "'auto', 'aer' or 'lightning'"]),
        ({"simulator": None}, ConfigurationError, ["simulator=None", "'auto', 'aer' or 'lightning'"]),
        (
            {"hub": ["x" * 999]},
            ConfigurationError,
            ["hub=['xxx", "xxx... (1003 characters): Input should be"],
        ),
        ({"job_tags": "x" * 999}, ConfigurationError, ["xxx... (1001 characters)", "such as ['night-run']"]),
        ({"wires": 2.5}, ConfigurationError, ["wires=2.5"]),
        ({"wires": [0, 0]}, ConfigurationError, ["wires=[0, 0]", "each once"]),
        ({"noise_model": object()}, ConfigurationError, ["noise_model", "NoiseModel"]),
        ({"session": 3}, ConfigurationError, ["session=3", "Session or Batch"]),
        ({"compile_backend": 3}, ConfigurationError, ["compile_backend=3"]),
        ({"max_jobs": 2.5}, ConfigurationError, ["max_jobs=2.5"]),
        ({"max_jobs": "3"}, ConfigurationError, ["max_jobs='3'"]),
        ({"timeout_secs": -1}, ConfigurationError, ["timeout_secs=-1"]),
        ({"primitive": "x"}, ConfigurationError, ["primitive='x'", "'estimator'"]),
        ({"seed_simulator": -1}, ConfigurationError, ["seed_simulator=-1"]),
        ({"optimization_level": 5}, ConfigurationError, ["optimization_level=5"]),
        ({"transpile_options": {"optimisation_level": 1}}, ConfigurationError, ["'optimization_level'"]),
        (
            {"compile_backend": "fake_torinoo"},
            BackendError,
            ["compile_backend='fake_torinoo'", "'fake_torino'"],
        ),
        ({"compile_backend": "aer_simulator_x"}, BackendError, ["compile_backend='aer_simulator_x'"]),
        ({"transpile_options": {"basis_gates": []}}, ConfigurationError, ["compile_backend="]),
        ({"resilience_level": 9}, ConfigurationError, ["resilience_level=9"]),
        ({"options": {"resilience_levle": 1}}, ConfigurationError, ["'resilience_level'"]),
        (
            {"primitive_options": {"sampler": {"resilience_level": 1}}},
            ConfigurationError,
            ["sampler", "resilience_level"],
        ),
        ({"shots": [10, 0]}, ConfigurationError, ["shots=[10, 0]"]),
        ({"shots": True}, ConfigurationError, ["shots=True"]),
        ({"ibmqx_tokn": "hidden-secret"}, ConfigurationError, ["Did you mean 'ibmqx_token'"]),
        ({"ibmqx_token": 5}, ConfigurationError, ["ibmqx_token"]),
        ({"ibmqx_token": "hidden-secret\n"}, ConfigurationError, ["ibmqx_token", "line break"]),
        ({"ibmqx_token": " "}, ConfigurationError, ["ibmqx_token", "a blank"]),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_bad_arguments(options, error, texts):
    with pytest.raises(error) as caught:
        qml.device("threaded.ibmq", **{"wires": 2, **options})
    assert isinstance(caught.value, ThreadedIBMQError)
    assert isinstance(caught.value, ValueError)
    for text in texts:
        assert text in str(caught.value)
    assert "hidden-secret" not in str(caught.value)


class Opaque(qml.operation.Operation):
    """A gate without matrix or decomposition."""

    num_wires = 1


class Unmeasurable(qml.operation.Operator):
    """An observable without eigenbasis."""

    num_wires = 1


@pytest.mark.parametrize(
    ("tape", "error", "texts"),
    [
        (
            Script([qml.RX(np.nan, 0)], [qml.expval(qml.Z(0))], shots=9),
            UnsupportedCircuitError,
            ["RX", "nan"],
        ),
        (Script([qml.RX(0.1, "q")], [qml.expval(qml.Z(0))], shots=9), UnknownWireError, ["'q'", "[0, 1]"]),
        (Script([], [qml.state()], shots=9), UnsupportedCircuitError, ["state", "Expectation"]),
        (Script([], [qml.density_matrix(0)], shots=9), UnsupportedCircuitError, ["state vector"]),
        (Script([Opaque(0)], [qml.expval(qml.Z(0))], shots=9), UnsupportedCircuitError, ["Opaque"]),
        (Script([], [qml.expval(Unmeasurable(0))], shots=9), UnsupportedCircuitError, ["Unmeasurable"]),
        (
            Script([qml.QubitUnitary(np.ones((2, 2)), 0)], [qml.expval(qml.Z(0))], shots=9),
            UnsupportedCircuitError,
            ["not unitary"],
        ),
        ("a circuit", UnsupportedCircuitError, ["is of type str"]),
        (
            Script([qml.RX("x", 0)], [qml.expval(qml.Z(0))], shots=9),
            UnsupportedCircuitError,
            ["cannot be read: ValueError", "string. Nothing was sent."],
        ),
    ],
)
def test_bad_tapes_are_named_by_their_place(tape, error, texts):
    dev = qml.device("threaded.ibmq", wires=2)
    good = Script([qml.RX(0.1, 0)], [qml.expval(qml.Z(0))], shots=9)
    with pytest.raises(error) as caught:
        dev.batch_execute([good, tape])
    for text in ["Tape 1", *texts]:
        assert text in str(caught.value)
    assert caught.value.tape == 1
    assert dev.transpiles == 0


def test_empty_batches_and_tapes_without_measurements():
    dev = qml.device("threaded.ibmq", wires=1)
    assert dev.batch_execute([]) == ()
    assert dev.execute([]) == ()
    handle = dev.submit([])
    assert handle.done()
    assert handle.result() == ()
    assert dev.batch_execute([Script([qml.X(0)], [], shots=5)]) == ((),)


def test_mixed_shots_work():
    dev = qml.device("threaded.ibmq", wires=1)
    tapes = [Script([qml.X(0)], [qml.counts(wires=0)], shots=n) for n in (5, (2, 3), 7)]
    five, pair, seven = dev.batch_execute(tapes)
    assert (five, seven) == ({"1": 5}, {"1": 7})
    assert pair == ({"1": 2}, {"1": 3})


def test_a_closed_device_refuses_work():
    with qml.device("threaded.ibmq", wires=1) as dev:
        dev.batch_execute([Script([], [qml.expval(qml.Z(0))], shots=5)])
    with pytest.raises(DeviceClosedError, match="closed"):
        dev.batch_execute([Script([], [qml.expval(qml.Z(0))], shots=5)])


def test_loose_options_are_those_of_the_packages():
    from inspect import signature

    from qiskit.transpiler import generate_preset_pass_manager

    assert set(signature(generate_preset_pass_manager).parameters) >= loose_options._TRANSPILE_NAMES
    fields = set(EstimatorOptions.__dataclass_fields__) | set(SamplerOptions.__dataclass_fields__)
    assert fields >= loose_options._PRIMITIVE_NAMES
    assert loose_options._PRIMITIVE_NAMES | {"_VERSION"} >= fields


# -------------------------------------------------------------------------------------------- texts that say what to do


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"resilience_level": 0, "max_execution_time": 60}, []),
        (
            {"resilience_level": 2, "twirling": {"enable_gates": True}, "default_shots": 5},
            [
                "resilience_level, twirling have no effect; a simulation on this machine neither mitigates",
                "default_shots has no effect; shots are those of a circuit",
            ],
        ),
        (
            {"sampler": {"dynamical_decoupling": {"enable": True}}},
            ["dynamical_decoupling has no effect; a simulation"],
        ),
        (
            {"seed_estimator": 3},
            ["seed_estimator has no effect; a simulation on this machine takes seed_simulator="],
        ),
    ],
)
def test_options_that_ibm_alone_carries_out_are_told_of_here(options, texts):
    tape = qml.tape.QuantumScript([], [qml.expval(qml.Z(0))], shots=10)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dev = qml.device("threaded.ibmq", wires=1, primitive_options=options)
        dev.execute([tape, tape])
        dev.execute([tape])
    said = [str(one.message) for one in caught if one.category is ConfigurationWarning]
    assert len(said) == len(texts)
    for text, part in zip(said, texts, strict=True):
        assert text.startswith(f"primitive_options: {part}")


def test_least_busy_without_an_account_is_not_asked_whether_it_is_least_busy():
    with pytest.raises(CredentialsError) as caught:
        qml.device("threaded.ibmq", wires=1, backend="least_busy")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("backend", ["ibmq_qasm_simulator", "aer_simulator", "aer_simulator_statevector"])
def test_too_many_wires_for_a_state_vector_name_the_methods_that_hold_more(backend):
    with pytest.raises(BackendError, match="'aer_simulator_matrix_product_state' takes 63 qubits"):
        qml.device("threaded.ibmq", wires=62, backend=backend)
    assert qml.device("threaded.ibmq", wires=62, backend="aer_simulator_matrix_product_state").num_wires == 62


def test_too_many_wires_for_a_snapshot_name_no_simulators():
    with pytest.raises(BackendError) as caught:
        qml.device("threaded.ibmq", wires=6, backend="fake_manila")
    assert "matrix_product_state" not in str(caught.value)


def test_a_rule_is_said_once():
    with pytest.raises(ConfigurationError) as caught:
        qml.device("threaded.ibmq", wires=1, progress="yes")
    assert str(caught.value) == (
        "progress='yes': must be True, False, 'auto', or a function that takes one Progress record. Nothing was sent."
    )
    with pytest.raises(
        ConfigurationError, match=r"max_jobs='x': .*\. max_jobs is: Most jobs in flight at once\."
    ):
        qml.device("threaded.ibmq", wires=1, max_jobs="x")


@pytest.mark.parametrize("run", ["batch_execute", "submit", "estimate"])
@pytest.mark.parametrize(
    ("circuits", "hint"),
    [
        (qml.QNode(lambda: qml.expval(qml.Z(0)), qml.device("default.qubit")), r"construct_tape\(circuit\)"),
        ([lambda: qml.expval(qml.Z(0))], "make_qscript"),
        (5, "a tape or a sequence of tapes"),
        ([5], "not a QuantumScript"),
    ],
    ids=["qnode", "function", "number", "numbers"],
)
def test_what_is_no_tape_is_told_how_to_become_one(run, circuits, hint):
    dev = qml.device("threaded.ibmq", wires=1)
    with pytest.raises(UnsupportedCircuitError, match=hint):
        getattr(dev, run)(circuits)


@pytest.mark.parametrize("method", ["adjoint", "backprop"])
def test_gradients_of_a_state_vector_are_told_what_works(method):
    dev = qml.device("threaded.ibmq", wires=1)
    with (
        pytest.warns(UserWarning, match="'parameter-shift'"),
        pytest.raises(qml.exceptions.QuantumFunctionError),
    ):
        qml.QNode(lambda: qml.expval(qml.Z(0)), dev, diff_method=method)
