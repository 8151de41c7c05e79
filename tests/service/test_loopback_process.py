"""The service in a process of its own, and from a shell."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2

from pennylane_threaded_ibmq.loopback import (
    SIMULATOR,
    Counters,
    Fault,
    Loopback,
    LoopbackConfig,
    LoopbackProcess,
    LoopbackService,
)

CONFIG = LoopbackConfig(backends=("ibm_manila", SIMULATOR))
MODULE = "pennylane_threaded_ibmq.loopback"


@pytest.fixture(scope="module")
def process():
    with LoopbackProcess(CONFIG) as service:
        yield service


@pytest.fixture
def clean(process):
    """The shared process with nothing held and nothing counted."""
    process.clear_faults()
    process.reset_counters()
    return process


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_same_face():
    """Whatever the service in a thread can do, the one in a process can, and the other way round."""

    def public(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    assert public(LoopbackProcess) == public(LoopbackService) == public(Loopback)


def test_jobs_and_counters(clean, start, bell):
    """A client meets the same service in either, and both count the same."""
    seen = []
    for service in (clean, start()):
        with service.applied(token="loopback-token"):
            device = QiskitRuntimeService().backend(SIMULATOR)
            service.hold()
            job = SamplerV2(device).run([bell], shots=10)
            assert service.wait_for_jobs(1, "Queued")[0].id == job.job_id()
            assert service.release() == 1
            (record,) = service.wait_for_jobs(1)
            assert job.result(timeout=120)[0].data.meas.num_shots == 10
        assert (record.id, record.shots, record.status) == (job.job_id(), 10, "Completed")
        assert service.sessions == ()
        assert service.wait_for_requests("POST /jobs") == 1
        seen.append(service.counters)
    assert isinstance(seen[0], Counters)
    assert seen[0].model_dump(exclude={"bytes_received", "bytes_sent"}) == seen[1].model_dump(
        exclude={"bytes_received", "bytes_sent"}
    )
    assert seen[0].connections > 0


def test_faults_and_time_outs(clean):
    """Faults, stalls and waiting work across the border between the processes."""
    path, headers = "/experimental/backends", {}

    def status():
        connection = http.client.HTTPConnection("127.0.0.1", clean.port, timeout=60)
        connection.request("GET", path, headers=headers)
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    clean.inject(Fault(effect="status", status=503, on="GET /backends"), Fault(effect="stall"))
    assert status() == 503
    found = []
    waiting = threading.Thread(target=lambda: found.append(status()))
    waiting.start()
    clean.wait_for_requests("GET /backends", 2)
    assert not found
    clean.clear_faults()
    waiting.join(120)
    assert found == [401]
    assert clean.counters.faults == {"stall": 1, "status": 1}
    with pytest.raises(TimeoutError):
        clean.wait_for_jobs(99, timeout_secs=0.01)
    with pytest.raises(TimeoutError):
        clean.wait_for_requests("POST /jobs", 99, timeout_secs=0.01)
    clean.expire_logins()


def test_commands_need_the_key(clean):
    """Who does not know the key is told that there is no such route; nonsense from who does is an error."""
    for key, expected in (("wrong", 404), (clean.endpoint.key, 200)):
        connection = http.client.HTTPConnection("127.0.0.1", clean.port, timeout=60)
        connection.request("POST", "/loopback/control", "{}", {"x-loopback-key": key})
        answer = connection.getresponse()
        assert answer.status == expected
        assert (b"error" in answer.read()) is True
        connection.close()
    with pytest.raises(ValueError, match="no_such"):
        clean._ask("no_such")


def test_start_and_stop():
    """It starts once, stops more than once, starts again, and says so if it does not run."""
    service = LoopbackProcess(CONFIG)
    service.stop()
    with pytest.raises(RuntimeError, match="does not run"):
        _ = service.port
    with service:
        pid = service._child.pid
        home, bundle = service.endpoint.home, service.ca_bundle
        with pytest.raises(RuntimeError, match="runs already"):
            service.start()
    assert not alive(pid)
    assert not Path(home).exists()
    assert not Path(bundle).exists()
    service.stop()


def test_failed_start(capfd):
    """If the process ends before it answers, the error says where to look, and nothing is left."""
    service = LoopbackProcess(LoopbackConfig(backends=("ibm_nowhere",)))
    with pytest.raises(RuntimeError, match="status 1 before it answered"):
        service.start()
    assert service._child is None
    assert "no snapshot 'fake_nowhere'" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_it_ends_with_its_parent():
    """When the parent is killed, with no chance to tidy up, the process ends, and its folder goes."""
    program = (
        "import sys, time\n"
        f"from {MODULE} import LoopbackConfig, LoopbackProcess\n"
        "service = LoopbackProcess(LoopbackConfig(backends=('loopback_simulator',)))\n"
        "service.start()\n"
        "print(service.ca_bundle, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        bundle = parent.stdout.readline().strip()
        assert Path(bundle).exists()
        parent.send_signal(signal.SIGKILL)
        # The service has inherited this end of the pipe: reading comes to an end when both processes have.
        assert parent.stderr.read() == ""
    assert not Path(bundle).exists()


# ------------------------------------------------------------------------------------------------- shell


def shell(*arguments, **options):
    command = [sys.executable, "-m", MODULE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, **options)


def test_help():
    """The help names the options, what is printed, and what can be configured."""
    done = shell("--help")
    assert done.returncode == 0
    for word in ("--config", "--until-eof", "ca_bundle", "jobs_per_minute", "environment"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (None, 2, "No such file"),
        ("{", 2, "Invalid JSON"),
        ('{"slotz": 3}', 2, "slotz"),
        ('{"slots": 0}', 2, "greater than or equal to 1"),
        ('{"backends": ["ibm_torinoo"]}', 1, "there are fake_torino"),
        ('{"backends": ["loopback_simulator"], "port": %d}', 1, "in use"),
    ],
)
def test_shell_errors(tmp_path, clean, text, status, words):
    """A configuration that cannot work is named in one message, without a traceback."""
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text % clean.port if "%d" in text else text)
    done = shell("--config", str(path))
    assert done.returncode == status
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, None])
def test_from_a_shell(tmp_path, end):
    """It says in one line of JSON where it is, and ends on a signal, or with its input, without a trace."""
    path = tmp_path / "config.json"
    path.write_text('{"backends": ["loopback_simulator"], "tokens": ["abc"]}')
    command = [sys.executable, "-m", MODULE, "--config", str(path), *([] if end else ["--until-eof"])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        said = json.loads(child.stdout.readline())
        assert set(said) == {"port", "url", "classic_url", "ca_bundle", "home", "key", "environment"}
        assert said["environment"]["QISKIT_IBM_TOKEN"] == "abc"
        assert said["environment"]["HTTPS_PROXY"] == f"http://127.0.0.1:{said['port']}"
        program = (
            "from qiskit_ibm_runtime import QiskitRuntimeService\n"
            "print([device.name for device in QiskitRuntimeService().backends()])\n"
        )
        environment = {**os.environ, **said["environment"], "HOME": said["home"]}
        client = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=True,
        )
        assert client.stdout == "['loopback_simulator']\n"
        if end is None:
            child.stdin.close()
        else:
            child.send_signal(end)
        assert child.wait(120) == 0
        assert child.stderr.read() == ""
    assert not Path(said["ca_bundle"]).exists()
