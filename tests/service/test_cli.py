"""The command line against the loopback service, with the real client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from waiting import wait_until

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import ConfigurationError
from pennylane_threaded_ibmq.loopback import DEFAULT_CRN, Fault, Instance, JobStatus

SMALL = "ibm_manila"
TOKEN = "loopback-token"


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path):
    """A journal of this test's own."""
    home = tmp_path / "home"
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(home))
    monkeypatch.delenv("THREADED_IBMQ_ESTIMATE", raising=False)
    return home


def run(*arguments, **options):
    done = CliRunner().invoke(main, list(arguments), prog_name="threaded-ibmq", **options)
    assert TOKEN not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done


def told(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def start_command(*arguments, **options):
    command = [sys.executable, "-m", "pennylane_threaded_ibmq.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def ladder(count):
    return [
        qml.tape.QuantumScript([qml.RY(angle, 0), qml.CNOT([0, 1])], [qml.expval(qml.Z(1))], shots=1000)
        for angle in np.linspace(0, np.pi, count)
    ]


def left_behind(service, **options):
    """A batch whose program is gone before it got a result; its jobs wait."""
    service.hold()
    dev = qml.device("threaded.ibmq", wires=2, backend=SMALL, **options)
    handle = dev.submit(ladder(4))
    jobs = 4 // options.get("shard_size", 4)
    service.wait_for_jobs(jobs, JobStatus.QUEUED)
    wait_until(lambda: len(dev.batches()[0].job_ids) == jobs)
    handle.detach()
    dev.close()
    return handle.batch_id


# ------------------------------------------------------------------------------------------------------- doctor


def test_doctor_tells_account_plan_and_what_is_left(loopback):
    loopback(usage_limit_secs=600, instances=(Instance(name="mine", plan="open"),))
    done = run("doctor")
    assert done.exit_code == 0, done.output
    for said in (
        "ok    account: logged in with the token of QISKIT_IBM_TOKEN",
        f"ok    instance: mine ({DEFAULT_CRN})",
        "ok    plan: open, 10.0 min left",
        f"ok    backends: {SMALL}",
    ):
        assert said in done.stdout
    checks = {check["name"]: check for check in told("doctor", "--backend", SMALL)["checks"]}
    assert checks["backend"]["found"] == f"{SMALL}, 5 qubits, 0 jobs in the queue"


def test_doctor_says_what_is_wrong(loopback, monkeypatch):
    loopback()
    done = run("doctor", "--backend", "ibm_manilla")
    assert done.exit_code == 1
    assert "BAD   backend: the account has no ibm_manilla" in done.stdout
    assert f"Did you mean '{SMALL}'?" in done.stdout
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong-and-secret")
    done = run("doctor")
    assert done.exit_code == 1
    assert "BAD   account: IBM Quantum does not accept these credentials" in done.stdout
    assert "The token comes from QISKIT_IBM_TOKEN" in done.stdout
    assert "wrong-and-secret" not in done.output


def test_doctor_survives_a_service_that_is_gone(loopback):
    service = loopback()
    service.inject(Fault(effect="status", status=401, on="GET /instances/usage", times=None))
    done = run("doctor")
    assert done.exit_code == 1
    assert "BAD   account: IBM Quantum did not answer to the instance's usage" in done.stdout


def test_the_smallest_run_is_sent_only_when_its_cost_is_accepted(loopback):
    service = loopback(usage_limit_secs=600)
    done = run("doctor", "--deep", "--backend", SMALL, input="n\n")
    assert done.exit_code == 0
    assert f"A Bell pair on {SMALL}: 1 job of 100 shots" in done.stderr
    assert "2.03 s of QPU time of the 10.0 min that are left" in done.stderr
    assert service.counters.jobs == 0
    done = run("doctor", "--deep", "--backend", SMALL, input="y\n")
    assert done.exit_code == 0, done.output
    (job,) = service.jobs
    assert f"job {job.id}, 2.025 s charged" in done.stdout
    (there,) = [r for r in told("doctor", "--deep", "--yes")["runs"] if r["backend"] == SMALL]
    assert there["good"]
    assert there["usage_secs"] == pytest.approx(2.025)
    assert service.counters.jobs == 2


def test_the_smallest_run_that_fails(loopback):
    service = loopback()
    service.inject(
        Fault(effect="job", on="POST /jobs", reason="Error code 1517; no.", reason_code=1517, times=None)
    )
    done = run("doctor", "--deep", "--yes", "--backend", SMALL)
    assert done.exit_code == 1
    assert f"BAD   run on {SMALL}: Job" in done.stdout


# ------------------------------------------------------------------------------------------------------ backends


def test_backends_of_the_account_come_first(loopback):
    service = loopback(backends=(SMALL, "ibm_torino"))
    service.hold()
    with qml.device("threaded.ibmq", wires=2, backend=SMALL, journal=False) as dev:
        handle = dev.submit(ladder(1))
        service.wait_for_jobs(1, JobStatus.QUEUED)
        found = told("backends")
        service.release()
        handle.result(60)
    assert [b["name"] for b in found[:2]] == ["ibm_torino", SMALL]
    assert [b["queue"] for b in found[:2]] == [0, 1]
    assert found[0]["stand_in"] == "fake_torino"
    assert found[0]["qubits"] == 133
    assert "cz" in found[0]["basis"]
    assert found[-1]["where"] == "here"
    lines = run("backends", "--qubits", "100").stdout.splitlines()
    assert lines[1].split()[:4] == ["ibm_torino", "IBM", "133", "0"]


# ------------------------------------------------------------------------------------------------------- journal


def test_a_batch_is_listed_shown_and_collected(loopback, tmp_path):
    service = loopback()
    batch = left_behind(service, shard_size=2)
    (listed,) = told("batches", "--open")
    assert listed["id"] == batch
    assert listed["state"] == "2 accepted"
    assert listed["shards"][0]["tapes"] == [0, 1]
    assert batch in run("batches").stdout
    shown = run("show", batch[:6]).stdout
    for job in service.jobs:
        assert job.id in shown
    assert "0-1" in shown
    service.release()
    done = run("resume", batch[:6], "-o", str(tmp_path / "r.json"))
    assert done.exit_code == 0, done.output
    assert "4 of 4 results" in done.stderr
    results = json.loads((tmp_path / "r.json").read_text())
    np.testing.assert_allclose(results, np.cos(np.linspace(0, np.pi, 4)), atol=0.2)
    assert service.counters.jobs == 2


def test_a_batch_is_drawn(loopback, tmp_path, monkeypatch):
    service = loopback()
    batch = left_behind(service, shard_size=2)
    monkeypatch.chdir(tmp_path)
    running = told("timeline", batch)
    assert (running["batch"], running["finished"], running["lanes"]) == (batch, False, 2)
    service.release()
    run("resume", batch, "--option", "shard_size=2", "-o", "results.json")
    jobs = {job.id for job in service.jobs}
    # the journal alone is read: at a service that answers nothing but errors, all goes well
    service.inject(Fault(effect="status", status=503, on=".*", times=None))
    # the resumed batch is one of its own in the journal, whose jobs are those of the first
    newest = told("batches", "-n", "1")[0]["id"]
    for file, begins in (("a.png", b"\x89PNG"), ("b.SVG", b"<?xml"), ("c.html", b"<!doctype html>")):
        done = run("timeline", newest[:8], "-o", file, "--dark")
        assert (done.exit_code, done.stdout) == (0, ""), done.output
        assert "2 shards over" in done.stderr
        assert (tmp_path / file).read_bytes().startswith(begins)
    finished = told("timeline", newest, "-o", "d.png")
    assert finished["finished"]
    assert finished["output"] == "d.png"
    assert {event["phase"] for event in finished["events"]} >= {"queued", "done"}
    assert "queued" in {one["phase"] for one in finished["spans"]}
    assert {one["job_id"] for one in finished["spans"]} == jobs
    shown = run("timeline", newest).stdout
    assert all(job in shown for job in jobs)
    assert "queued" in shown
    assert "accepted" not in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-o", "picture.jpeg"], 2, "picture.jpeg ends with '.jpeg'; write .png, .svg, .pdf, .html."),
        (["-o", "picture"], 2, "picture has no ending; write .png"),
        (["-o", "no-such-folder/a.png"], 2, "no-such-folder/a.png cannot be written: there is no folder"),
    ],
)
def test_a_picture_that_cannot_be_written(loopback, arguments, code, said):
    batch = left_behind(loopback())
    done = run("timeline", batch, *arguments)
    assert done.exit_code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_resume_prints_its_results(loopback):
    service = loopback()
    batch = left_behind(service)
    service.release()
    answer = told("resume", batch)
    assert answer["batch"] == batch
    assert answer["missing"] == []
    full = run("resume", batch, "-o", "/dev/full")
    assert (full.exit_code, full.stdout) == (1, "")
    assert "/dev/full cannot be written: No space left on device" in full.stderr
    # nothing is lost by it
    assert json.loads(run("resume", batch).stdout) == answer["results"]
    assert service.counters.jobs == 1


