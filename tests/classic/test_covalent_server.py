"""Covalent as its users run it: a started server, a dispatched lattice, and what the server's web page shows of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
from outages import kept_port

pytestmark = pytest.mark.skipif(find_spec("covalent") is None, reason="Covalent is not installed")

TOKEN = "token-of-the-workers-alone"
LIMIT_SECS = 240
"""Longest wait for a process to start or to end."""

SERVER = """
import runpy
from covalent_dispatcher._db.datastore import workflow_db

workflow_db.run_migrations(logging_enabled=False)
runpy.run_path("app.py", run_name="__main__")
"""
"""What ``covalent start --no-cluster --no-triggers`` does, in the process itself in place of a daemon's."""

CLIENT = """
import json, sys, urllib.request
import covalent as ct
import pennylane as qml
from covalent._shared_files.config import get_config

arguments = json.loads(sys.argv[1])
executor = ct.executor.ThreadedIBMQExecutor(**arguments["fields"])


@ct.qelectron(executors=executor, name="shown on the page")
@qml.qnode(qml.device("default.qubit", wires=2, shots=20))
def circuit(x):
    qml.RX(x, wires=0)
    qml.CNOT(wires=[0, 1])
    return qml.sample(wires=0)


@ct.electron
def ones(angle):
    return int(sum(circuit.run_later(angle).result()[0]))


@ct.lattice
def workflow(angle):
    return ones(angle)


def page(path):
    with urllib.request.urlopen(f"{arguments['server']}/api/v1/dispatches/{dispatch}{path}") as answer:
        return json.load(answer)


dispatch = ct.dispatch(workflow)(3.141592653589793)
result = ct.get_result(dispatch, wait=True)
jobs = page("/electron/0/jobs")
print(json.dumps({
    "status": str(result.status),
    "result": result.result,
    "error": result.error,
    "jobs": jobs,
    "details": [page(f"/electron/0/jobs/{job['job_id']}") for job in jobs],
    "stderr": page("/electron/0/details/error")["data"],
}))
"""


@pytest.fixture
def start_server(tmp_path, wiped_environment):
    """Start Covalent's server in a home of its own: ``dispatch, home = start_server(IBMQX_TOKEN=...)``.

    The arguments are the server's environment, and so that of its workers. ``dispatch(fields)`` runs the client with an
    executor of these fields, in an environment without any of them, and gives what the server tells of it.
    """
    home = tmp_path / "covalent-home"
    home.mkdir()
    with kept_port() as port:
        yield from serve(home, port, tmp_path)


def serve(home, port, tmp_path):
    environment = {
        **os.environ,
        "HOME": str(home),
        "THREADED_IBMQ_HOME": str(home / "threaded-ibmq"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONWARNINGS": "ignore",
        "LOGLEVEL": "INFO",
        "COVALENT_SVC_PORT": str(port),
        "COVALENT_DISABLE_DASK": "1",
    }
    folder = Path(find_spec("covalent_ui").origin).parent
    server = None

    def dispatch(fields):
        arguments = json.dumps({"fields": fields, "server": f"http://localhost:{port}"})
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECS,
        )
        assert done.returncode == 0, done.stderr + (home / "server.log").read_text()
        return json.loads(done.stdout.splitlines()[-1])

    def start(**variables):
        nonlocal server
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, "--port", str(port), "--no-cluster", "--no-triggers"],
            env={**environment, **variables},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        ready = threading.Event()
        threading.Thread(target=copy, args=(server.stderr, ready), daemon=True).start()
        assert ready.wait(LIMIT_SECS)
        assert server.poll() is None, (home / "server.log").read_text()
        return dispatch, home

    def copy(lines, ready):
        with (home / "server.log").open("w") as log:
            for line in lines:
                log.write(line)
                log.flush()
                if "Uvicorn running" in line:
                    ready.set()
        ready.set()

    yield start
    if server is not None:
        os.killpg(server.pid, signal.SIGKILL)  # its workers too
        server.wait(LIMIT_SECS)


def test_a_dispatched_lattice_runs_at_ibm_and_the_page_shows_it(start, start_server):
    """The token is known to the workers alone, as is the service's address; the program does not import us."""
    service = start(tokens=(TOKEN,))
    dispatch, home = start_server(IBMQX_TOKEN=TOKEN, IBMQX_URL=service.classic_url)
    shown = dispatch({"backend": "ibmq_lima"})
    assert (shown["status"], shown["result"]) == ("COMPLETED", 20), shown
    assert service.counters.logins == 1
    (job,) = service.jobs
    assert job.backend == "ibmq_lima"
    (circuit,), (detail,) = shown["jobs"], shown["details"]
    assert (circuit["executor"], circuit["status"]) == ("ThreadedIBMQExecutor", "COMPLETED")
    overview = detail["overview"]
    assert (overview["job_name"], overview["backend"]) == ("shown on the page", "ibmq_lima")
    assert overview["result"].count("1") == 20
    assert overview["time_elapsed"] > 0
    assert detail["circuit"]["total_qbits"] == 2
    assert "RX" in detail["circuit"]["circuit_diagram"]
    assert detail["executor"]["name"] == "ThreadedIBMQExecutor"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.name == "data.mdb" for path in files)
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]

    # the address goes along with the executor, in the place of the worker's own
    lost = dispatch({"ibmqx_url": "http://no-such-host.invalid/api"})
    assert lost["status"] == "FAILED"
    assert (
        "ConfigurationError: ibmqx_url='http://no-such-host.invalid/api': the host is unknown"
        in lost["stderr"]
    )
    assert len(service.jobs) == 1


def test_a_worker_without_a_token_says_so_and_simulates_nothing(start, start_server):
    """The executor brings none of the program that made it, with the default backend, which is a simulator."""
    service = start(tokens=(TOKEN,))
    dispatch, home = start_server(IBMQX_URL=service.classic_url)
    shown = dispatch({"ibmqx_token": TOKEN})
    assert (shown["status"], shown["jobs"]) == ("FAILED", [])
    assert "CredentialsError: The executor was made with a token in another process" in shown["stderr"]
    assert not service.jobs
    assert not [path for path in home.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
