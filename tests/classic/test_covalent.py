"""Our executor inside a real Covalent: what belongs to Covalent alone. What both can do is in test_executor.py."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pennylane as qml
import pytest

from pennylane_threaded_ibmq.exceptions import ConfigurationError

pytestmark = pytest.mark.skipif(find_spec("covalent") is None, reason="Covalent is not installed")

TOKEN = "loopback-token"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "coming-from-covalent.md"


@pytest.fixture
def ct(covalent):
    """Covalent, with nothing left of other tests."""
    from covalent.quantum.qserver.utils import get_cached_executor

    from pennylane_threaded_ibmq.covalent import ThreadedIBMQExecutor

    own = covalent.executor.IBMQExecutor
    get_cached_executor.cache_clear()
    yield covalent
    covalent.executor.IBMQExecutor = own
    ThreadedIBMQExecutor.registry.close()


@pytest.fixture
def service(start, monkeypatch):
    """A service whose address is in the environment, and whose token is not."""
    service = start()
    monkeypatch.setenv("IBMQX_URL", service.classic_url)
    return service


@qml.qnode(qml.device("default.qubit", wires=2, shots=20))
def plain(x):
    qml.RX(x, wires=0)
    return qml.sample(wires=0)


def test_it_is_registered_under_its_own_name(ct):
    from pennylane_threaded_ibmq.covalent import ThreadedIBMQExecutor, register

    assert ct.executor.ThreadedIBMQExecutor is ThreadedIBMQExecutor
    assert register() is ThreadedIBMQExecutor
    assert ct.executor.IBMQExecutor.__module__ == "qiskit_plugin"  # Covalent's own is left alone


def test_it_replaces_covalents_when_asked_to(ct, service):
    """Then a program runs unchanged; also one whose executor Covalent holds in its cache."""
    from pennylane_threaded_ibmq.covalent import register

    cls = register(replace=True)
    assert ct.executor.IBMQExecutor is cls
    assert cls.__name__ == "IBMQExecutor"
    executors = [
        ct.executor.IBMQExecutor(ibmqx_token=TOKEN),
        ct.executor.IBMQExecutor(ibmqx_token=TOKEN, shots=5),
    ]
    circuit = ct.qelectron(plain, executors=executors)
    assert [len(circuit(0.1)) for _ in range(2)] == [20, 5]
    assert service.counters.logins == 1
    assert pickle.loads(pickle.dumps(executors[0])) == executors[0]


@pytest.mark.parametrize("how", ["alone", "cluster"])
def test_executors_of_covalents_own_class_run_at_ibm_once_it_is_replaced(ct, service, how):
    """Covalent dumps all fields of theirs, ``device`` with its default among them, and makes ours from that."""
    from pennylane_threaded_ibmq.covalent import register

    executor = ct.executor.IBMQExecutor(ibmqx_token=TOKEN)
    register(replace=True)
    circuit = ct.qelectron(
        plain,
        executors=executor
        if how == "alone"
        else [executor, ct.executor.IBMQExecutor(ibmqx_token=TOKEN, shots=5)],
    )
    assert len(circuit(0.1)) == 20
    assert [job.backend for job in service.jobs] == ["ibmq_qasm_simulator"]


def test_another_device_is_an_error_that_names_covalents_simulator(ct):
    with pytest.raises(ConfigurationError, match=r"ct\.executor\.Simulator"):
        ct.executor.ThreadedIBMQExecutor(runs_on="default.qubit")
    with pytest.raises(ConfigurationError, match=r"Simulator\(device='lightning\.qubit'\)"):
        ct.executor.ThreadedIBMQExecutor(device="lightning.qubit")


def test_a_pickle_registers_what_it_holds(ct, service, wiped_environment, tmp_path):
    """A worker of Covalent's knows of the executor through its pickle alone, and looks the token up where it is."""
    from pennylane_threaded_ibmq.covalent import register

    executor = register(replace=True)(ibmqx_token=TOKEN, shots=5)
    data = pickle.dumps(executor)
    assert TOKEN.encode() not in data
    file = tmp_path / "executor.pickle"
    file.write_bytes(data)
    program = (
        "import pickle, covalent as ct\n"
        f"ex = pickle.load(open({str(file)!r}, 'rb'))\n"
        "assert ct.executor.IBMQExecutor is type(ex), ct.executor.IBMQExecutor\n"
        "print(ex.ibmqx_token.get_secret_value(), ex.shots)\n"
    )
    environment = {
        "IBMQX_TOKEN": "of-the-worker",
        "HOME": str(wiped_environment),
        "PYTHONPATH": ":".join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-2:] == ["of-the-worker", "5"], done.stderr


def test_a_worker_that_finds_no_token_says_so_and_simulates_nothing(ct, service, wiped_environment, tmp_path):
    """The address goes along; the token does not, and without one the default backend would be a simulation."""
    from pennylane_threaded_ibmq.covalent import ThreadedIBMQExecutor

    executor = ThreadedIBMQExecutor(ibmqx_token=TOKEN)
    assert executor.ibmqx_url == service.classic_url
    file = tmp_path / "executor.pickle"
    file.write_bytes(pickle.dumps(executor))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import pickle; pickle.load(open({str(file)!r}, 'rb'))"],
        env={"HOME": str(wiped_environment), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "CredentialsError" in done.stderr
    assert "Set IBMQX_TOKEN, or ibmqx_token in covalent.conf, where Covalent's workers run" in done.stderr


def test_the_token_is_nowhere_to_be_seen(ct, service):
    """Covalent dumps, pickles, prints and stores executors; none of it has the token."""
    executor = ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN)
    cluster = ct.executor.QCluster(
        executors=[executor, ct.executor.ThreadedIBMQExecutor(backend="fake_manila")]
    )
    for shown in (
        repr(executor),
        str(executor.dict()),
        executor.model_dump_json(),
        repr(cluster),
        str(cluster.dict()),
    ):
        assert TOKEN not in shown
    assert TOKEN.encode() not in pickle.dumps(executor)
    circuit = ct.qelectron(plain, executors=cluster)
    assert [len(circuit(0.1)) for _ in range(2)] == [20, 20]
    database = Path(covalent_database())
    files = [path for path in database.rglob("*") if path.is_file()]
    assert files
    assert not any(TOKEN.encode() in path.read_bytes() for path in files)