@pytest.mark.parametrize(
    ("options", "said", "other"),
    [
        ({"primitive": "sampler"}, "primitive='sampler', parametrise=True", {"primitive": "estimator"}),
        (
            {"primitive_options": {"resilience_level": 1}},
            "primitive='estimator', parametrise=True, primitive_options={'resilience_level': 1}",
            {},
        ),
        ({"parametrise": False}, "primitive='estimator', parametrise=False", {"parametrise": True}),
    ],
)
def test_a_batch_is_resumed_with_the_options_that_shaped_its_jobs(loopback, options, said, other):
    """By itself on the command line; a device of other options would pay again, and is told so."""
    service = loopback()
    batch = left_behind(service, **options)
    service.release()
    service.wait_for_jobs(service.counters.jobs)
    sent = service.counters.jobs
    assert said in run("show", batch).stdout
    assert told("show", batch)["options"].items() >= options.items()
    (name,) = options
    with qml.device("threaded.ibmq", wires=2, backend=SMALL, **other) as dev:
        with pytest.raises(ConfigurationError, match=f"{batch}' was sent with {name}=") as caught:
            dev.resume(batch)
        assert caught.value.argument == name
        assert f"Make a device with {name}={options[name]!r}. Nothing was sent." in str(caught.value)
    assert len(json.loads(run("resume", batch).stdout)) == 4
    assert service.counters.jobs == sent


