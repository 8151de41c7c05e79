"""Many clients at once, clients that die, and what a service leaves behind."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from fresh import run_fresh
from qiskit import QuantumCircuit
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

from pennylane_threaded_ibmq.loopback import (
    SIMULATOR,
    Fault,
    LoopbackConfig,
    LoopbackProcess,
    LoopbackService,
)

DESCRIPTORS = Path("/proc/self/fd")


def numbered(number, num_qubits=8):
    """A circuit that always gives this number."""
    circuit = QuantumCircuit(num_qubits)
    for bit in range(num_qubits):
        circuit.rx(np.pi * (number >> bit & 1), bit)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("kind", [LoopbackService, LoopbackProcess])
def test_sixteen_clients(kind):
    """16 threads, each with its own client, get each their own results; the counters add up.

    Results are read by one thread at a time: CPython 3.11 counts the depth of all parsers in one number, and NumPy reads headers by one.
    """
    reading = threading.Lock()
    with kind(LoopbackConfig(backends=(SIMULATOR,))) as service, service.applied(token="loopback-token"):

        def work(number):
            device = QiskitRuntimeService().backend(SIMULATOR)
            jobs = [SamplerV2(device).run([numbered(16 * number + each)], shots=3) for each in range(4)]
            for job in jobs:
                job.wait_for_final_state(timeout=120)
            with reading:
                return [int(next(iter(job.result()[0].data.meas.get_counts())), 2) for job in jobs]

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(work, range(16)))
        assert found == [[16 * number + each for each in range(4)] for number in range(16)]
        counters = service.counters
        assert (counters.jobs, counters.pubs, counters.shots, counters.pending) == (64, 64, 192, 0)
        assert counters.by_route["POST /jobs"] == counters.by_route["GET /jobs/{id}/results"] == 64
        assert counters.billed_jobs == 64
        assert len(service.jobs) == 64


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_client(start, when):
    """A client that is killed while it waits for its submission has submitted: now or, if that was slow, later."""
    service = start()
    service.inject(Fault(effect="stall", on="POST /jobs", when=when))
    program = (
        "from qiskit import QuantumCircuit\n"
        "from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2\n"
        "circuit = QuantumCircuit(1)\n"
        "circuit.measure_all()\n"
        f"SamplerV2(QiskitRuntimeService().backend({SIMULATOR!r})).run([circuit])\n"
    )
    environment = {**os.environ, **service.environment(token="loopback-token")}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL
    ) as client:
        service.wait_for_requests("POST /jobs", timeout_secs=200)
        client.send_signal(signal.SIGKILL)
    if when == "after":
        assert service.wait_for_jobs(1)[0].status == "Completed"
    assert len(service.jobs) == (when == "after")
    service.clear_faults()
    (job,) = service.wait_for_jobs(1)
    with service.applied(token="loopback-token"):
        assert [found.job_id() for found in QiskitRuntimeService().jobs()] == [job.id]


@pytest.mark.parametrize("reset", [False, True])
def test_half_a_request(start, caplog, reset):
    """A client that dies while it sends leaves no request, no job and no complaint."""
    service = start()
    with caplog.at_level(logging.INFO), socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(b"POST /experimental/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{")
        if reset:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answer = requests.get(f"{service.url}/nowhere", proxies={"http": ""}, timeout=60)
    assert answer.status_code == 404
    assert service.counters.by_route == {"GET (unknown)": 1}
    assert [record for record in caplog.records if "uvicorn" in record.name] == []


def test_nonsense_on_the_wire(start):
    """What is no HTTP, or an endless head, is turned away; the service lives on."""
    service = start()
    for nonsense in (
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"CONNECT\r\n\r\n" * 2,
        b"CONNECT" + b"x" * 100_000,
    ):
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as raw:
            raw.sendall(nonsense)
            raw.shutdown(socket.SHUT_WR)
            try:
                while raw.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    answer = requests.get(f"{service.url}/nowhere", proxies={"http": ""}, timeout=60)
    assert answer.status_code == 404


def use(service):
    """Everything that could be left behind: jobs in each state, tunnels, stalled and idle connections."""
    service.hold("running")
    with service.applied(token="loopback-token"):
        device = QiskitRuntimeService().backend(SIMULATOR)
        SamplerV2(device).run([numbered(1)])
        service.hold("queued")
        SamplerV2(device).run([numbered(2)])
    service.inject(Fault(effect="stall", on="GET .*"))
    left = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(4)]
    left[1].sendall(b"GET /experimental/backends HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    left[2].sendall(b"CONNECT iam.cloud.ibm.com:443 HTTP/1.1\r\n\r\n")
    left[3].sendall(b"POST /experimental/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
    service.wait_for_requests("GET /backends", 2)
    return left


def start_and_stop_often():
    """Count what is left before and after, in a process that has nothing of other tests."""

    def once():
        with LoopbackService(LoopbackConfig(backends=(SIMULATOR,))) as service:
            left = use(service)
        for connection in left:
            connection.close()

    def state():
        gc.collect()
        return {thread.name for thread in threading.enumerate()}, len(list(DESCRIPTORS.iterdir()))

    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        once()
        before = state()
        for _ in range(20):
            once()
        names, descriptors = state()
        assert names <= before[0]
        assert descriptors <= before[1]
        assert list(Path(folder).iterdir()) == []


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="needs /proc")
def test_nothing_is_left():
    """After 20 starts and stops, each in the middle of things, no thread, descriptor or folder is left."""
    run_fresh(start_and_stop_often)


def test_service_starts_and_stops_again(start):
    """One service object may be started again, twice at once it may not be; stopping twice is harmless."""
    service = start()
    with pytest.raises(RuntimeError, match="runs already"):
        service.start()
    service.stop()
    service.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = service.counters
    service.start()
    assert service.counters.requests == 0


def test_port_in_use(start):
    """A port that is taken is an error, and leaves nothing behind."""
    service = start()
    before = set(threading.enumerate())
    other = LoopbackService(LoopbackConfig(backends=(SIMULATOR,), port=service.port))
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.stop()
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("loopback")]


def test_waiting_ends_with_the_service(start):
    """Who waits for a job when the service stops is not left waiting."""
    service = start()
    outcomes = []

    def wait():
        try:
            outcomes.append(service.wait_for_jobs(1, timeout_secs=200))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it came
            outcomes.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    service.wait_for_requests("GET /backends", 0)
    service.stop()
    waiting.join(120)
    assert not waiting.is_alive()
    assert len(outcomes) == 1


def test_idle_service_does_nothing():
    """A service without requests uses no processor time."""
    with LoopbackProcess(LoopbackConfig(backends=(SIMULATOR,))) as service:
        stat = Path(f"/proc/{service._child.pid}/stat")
        if not stat.exists():
            pytest.skip("needs /proc")

        def ticks():
            return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13]))

        def wait(secs):
            with pytest.raises(TimeoutError):
                service.wait_for_jobs(1, timeout_secs=secs)

        wait(0.1)  # what a start leaves to do, and what a first command loads
        before = ticks()
        wait(1.0)
        assert ticks() - before <= 5  # hundredths of a second; two commands are part of it