def covalent_database():
    from covalent._shared_files.config import get_config

    return get_config("dispatcher")["qelectron_db_path"]


def test_covalents_database_has_results_and_job_ids(ct, service):
    from covalent.quantum.qclient.core import middleware

    circuit = ct.qelectron(
        plain, executors=ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN), name="to be found"
    )
    circuit(0.0)
    entries = middleware.database.get_db_dict(dispatch_id=None, node_id=None).values()
    (entry,) = [e for e in entries if e["circuit_name"] == "to be found"]
    assert list(entry["result"][0]) == [0] * 20
    metadata = entry["result_metadata"]
    assert metadata["executor_name"] == "ThreadedIBMQExecutor"
    assert metadata["executor_backend_name"] == "ibmq_qasm_simulator"
    assert metadata["execution_metadata"] == [{"job_ids": [service.jobs[0].id]}]
    # what the server's page shows of it
    assert entry["qexecutor"]["name"] == "ThreadedIBMQExecutor"
    assert "ibmqx_token" not in entry["qexecutor"]


def test_inside_a_lattice(ct, service):
    """Called directly, a lattice runs in this process."""
    circuit = ct.qelectron(plain, executors=ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN))

    @ct.electron
    def ones(x):
        return int(sum(circuit.run_later(x).result()[0]))

    @ct.lattice
    def workflow(x):
        return ones(x)

    assert workflow(3.141592653589793) == 20
    assert service.counters.logins == 1


def test_executors_of_equal_fields_share_login_and_templates(ct, service):
    """Covalent makes an executor anew for each call; what stands behind it is made once."""
    for _ in range(3):
        circuit = ct.qelectron(plain, executors=ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN))
        circuit(0.1)
    by_route = service.counters.by_route
    assert service.counters.logins == 1
    assert by_route["GET /backends/{name}/configuration"] == 1
    assert len(service.jobs) == 3


def test_more_executors_than_covalents_cache_holds(ct, service):
    executors = [ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN, shots=n) for n in range(2, 14)]
    circuit = ct.qelectron(plain, executors=executors)
    assert [
        len(circuit.run_later(0.1).result()[0]) if n == 2 else len(circuit(0.1)) for n in range(2, 14)
    ] == [*range(2, 14)]
    assert service.counters.logins == 1


@pytest.mark.parametrize(("shots", "expected"), [(-1, 20), (0, 20), (7, 7)])
def test_shots_as_covalent_and_as_the_page_write_them(ct, shots, expected):
    circuit = ct.qelectron(plain, executors=ct.executor.ThreadedIBMQExecutor(shots=shots))
    assert len(circuit(0.1)) == expected


def test_labels_of_wires_and_measurements_of_all_of_them(ct):
    @ct.qelectron(executors=ct.executor.ThreadedIBMQExecutor())
    @qml.qnode(qml.device("default.qubit", wires=3, shots=10))
    def circuit():
        qml.PauliX(wires=1)
        return qml.probs()

    assert list(circuit()) == [0, 0, 1, 0, 0, 0, 0, 0]


def test_gradients_are_pickled_by_name_and_found_again(ct):
    for gradient in (qml.gradients.param_shift, qml.gradients.finite_diff, qml.gradients.spsa_grad):
        data = pickle.dumps(gradient)
        assert len(data) < 200
        assert pickle.loads(data) is gradient


def test_what_covalent_cannot_look_up_is_refused_early(ct):
    with pytest.raises(ConfigurationError, match=r"run_options.*Covalent looks executors up"):
        ct.executor.ThreadedIBMQExecutor(run_options={"memory": True})


def test_results_of_the_executors_own_methods_are_covalents(ct, service):
    """As Covalent's server calls them: circuits as a view of a dict, futures too, result objects back."""
    executor = ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN)
    tapes = {i: qml.tape.QuantumScript([qml.PauliX(0)], [qml.sample(wires=0)], shots=i) for i in (3, 4)}
    futures = dict(zip(tapes, executor.batch_submit(tapes.values())))
    results = executor.batch_get_results(futures.values())
    assert [len(part.results[0]) for result in results for part in result.expand()] == [3, 4]
    assert all(result.execution_time > 0 for result in results)
    assert json.loads(executor.model_dump_json())["shots"] == 0


def test_the_page_s_example_runs(ct, service, monkeypatch):
    """The section "Inside a real Covalent" of docs/howto/coming-from-covalent.md."""
    monkeypatch.setenv("IBMQX_TOKEN", TOKEN)
    text = PAGE.read_text(encoding="utf-8")
    section = text[text.index("## Inside a real Covalent") :]
    blocks = re.findall(r"```python no-run covalent\n(.*?)```", section, re.DOTALL)
    assert blocks
    namespace = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
    assert len(service.jobs) > 0
    assert service.counters.logins == 1