def test_resume_cuts_a_batch_as_it_was_sent(loopback):
    """The journal tells which tapes a job has; three, and then the one that is left."""
    service = loopback()
    service.hold()
    dev = qml.device("threaded.ibmq", wires=2, backend=SMALL, shard_size=3)
    handle = dev.submit(ladder(4))
    service.wait_for_jobs(2, JobStatus.QUEUED)
    handle.detach()
    dev.close()
    service.release()
    with qml.device("threaded.ibmq", wires=2, backend=SMALL) as other:
        results = other.resume(handle.batch_id, send=False).result(60)
    np.testing.assert_allclose(np.array(results, float), np.cos(np.linspace(0, np.pi, 4)), atol=0.2)
    assert service.counters.jobs == 2


def test_resume_gives_what_there_is_and_sends_the_rest_only_when_told(loopback):
    service = loopback()
    service.inject(
        Fault(effect="job", on="POST /jobs", reason="Error code 1517; no.", reason_code=1517, skip=1)
    )
    batch = left_behind(service, shard_size=2)
    service.release()
    service.wait_for_jobs(2)
    arguments = ["resume", batch, "--option", "shard_size=2"]
    done = run(*arguments)
    assert done.exit_code == 1
    results = json.loads(done.stdout)
    assert sorted(r is None for r in results[::2]) == [False, True]
    assert [r is None for r in results[::2]] == [r is None for r in results[1::2]]
    assert "--send" in done.stderr
    assert "Traceback" not in done.stderr
    assert service.counters.jobs == 2
    done = run(*arguments, "--send")
    assert done.exit_code == 0, done.output
    assert None not in json.loads(done.stdout)
    assert service.counters.jobs == 3


def test_resume_waits_no_longer_than_told(loopback):
    service = loopback()
    batch = left_behind(service)
    done = run("resume", batch, "--timeout", "500ms")
    assert done.exit_code == 1
    assert "Come back: threaded-ibmq resume" in done.stderr
    service.release()
    again = done.stderr.split()[-1]
    assert len(json.loads(run("resume", again).stdout)) == 4
    assert service.counters.jobs == 1


