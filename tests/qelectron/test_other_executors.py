"""``Simulator`` and ``QiskitExecutor``, the names that programs written for Covalent use, and retired simulators."""

import importlib
import sys
import textwrap

import jax
import numpy as np
import pennylane as qml
import pytest
import torch
from pennylane import numpy as pnp

import pennylane_threaded_ibmq
from pennylane_threaded_ibmq import IBMQExecutor, QCluster, QiskitExecutor, Simulator, qelectron
from pennylane_threaded_ibmq.exceptions import BackendError, ConfigurationError


@qml.qnode(qml.device("default.qubit", wires=2), shots=20)
def plain(x):
    """A description."""
    qml.RX(x, 0)
    return qml.expval(qml.Z(0))


def test_names_are_where_covalent_has_them():
    module = importlib.import_module("pennylane_threaded_ibmq.executor")
    assert module is pennylane_threaded_ibmq.executor
    for name in ("IBMQExecutor", "QCluster", "QiskitExecutor", "Simulator"):
        assert getattr(module, name) is getattr(pennylane_threaded_ibmq, name)


def test_the_device_of_a_qelectron_names_its_executors():
    executors = [Simulator(), IBMQExecutor()]
    circuit = qelectron(plain, executors=executors)
    assert circuit.device.executors == circuit.executors == tuple(executors)


@pytest.mark.parametrize("parallel", ["thread", False])
def test_a_simulator_runs_on_its_device(parallel):
    executor = Simulator(device="lightning.qubit", parallel=parallel, workers=3, shots=None)
    circuit = qelectron(plain, executors=executor)
    assert circuit(0.4) == pytest.approx(np.cos(0.4))
    assert [f.result() for f in [circuit.run_later(x) for x in (0.1, 0.2)]] == pytest.approx(
        np.cos([0.1, 0.2])
    )
    assert Simulator.model_validate_json(executor.model_dump_json()) == executor
    assert executor.backend_name == "lightning.qubit"


def test_an_analytic_qnode_takes_differences_of_what_has_no_shift_rule():
    class Turn(qml.operation.Operation):
        num_wires = 1
        num_params = 1

        @staticmethod
        def compute_matrix(angle):
            return qml.RX.compute_matrix(angle)

    @qml.qnode(qml.device("default.qubit", wires=1), diff_method="parameter-shift")
    def circuit(x):
        Turn(x, wires=0)
        return qml.expval(qml.Z(0))

    x = qml.numpy.array(0.4, requires_grad=True)
    assert np.isclose(qml.grad(qelectron(circuit, executors=Simulator()))(x), -np.sin(0.4), atol=1e-5)


@pytest.mark.parametrize("parallel", ["process", True, "asyncio"])
def test_other_kinds_of_parallelism_are_refused(parallel):
    with pytest.raises(ConfigurationError, match="parallel"):
        Simulator(parallel=parallel)


def test_a_local_sampler_samples_on_this_machine(monkeypatch):
    monkeypatch.setenv("THREADED_IBMQ_BACKEND", "ibm_torino")
    executor = QiskitExecutor(options={"optimization_level": 3, "resilience_level": 1}, shots=50)
    assert (executor.device, executor.backend) == ("local_sampler", "aer_simulator")
    assert qelectron(plain, executors=executor)(np.pi) == -1
    cluster = QCluster(executors=[executor, Simulator()])
    assert QCluster.model_validate_json(cluster.model_dump_json()) == cluster


def test_a_sampler_samples_at_ibm_with_its_options(loopback):
    service = loopback()
    options = {
        "transpilation": {"optimization_level": 0},
        "dynamical_decoupling": {"enable": True},
        "resilience_level": 0,
    }
    executor = QiskitExecutor(device="sampler", backend="ibm_manila", options=options, persist_data=False)
    assert qelectron(plain, executors=executor)(np.pi) == -1
    (job,) = service.jobs
    # new clients prepare what the sampler runs, and send it as another program
    assert job.backend == "ibm_manila"
    assert job.program_id in {"sampler", "executor"}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"device": "estimator"}, "'sampler', 'local_sampler'"),
        ({"backend": "ibm_torino"}, "Use device='sampler'"),
        ({"device": "local_sampler", "backend": "ibm_torino"}, "Use device='sampler'"),
        ({"device": "sampler", "backend": "ibm_torino", "options": {"resilience_level": 1}}, "IBMQExecutor"),
        ({"max_time": "1h"}, r"Session\(backend, max_time"),
    ],
)
def test_what_a_qiskit_executor_cannot_do_is_told(fields, word):
    with pytest.raises(ConfigurationError, match=word):
        QiskitExecutor(**fields)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("simulator_statevector", "aer_simulator_statevector"),
        ("simulator_mps", "aer_simulator_matrix_product_state"),
        ("simulator_extended_stabilizer", "aer_simulator_extended_stabilizer"),
        ("simulator_stabilizer", "aer_simulator_stabilizer"),
    ],
)
def test_a_retired_simulator_is_told_with_what_simulates_here(name, here):
    circuit = qelectron(plain, executors=IBMQExecutor(backend=name, persist_data=False))
    with pytest.raises(BackendError, match=f"backend='{name}': IBM retired {name}.*backend='{here}'"):
        circuit(0.1)
    assert qelectron(plain, executors=IBMQExecutor(backend=here, persist_data=False))(0.0) == 1


