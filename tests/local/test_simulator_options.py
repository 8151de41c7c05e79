"""Options of Aer: they reach it, and what it does not have here is refused."""

from concurrent.futures import ThreadPoolExecutor

import pennylane as qml
import pytest
from qiskit_aer import AerSimulator

from pennylane_threaded_ibmq.exceptions import ConfigurationError

HAS_GPU = "GPU" in AerSimulator().available_devices()

GHZ = qml.tape.QuantumScript([qml.Hadamard(0), qml.CNOT([0, 1])], [qml.expval(qml.Z(0))], shots=2000)


def value(**options):
    with qml.device("threaded.ibmq", wires=2, seed_simulator=7, **options) as dev:
        return float(dev.execute(GHZ))


PRODUCT = {"matrix_product_state_max_bond_dimension": 1}
"""A product state, which keeps one half of what is entangled."""


def test_an_option_reaches_aer():
    assert abs(value(backend="aer_simulator_matrix_product_state")) < 0.2
    assert value(backend="aer_simulator_matrix_product_state", simulator_options=PRODUCT) == 1.0


def test_an_option_reaches_aer_with_the_noise_of_a_snapshot():
    with qml.device(
        "threaded.ibmq", wires=2, backend="fake_manila", simulator_options={"precision": "single"}
    ) as dev:
        dev.execute(GHZ)
        (simulator,) = dev._open().runner.backend._snapshots._simulators.values()
    assert simulator.options.precision == "single"


def test_an_option_reaches_the_workers_of_an_engine():
    with ThreadPoolExecutor(2) as engine:
        options = {"backend": "aer_simulator_matrix_product_state", "engine": engine}
        assert value(simulator_options=PRODUCT, **options) == 1.0


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ({"presicion": "single"}, ["presicion='single'", "Did you mean 'precision'"]),
        ({"method": "statevector"}, ["method='statevector'", "'aer_simulator_statevector'"]),
        ({"shots": 5}, ["shots=5", "the shots of the circuits"]),
        ({"noise_model": None}, ["noise_model="]),
        ({"precision": "half"}, ["precision='half'", "'double' and 'single'"]),
        ({"cuStateVec_enable": True}, ["cuStateVec_enable=True", "device='GPU'"]),
    ],
)
def test_what_aer_has_not_or_others_decide_is_refused(options, texts):
    with pytest.raises(ConfigurationError) as caught:
        qml.device("threaded.ibmq", wires=1, simulator_options=options)
    assert caught.value.argument == "simulator_options"
    for text in texts:
        assert text in str(caught.value)


def test_backends_that_are_not_aers_take_none():
    from qiskit.providers.basic_provider import BasicSimulator

    with pytest.raises(
        ConfigurationError, match="simulator_options: backend 'basic_simulator' is not an Aer"
    ):
        qml.device(
            "threaded.ibmq", wires=1, backend=BasicSimulator(), simulator_options={"precision": "single"}
        )


def test_lightning_has_none_of_them_but_the_precision():
    with pytest.raises(ConfigurationError, match="simulator_options other than precision are options of Aer"):
        qml.device(
            "threaded.ibmq", wires=1, simulator="lightning", simulator_options={"fusion_enable": False}
        )


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_clear_error():
    with pytest.raises(ConfigurationError, match=r"computes on CPU only\..*pip install qiskit-aer-gpu"):
        qml.device("threaded.ibmq", wires=1, simulator_options={"device": "GPU"})


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU and qiskit-aer-gpu")
@pytest.mark.parametrize("extra", [{}, {"batched_shots_gpu": True}, {"cuStateVec_enable": True}])
@pytest.mark.parametrize("backend", ["aer_simulator", "fake_manila", "aer_simulator_density_matrix"])
def test_a_gpu_gives_what_the_processor_gives(backend, extra):
    here = value(backend=backend)
    assert value(backend=backend, simulator_options={"device": "GPU", **extra}) == pytest.approx(
        here, abs=0.1
    )