def test_an_interrupted_resume_cancels_nothing(loopback):
    service = loopback()
    batch = left_behind(service, shard_size=2)
    service.reset_counters()
    command = [sys.executable, "-m", "pennylane_threaded_ibmq.cli", "resume", batch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        # what looks at the job again and again is the batch that is waited for
        service.wait_for_requests("GET /jobs", 3, timeout_secs=200)
        child.send_signal(signal.SIGINT)
        printed, errors = child.communicate(timeout=200)
    assert (child.returncode, printed) == (1, "")
    assert f"The jobs run on. Come back: threaded-ibmq resume {batch}\n" in errors
    assert "Traceback" not in errors
    assert [job.status for job in service.jobs] == [JobStatus.QUEUED] * 2
    service.release()
    assert len(json.loads(run("resume", batch).stdout)) == 4
    assert service.counters.by_route.get("POST /jobs", 0) == 0


def test_cancel(loopback):
    service = loopback()
    batch = left_behind(service)
    (job,) = service.jobs
    assert told("cancel", batch) == [{"job": job.id, "cancelled": True}]
    assert service.jobs[0].status == JobStatus.CANCELLED
    (listed,) = told("batches")
    assert listed["state"] == "1 cancelled"
    assert run("cancel", batch).stdout == "No job of this batch waits or runs.\n"


def test_cancel_of_a_job_that_is_finished(loopback):
    service = loopback()
    batch = left_behind(service)
    service.release()
    service.wait_for_jobs(1)
    assert "was finished already" in run("cancel", batch).stdout
    assert len(json.loads(run("resume", batch).stdout)) == 4


def test_what_has_json_says_json_and_nothing_else(loopback, tmp_path):
    service = loopback()
    batch = left_behind(service)
    service.release()
    service.wait_for_jobs(1)
    words = {
        "doctor": [],
        "config": [],
        "backends": [],
        "budget": [],
        "batches": [],
        "show": [batch],
        "timeline": [batch],
        "report": ["-o", str(tmp_path / "report")],
        "resume": [batch],
        "cancel": [batch],
        "prune": [],
        # both run a program, and have tests of their own
        "estimate": None,
        "rehearse": None,
    }
    claim = {c.name for c in main.commands.values() if any("--json" in p.opts for p in c.params)}
    assert claim == set(words)
    for name, arguments in words.items():
        if arguments is not None:
            done = run(name, *arguments, "--json")
            assert json.loads(done.stdout) is not None, name


def test_prune_keeps_what_was_not_collected(loopback):
    service = loopback()
    batch = left_behind(service)
    assert told("prune", "--older-than", "0s") == {"forgotten": 0}
    service.release()
    run("resume", batch)
    assert told("prune", "--older-than", "0s") == {"forgotten": 2}
    assert told("batches") == []


# -------------------------------------------------------------------------------------- programs of their own


PROGRAM = """
    import sys
    import pennylane as qml

    local = qml.device("threaded.ibmq", wires=1)
    print("local", float(local.batch_execute([qml.tape.QuantumScript([], [qml.expval(qml.Z(0))], shots=10)])[0]))
    dev = qml.device("threaded.ibmq", wires=2, backend="ibm_manila", ibmqx_token="brought-along")
    tapes = [qml.tape.QuantumScript([qml.RX(x, 0)], [qml.expval(qml.Z(0))], shots=1000) for x in (0.1, 0.2)]
    try:
        print("results", len(dev.batch_execute(tapes)))
    except Exception:
        print("caught")
    print("end")
    sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def program(tmp_path):
    """A program that brings its own key, and catches every error."""
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return str(path)


def test_estimate_stops_a_program_before_its_first_send(loopback, program, own_home, monkeypatch):
    # of the older client, which IBM will refuse
    monkeypatch.setenv("PYTHONWARNINGS", "ignore:qiskit-ibm-runtime:UserWarning")
    service = loopback(usage_limit_secs=600, any_token=True)
    done = start_command("estimate", "--json", program, "0")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["first_batch"]
    assert found["backend"] == SMALL
    assert (found["tapes"], found["jobs"], found["circuits"], found["shots"]) == (2, 1, 2, 3072)
    assert found["qpu_secs"] == pytest.approx(2 + 3072 * 261e-6, rel=1e-3)
    assert found["left_secs"] == 600
    # local batches ran; a program that catches every error has still ended at the send
    assert done.stderr == "local 1.0\n"
    assert service.counters.jobs == 0
    assert not own_home.exists() or not told("batches")


def test_rehearse_runs_a_program_as_it_is(program, own_home, monkeypatch, tmp_path, new_client):
    for name in ("QISKIT_IBM_TOKEN", "IBMQX_TOKEN"):
        monkeypatch.setenv(name, "a-key-of-the-account")
    report = tmp_path / "report.json"
    options = ["--backend", SMALL, "--max-pending", "3", "--queue", "200ms", "--seed", "1", "-o", str(report)]
    done = start_command("rehearse", *options, "--", "python", program, "5")
    assert done.returncode == 5, done.stderr
    assert done.stdout == "local 1.0\nresults 2\nend\n"
    assert "Rehearsal (nothing was sent to IBM)" in done.stderr
    found = json.loads(report.read_text())
    # a new client twirls, 16 times 64 shots a row, and measures the readout errors besides
    expected = (1, 2, 2 * 16 + 16, 3 * 1024) if new_client else (1, 1, 2, 2000)
    assert (found["jobs"], found["pubs"], found["circuits"], found["shots"]) == expected
    assert found["usage_secs"] == pytest.approx(2 + expected[-1] * 250e-6)
    assert found["queued_secs"]["longest"] >= 0.2
    assert found["problems"] == ["The program ended with exit code 5."]
    assert not own_home.exists()


def test_a_rehearsal_says_what_it_does_before_anything_slow():
    """Not even the modules of the service are loaded by then."""
    script = (
        "import sys\nsys.modules['pennylane_threaded_ibmq.loopback'] = None\n"
        "from pennylane_threaded_ibmq.cli import main\nmain(['rehearse', '--', 'python', 'train.py'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    first, second, *rest = done.stderr.splitlines()
    assert first == "Rehearsal on this machine: python train.py"
    assert "ibm_torino" in second
    assert "Nothing is sent to IBM" in second
    assert "loopback" in rest[-1], "and there the import fails"


def test_a_rehearsal_shows_what_would_fail(program):
    done = start_command(
        "rehearse", "--backend", SMALL, "--limit", "1ms", "--json", "--", "python", program, "0"
    )
    found = json.loads(done.stdout)
    assert "local 1.0" in done.stderr
    assert any(
        "QPU time was used up" in problem or "exit code" in problem for problem in found["problems"]
    ), found


LOOKS = """
    import os
    import requests

    hidden = [name for name in ("IBMQX_TOKEN", "QISKIT_IBM_URL", "THREADED_IBMQ_ESTIMATE") if name in os.environ]
    print("hidden", hidden, os.environ["QISKIT_IBM_TOKEN"], os.environ["THREADED_IBMQ_HOME"])
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": "any"}
    answers = []
    for _ in range(20):
        try:
            answers.append(requests.post("https://iam.cloud.ibm.com/identity/token", form, timeout=60).status_code)
        except requests.RequestException:
            answers.append("lost")
    print("answers", sorted(set(map(str, answers))))
    try:
        requests.get("https://example.org", timeout=60)
    except requests.RequestException:
        print("refused")
"""


def test_a_rehearsal_keeps_the_account_and_the_world_apart(monkeypatch, tmp_path, own_home):
    monkeypatch.setenv("IBMQX_TOKEN", "a-key-of-the-account")
    monkeypatch.setenv("QISKIT_IBM_URL", "https://example.org")
    monkeypatch.setenv("THREADED_IBMQ_ESTIMATE", str(tmp_path / "estimates"))
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "my-instance")
    (tmp_path / "looks.py").write_text(textwrap.dedent(LOOKS))
    options = ["--backend", SMALL, "--faults", "50%", "--seed", "2", "--json"]
    done = start_command("rehearse", *options, "--", "python", str(tmp_path / "looks.py"))
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stderr.splitlines() if " " in line)
    assert lines["hidden"].startswith("[] loopback-token ")
    assert str(own_home) not in lines["hidden"]
    assert "'200'" in lines["answers"]
    assert lines["answers"].count("'") > 2
    assert "refused" in done.stderr.splitlines()
    found = json.loads(done.stdout)
    assert sum(found["faults"].values()) > 0
    assert found["requests_elsewhere"] == 1
    assert any("other hosts" in problem for problem in found["problems"])


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["python", "-c", "raise SystemExit(9)"], 9),
        (["python", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"], 143),
        (["no-such-program"], 1),
    ],
)
def test_the_exit_code_is_the_programs(command, code):
    done = start_command("rehearse", "--backend", SMALL, "--", *command)
    assert done.returncode == code
    assert "Traceback" not in done.stderr


def test_a_backend_without_a_snapshot_is_refused():
    done = start_command("rehearse", "--backend", "ibm_nowhere", "--", "true")
    assert done.returncode == 1
    assert "could not start" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environment_of_this_process_is_left_alone(loopback):
    before = dict(os.environ)
    loopback()
    inside = dict(os.environ)
    run("config")
    assert dict(os.environ) == inside != before
