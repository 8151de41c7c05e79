"""A loopback service for each test, the environment wiped before and put back after it."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pennylane as qml
import pytest
import requests
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import QiskitRuntimeService, RuntimeEncoder

from pennylane_threaded_ibmq.device.core import BatchDevice
from pennylane_threaded_ibmq.loopback import SIMULATOR, Loopback, LoopbackConfig, LoopbackService
from pennylane_threaded_ibmq.resources import Resources
from pennylane_threaded_ibmq.service import arrival

PROGRAM = Path(__file__).with_name("program.py")
ROOT = Path(__file__).resolve().parents[2]
TOKEN = "loopback-token"
SMALL = "ibm_manila"
"""A backend of 5 qubits: its properties are small and circuits for it compile fast."""


_SCHEMAS = {"sampler": "0_1", "estimator": "0_1", "executor": "2_0"}
_CHECKED = 30
"""Jobs of an instance whose inputs are checked: there are tests that send hundreds of the same."""


@pytest.fixture(autouse=True)
def wiped_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No account, no proxy and no home of the machine is seen by any test."""
    for name in list(os.environ):
        if name.startswith(
            ("QISKIT_IBM_", "IBMQX_", "QE_", "COVALENT_", "XDG_", "THREADED_IBMQ_HOME")
        ) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    # The client fixes the path of its saved accounts when it is imported.
    accounts = home / ".qiskit" / "qiskit-ibm.json"
    monkeypatch.setattr(
        "qiskit_ibm_runtime.accounts.management._DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(accounts)
    )


@pytest.fixture(autouse=True)
def resources(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resources]:
    """What the devices of this test share: they have no login, journal or learned limit of another test's."""
    with Resources() as own:
        monkeypatch.setattr(BatchDevice, "_resources", own)
        yield own


@pytest.fixture
def new_client() -> bool:
    """Whether IBM's client is one of 2026, which speaks the newest version of the API; others speak 2025-05-01.

    It asks for the backends when it is made, logs in once for jobs and sessions, and looks a backend up for each job.
    """
    return tuple(map(int, version("qiskit-ibm-runtime").split(".")[:2])) >= (0, 48)


@pytest.fixture(autouse=True)
def quick_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that was carried out by nobody for two seconds is lost: nothing is slow here unless a test says so."""
    monkeypatch.setattr(arrival, "ARRIVAL_SECS", 2.0)
    monkeypatch.setattr(arrival, "ANSWERED_SECS", 0.3)


@pytest.fixture(autouse=True)
def quiet_client() -> Iterator[None]:
    """Leave out the deprecation warnings that the client causes itself, and what tests of the service do on purpose.

    Those use primitives that new clients call deprecated, as users do; what this package causes is still seen.
    """
    with warnings.catch_warnings():
        for module in ("qiskit_ibm_runtime", r"(.*\.)?test_loopback"):
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=module)
        yield


@pytest.fixture
def start(request: pytest.FixtureRequest, new_client: bool) -> Iterator[Callable[..., LoopbackService]]:
    """Start services that stop with the test: ``start(job_secs=1)``, with the fields of LoopbackConfig.

    To clients of 2026 the service is what it may be from 2027-01-01 on: it refuses the versions that are sunset then. In the
    end what was sent is held against IBM's schemas, but for the service's own tests, which send what they like.
    """
    sunset = {"oldest_version": "2026-02-01"} if new_client else {}
    checked = find_spec("ibm_quantum_schemas") and not request.path.name.startswith("test_loopback_")
    with ExitStack() as stack:

        def starter(**fields: Any) -> LoopbackService:
            config = LoopbackConfig(**{"backends": (SMALL, SIMULATOR), **sunset, **fields})
            service = stack.enter_context(LoopbackService(config))
            if checked:
                stack.callback(check_bodies, service)
            return service

        yield starter


@pytest.fixture
def loopback(start: Callable[..., LoopbackService]) -> Iterator[Callable[..., LoopbackService]]:
    """Start a service and point this process at it: ``loopback(direct=True, slots=2)``."""
    with ExitStack() as stack:

        def starter(*, direct: bool = False, **fields: Any) -> LoopbackService:
            service = start(**fields)
            crn = service.config.instances[0].crn
            stack.enter_context(service.applied(token=service.config.tokens[0], instance=crn, direct=direct))
            return service

        yield starter


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make devices whose journal is in this test's folder."""
    made: list[Any] = []

    def make(**options: Any) -> Any:
        options = {"wires": 2, "backend": SMALL, "journal": tmp_path / "journal.sqlite", **options}
        dev = qml.device("threaded.ibmq", **options)
        made.append(dev)
        return dev

    yield make
    for dev in made:
        dev.close()


def check_bodies(service: Loopback) -> None:
    """Hold the inputs of a service's jobs against the schemas that IBM publishes; those of private jobs are not told."""
    try:
        service.clear_faults()
    except RuntimeError:  # stopped by its test
        return
    config = service.config
    for instance in config.instances:
        session = Rest(service, token=config.tokens[0], crn=instance.crn)
        for job in [job for job in service.jobs if job.instance == instance.crn and not job.private][
            :_CHECKED
        ]:
            schema = import_module(f"ibm_quantum_schemas.{job.program_id}.version_{_SCHEMAS[job.program_id]}")
            schema.ParamsModel.model_validate(session.ask("GET", f"/jobs/{job.id}").json()["params"])


