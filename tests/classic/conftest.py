"""A loopback service for each test of the classic stack, the environment wiped before and put back after it.

The folder is left out where qiskit-ibm-provider is not installed.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack
from importlib.util import find_spec

import pennylane as qml
import pytest

from pennylane_threaded_ibmq.device.core import BatchDevice
from pennylane_threaded_ibmq.loopback import CLASSIC_SIMULATOR, LoopbackConfig, LoopbackService
from pennylane_threaded_ibmq.resources import Resources

CLASSIC = find_spec("qiskit_ibm_provider") is not None
TOKEN = "loopback-token"
SMALL = "ibmq_lima"
"""A device of 5 qubits: its properties are small and circuits for it compile fast."""
MEDIUM = "ibm_hanoi"
"""A device of 27 qubits."""
LIMIT_SECS = 60
"""Longest wait for a client: its own requests have no time limit."""

collect_ignore_glob = [] if CLASSIC else ["test_*.py"]


def pytest_configure():
    # A job in the background of a script starts with this signal ignored, and what it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def wiped_environment(monkeypatch, tmp_path_factory):
    """No account, no proxy and no home of the machine is seen by any test. The value is the home."""
    for name in list(os.environ):
        if name.startswith(
            ("QISKIT_IBM_", "IBMQX_", "QE_", "COVALENT_", "XDG_", "THREADED_IBMQ_")
        ) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(home / "threaded-ibmq"))
    # The client fixes the path of its saved accounts when it is imported.
    manager = "qiskit_ibm_provider.accounts.management.AccountManager._default_account_config_json_file"
    monkeypatch.setattr(manager, str(home / ".qiskit" / "qiskit-ibm.json"))
    return home


@pytest.fixture(autouse=True)
def resources(monkeypatch):
    """What the devices of this test share: they have no login, journal or learned limit of another test's."""
    with Resources() as own:
        monkeypatch.setattr(BatchDevice, "_resources", own)
        yield own


@pytest.fixture
def device(tmp_path):
    """Make devices of a service whose journal is in this test's folder."""
    made = []

    def make(service, **options):
        options = {
            "wires": 2,
            "shots": 400,
            "ibmqx_token": TOKEN,
            "ibmqx_url": service.classic_url,
            "journal": tmp_path / "journal.sqlite",
            **options,
        }
        made.append(qml.device("threaded.ibmq", **options))
        return made[-1]

    yield make
    for dev in made:
        dev.close()


@pytest.fixture
def start():
    """Start services that stop with the test: ``start(job_secs=1)``, with the fields of LoopbackConfig."""
    with ExitStack() as stack:

        def starter(**fields):
            fields = {"classic_backends": (CLASSIC_SIMULATOR, SMALL), **fields}
            return stack.enter_context(LoopbackService(LoopbackConfig(**fields)))

        yield starter


@pytest.fixture
def loopback(start):
    """Start a service and point this process at it: ``loopback(slots=2)``; programs need not name it then."""
    with ExitStack() as stack:

        def starter(**fields):
            service = start(**fields)
            stack.enter_context(service.applied(token=service.config.tokens[0], classic=True))
            return service

        yield starter


@pytest.fixture
def login():
    """Log in with the real client: ``login(service)``; a URL and a token are given, nothing is saved."""

    def logger(service, token=TOKEN):
        from qiskit_ibm_provider import IBMProvider

        return IBMProvider(token=token, url=service.classic_url)

    return logger


@pytest.fixture
def backend(start, login):
    """Start a service, log in and take a backend: ``service, device = backend("ibmq_lima", slots=2)``."""

    def taker(name=CLASSIC_SIMULATOR, **fields):
        service = start(**fields)
        return service, login(service).get_backend(name)

    return taker


@pytest.fixture
def bounded():
    """Call something that may never return, and fail after a minute: ``bounded(job.result)``."""

    def caller(function, *arguments, **options):
        ended = {}

        def call():
            try:
                ended["value"] = function(*arguments, **options)
            except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits
                ended["error"] = error

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(LIMIT_SECS)
        assert not thread.is_alive(), f"no answer within {LIMIT_SECS} s"
        if "error" in ended:
            raise ended["error"]
        return ended["value"]

    return caller


@pytest.fixture
def bell():
    """Two entangled qubits, measured."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


@pytest.fixture
def ibmq():
    """Make ``qiskit.ibmq`` devices of a service: ``ibmq(service, wires=2)``."""

    def make(service, wires=2, **options):
        import pennylane as qml

        options = {
            "backend": CLASSIC_SIMULATOR,
            "ibmqx_token": TOKEN,
            "ibmqx_url": service.classic_url,
            **options,
        }
        return qml.device("qiskit.ibmq", wires=wires, **options)

    return make


@pytest.fixture(scope="session")
def covalent(tmp_path_factory):
    """The real Covalent, with a configuration and a database of its own, and our executor in it."""
    if find_spec("covalent") is None:
        pytest.skip("Covalent is not installed")
    home = str(tmp_path_factory.mktemp("covalent"))
    with pytest.MonkeyPatch.context() as patch:
        # it fixes its paths when it is imported
        for name in ("HOME", "COVALENT_CONFIG_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, home)
        import covalent

        from pennylane_threaded_ibmq.covalent import register

        register()
    return covalent