@pytest.mark.parametrize("interface", ["auto", "autograd", None])
@pytest.mark.parametrize("make", [float, np.array, pnp.array])
@pytest.mark.parametrize("several", [False, True])
def test_an_analytic_qnode_gives_the_types_of_the_plain_one(interface, make, several):
    def circuit(x):
        qml.RX(x, wires=0)
        z = qml.expval(qml.PauliZ(0))
        return (z, qml.probs(wires=[0, 1])) if several else z

    plain = qml.QNode(circuit, qml.device("default.qubit", wires=2), interface=interface)
    executors = Simulator(persist_data=False)
    qelectron_ = qelectron(plain, executors=executors)
    wanted = plain(make(0.3))
    for got in (qelectron_(make(0.3)), qelectron_.run_later(make(0.3)).result()):
        assert type(got) is type(wanted)
        pairs = zip(got, wanted, strict=True) if several else [(got, wanted)]
        for one, other in pairs:
            assert type(one) is type(other)
            assert np.allclose(one, other)


@pytest.mark.parametrize("interface", ["autograd", "jax", "torch"])
@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("several", [False, True])
def test_arguments_of_another_framework_than_the_interface_give_what_the_plain_qnode_gives(
    interface, framework, several
):
    """By backpropagation the plain QNode follows its arguments, values and gradients."""

    def circuit(x):
        qml.RX(x, 0)
        z = qml.expval(qml.Z(0))
        return (z, qml.probs(wires=0)) if several else z

    def derivative(node):
        def value(x):
            return node(x)[0] if several else node(x)

        if framework == "jax":
            return jax.grad(value)(jax.numpy.array(0.3))
        x = torch.tensor(0.3, requires_grad=True)
        value(x).backward()
        return x.grad

    plain = qml.QNode(circuit, qml.device("default.qubit", wires=1), interface=interface)
    made = qelectron(plain, executors=Simulator(persist_data=False))
    x = jax.numpy.array(0.3) if framework == "jax" else torch.tensor(0.3)
    wanted = plain(x)
    for got in (made(x), made.run_later(x).result()):
        pairs = zip(got, wanted, strict=True) if several else [(got, wanted)]
        assert all(type(one) is type(other) for one, other in pairs)
    if (interface, framework) != ("torch", "jax"):  # where the plain one fails too
        assert float(derivative(made)) == pytest.approx(float(derivative(plain)), abs=1e-6)


def test_the_module_for_covalent_says_in_one_sentence_that_this_is_the_other_stack():
    reason = r"the classic stack, and this is the current one.*pennylane-threaded-ibmq\[covalent\]"
    with pytest.raises(ImportError, match=reason):
        from pennylane_threaded_ibmq.covalent import register  # noqa: F401 - what is tested
    with pytest.raises(ImportError, match=reason):
        importlib.import_module("pennylane_threaded_ibmq.qelectron.covalent")


@pytest.fixture(params=["0.240.0", "0.220.0.post2"])
def other_covalent(tmp_path, monkeypatch, request):
    """A package with the name and the version of a Covalent without qelectrons, and with its loader of plugins."""
    package = tmp_path / "covalent"
    package.mkdir()
    (package / "__init__.py").write_text("from . import executor\n")
    # Covalent's own way from an entry point to an attribute of covalent.executor, unguarded
    (package / "executor.py").write_text(
        textwrap.dedent("""
            import inspect
            from importlib.metadata import EntryPoint

            value = "pennylane_threaded_ibmq.covalent:plugin"
            module = EntryPoint("threaded_ibmq", value, "covalent.executor.executor_plugins").load()
            classes = [c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__]
            (plugin,) = [c for c in classes if c.__name__ == module.EXECUTOR_PLUGIN_NAME]
            globals()[plugin.__name__] = plugin
        """)
    )
    about = tmp_path / f"covalent-{request.param}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: covalent\nVersion: {request.param}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("covalent")
    for name in ("covalent", "covalent.executor"):
        del sys.modules[name]


def test_a_covalent_without_qelectrons_loads_and_says_what_is_wrong_where_it_is_used(other_covalent):
    reason = (
        r"Covalent 0\.2[24]0\.0.* has no qelectrons.*pip install 'pennylane-threaded-ibmq\[covalent\]'\.$"
    )
    with pytest.raises(ImportError, match=reason):
        other_covalent.executor.ThreadedIBMQExecutor(backend="ibm_torino")
    with pytest.raises(ImportError, match=reason):
        from pennylane_threaded_ibmq.covalent import register  # noqa: F401 - what is tested


def test_name_and_description_are_kept():
    assert (qelectron(plain).name, qelectron(plain).description) == ("plain", "A description.")
    named = qelectron(executors=Simulator(), name="n", description="d")(plain)
    assert (named.name, named.description) == ("n", "d")
    for other in (qml.set_shots(named, 5), named.update(interface=None)):
        assert (other.name, other.description) == ("n", "d")
    assert named(0.0) == 1