def program_environment(service: Loopback, home: Path) -> dict[str, str]:
    """What the program needs to find the service, and nothing of this machine's."""
    return {
        **service.environment(token="loopback-token", instance=service.config.instances[0].crn),
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAM.parent)]),
        "OMP_NUM_THREADS": "1",
        # what IBM will refuse some day is no matter of these tests
        "PYTHONWARNINGS": "ignore:qiskit-ibm-runtime:UserWarning",
    }


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program against a service; whatever is left of it is killed at the end."""
    running: list[subprocess.Popen[str]] = []

    def start(service: Loopback, *, result: str = "result", **options: Any) -> subprocess.Popen[str]:
        environment = {**os.environ, **program_environment(service, tmp_path)}
        arguments = [f"{name}={value!r}" for name, value in options.items()]
        child = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(tmp_path / "journal"), str(tmp_path / result), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(child)
        return child

    yield start
    for child in running:
        child.kill()
        child.communicate()


class ForkedProgram:
    """A program of ``forked.py`` as a fork of a process that has PennyLane and IBM's client loaded: it starts in no time."""

    def __init__(self, role: str, *arguments: str) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["pytest", "forked"])
        self._told, tell = context.Pipe(duplex=False)
        self._errors = Path(arguments[1]).with_name(f"errors of {role}")
        self._process = context.Process(
            target=import_module("forked").main, args=(tell, str(self._errors), role, *arguments)
        )
        self._process.start()
        tell.close()
        self.worker: ForkedWorker | None = None
        """What it has forked."""

    def wait_ready(self) -> None:
        """Wait until the device is there, and the worker if it has one."""
        assert self._told.poll(120), self._errors.read_text()
        try:
            word, worker = self._told.recv()
        except EOFError:
            raise AssertionError(self._errors.read_text()) from None
        assert word == "ready"
        if worker is not None:
            self.worker = ForkedWorker(worker)

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end; what it has forked lives on."""
        self._process.kill()
        self._process.join()

    def end(self, timeout_secs: float) -> None:
        """Wait for its end, which must be a good one."""
        self._process.join(timeout_secs)
        assert self._process.exitcode == 0, self._errors.read_text()


class ForkedWorker:
    """A process that a program has forked: no child of ours, so that it is known by a descriptor of the system's."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def runs(self) -> bool:
        """Whether it has not ended."""
        return not select.select([self._descriptor], [], [], 0)[0]

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        self.end(60)

    def end(self, timeout_secs: float) -> None:
        """Wait for its end; how it ended only its results show."""
        assert select.select([self._descriptor], [], [], timeout_secs)[0]


@pytest.fixture
def forked_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ForkedProgram]]:
    """Start programs of ``forked.py`` against the one service of a test, many times: ``forked_program(service, "alone")``."""
    running: list[ForkedProgram] = []
    monkeypatch.syspath_prepend(PROGRAM.parent)

    def start(service: Loopback, role: str, *more: str) -> ForkedProgram:
        # the process that forks is started with the first one, and keeps this environment
        for name, value in program_environment(service, tmp_path).items():
            monkeypatch.setenv(name, value)
        running.append(ForkedProgram(role, str(tmp_path / "journal"), str(tmp_path / "result"), *more))
        return running[-1]

    yield start
    for child in running:
        child.kill()
        if child.worker is not None:
            child.worker.kill()


@pytest.fixture
def backend(loopback: Callable[..., LoopbackService]) -> Callable[..., tuple[LoopbackService, Any]]:
    """Start a service, log in and take a backend: ``service, device = backend("ibm_manila", slots=2)``."""

    def taker(name: str = SIMULATOR, **options: Any) -> tuple[LoopbackService, Any]:
        service = loopback(**options)
        return service, QiskitRuntimeService().backend(name)

    return taker


@pytest.fixture
def bell() -> QuantumCircuit:
    """Two entangled qubits, measured."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


class Rest(requests.Session):
    """Plain requests to a service, logged in: nothing is repeated and nothing is hidden, as a client would."""

    def __init__(self, service: Loopback, *, token: str = TOKEN, crn: str | None = None) -> None:
        super().__init__()
        self.trust_env = False
        self.service = service
        self.proxies = {"http": f"http://127.0.0.1:{service.port}"}
        self.headers["Service-CRN"] = crn or service.config.instances[0].crn
        self._token = token
        self.headers["Authorization"] = f"Bearer {self.login().json()['access_token']}"

    def login(self) -> requests.Response:
        form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": self._token}
        return self.post("http://iam.127.0.0.1/identity/token", form, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A request to the runtime."""
        answer = self.request(method, self.service.url + path, json=body, proxies={"http": ""}, timeout=60)
        assert answer.status_code < 500 or "Injected" in answer.text
        return answer

    def submit(self, circuit: QuantumCircuit | None = None, **fields: Any) -> requests.Response:
        """Submit a job; one without a circuit will fail when it runs."""
        params = {"pubs": [[circuit]], "options": {"default_shots": 100}, "version": 2}
        body = {"program_id": "sampler", "backend": SIMULATOR, "params": params, **fields}
        return self.ask("POST", "/jobs", json.loads(json.dumps(body, cls=RuntimeEncoder)))


@pytest.fixture
def rest(start: Callable[..., LoopbackService]) -> Iterator[Callable[..., Rest]]:
    """Start a service and log in by hand: ``session = rest(max_pending=3)``; ``session.service`` is the service."""
    with ExitStack() as stack:

        def starter(**fields: Any) -> Rest:
            return stack.enter_context(Rest(start(**fields)))

        yield starter
