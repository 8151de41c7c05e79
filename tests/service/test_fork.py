"""Processes that fork: nothing of SQLite's crosses a fork, no lock stays locked in it, nothing is paid for twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pennylane_threaded_ibmq.loopback import Fault, JobStatus
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
import os, signal, threading, time
from pathlib import Path
import numpy as np
import pennylane as qml

def wait_for(word):
    deadline = time.monotonic() + 300
    while not Path(FOLDER, word).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)

def say(word):
    print(word, flush=True)

def tapes(*angles):
    return [qml.tape.QuantumScript([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=200) for x in angles]

def make(**options):
    options = {"wires": 1, "backend": "ibm_manila", "journal": FOLDER + "/journal", "shard_size": 1, **options}
    return qml.device("threaded.ibmq", **options)
"""


class Script:
    """A program of its own that is told by files when to go on: its forks share its standard input, and would take what it is told there."""

    def __init__(self, code: str, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._child = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                f"FOLDER = {str(folder)!r}\n{HEAD}\n{textwrap.dedent(code)}",
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self, word: str) -> None:
        """Wait until it says a word."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline().strip()
        if line != word:
            self._child.kill()
            raise AssertionError(f"{line!r} instead of {word!r}: {self._child.communicate()[1]}")

    def tell(self, word: str) -> None:
        """Let it go on, or one of its forks."""
        (self._folder / word).touch()

    def end(self) -> None:
        """Wait for the end of it and of all that it forked."""
        _, errors = self._child.communicate(timeout=120)
        assert self._child.returncode == 0, errors

    def kill(self) -> None:
        """Kill it, but not what it forked."""
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """Let go of it, whatever it does."""
        self._child.kill()
        for stream in (self._child.stdout, self._child.stderr):
            stream.close()
        self._child.wait()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """Start programs: ``script(code, service)``; without a service, such as need none."""
    with ExitStack() as stack:

        def start(code: str, service=None) -> Script:
            environment = {
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "HOME": str(tmp_path),
            }
            if service is not None:
                crn = service.config.instances[0].crn
                environment.update(service.environment(token="loopback-token", instance=crn))
            started = Script(code, tmp_path, environment)
            stack.callback(started.close)
            return started

        yield start


def test_what_a_worker_sends_after_its_parent_has_ended_is_in_the_journal(start, script):
    """SQLite removed the log under the worker: what it had sent was in no journal, and the next run paid again."""
    service = start()
    running = script(
        """
        dev = make()
        dev.batch_execute(tapes(0.1, 0.2))
        parent = os.getpid()
        if os.fork() == 0:
            dev.batches()  # its own connection, while the parent has one
            say("opened")
            while os.getppid() == parent:
                time.sleep(0.01)
            dev.submit(tapes(0.3, 0.4))
            wait_for("die")
            os.kill(os.getpid(), signal.SIGKILL)
        wait_for("end")
        """,
        service,
    )
    running.hear("opened")
    service.hold()
    running.tell("end")
    service.wait_for_jobs(2, JobStatus.QUEUED, timeout_secs=200)
    running.tell("die")
    running.end()
    service.release()
    after = script("make().batch_execute(tapes(0.3, 0.4))", service)
    after.end()
    assert service.counters.jobs == 4


def test_a_worker_writes_down_what_its_parent_does_not_remove(script, tmp_path):
    running = script(
        """
        from pennylane_threaded_ibmq.resources import RESOURCES
        from pennylane_threaded_ibmq.store.journal import Journals
        from pennylane_threaded_ibmq.store.records import NewShard

        def begin(name):
            new = [NewShard(name, 1, (0,), name)]
            RESOURCES.get(Journals).at(Path(FOLDER) / "journal").begin("b", "i", tapes(0.1), new)

        begin("parent")
        if os.fork() == 0:
            begin("first")
            say("began")
            wait_for("go on")
            for number in range(5):
                begin(f"later {number}")
            os._exit(0)
        wait_for("end")
        RESOURCES.get(Journals).at(Path(FOLDER) / "journal").close()
        say("closed")
        os.wait()
        """
    )
    running.hear("began")
    running.tell("end")
    running.hear("closed")
    running.tell("go on")
    running.end()
    with closing(sqlite3.connect(tmp_path / "journal")) as db:
        found = {content for (content,) in db.execute("SELECT content FROM shards")}
    assert found == {"parent", "first", *(f"later {number}" for number in range(5))}


FORKS_WHILE_BUSY = """
        def work():
            while True:
                {work}

        threading.Thread(target=work, daemon=True).start()
        say("busy")
        wait_for("fork")
        for _ in range({times}):
            child = os.fork()
            if child == 0:
                {in_child}
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        say("done")
        os._exit(0)
"""


def test_a_fork_does_not_wait_for_a_login_of_its_parent(start, script):
    service = start()
    service.inject(Fault(effect="stall", on="POST /identity/token", when="after", secs=600, times=1))
    code = FORKS_WHILE_BUSY.format(work="make()", times=1, in_child="make().batch_execute(tapes(0.1))")
    running = script("import qiskit_ibm_runtime\n" + textwrap.dedent(code), service)
    running.hear("busy")
    service.wait_for_requests("POST /identity/token", 1, timeout_secs=200)
    running.tell("fork")
    running.hear("done")
    assert service.counters.jobs == 1


def test_a_fork_does_not_wait_for_a_write_of_its_parent(script):
    """Twenty forks, while another thread does nothing but take and release the locks of journals and pacers."""
    use = "RESOURCES.get(Journals).at(Path(FOLDER) / 'journal').release('nobody'), RESOURCES.get(Pacers).of('a', 'b').accepted()"
    head = (
        "from pennylane_threaded_ibmq.resources import RESOURCES\n"
        "from pennylane_threaded_ibmq.store.journal import Journals\n"
        "from pennylane_threaded_ibmq.service.pace import Pacers\n"
    )
    running = script(head + textwrap.dedent(FORKS_WHILE_BUSY.format(work=use, times=20, in_child=use)))
    running.hear("busy")
    running.tell("fork")
    running.hear("done")


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit", "OSError"])
def test_an_error_while_a_fork_is_made_ready_leaves_nothing_locked(script, error):
    """Python forks all the same. Who was interrupted is asked again; who cannot is left out."""
    code = """
        from pennylane_threaded_ibmq._fork import FORKS

        class Owner:
            def __init__(self, errors):
                self.errors, self.ready, self.ends = errors, 0, 0
                FORKS.watch(self)
            def before_fork(self):
                if self.errors:
                    self.errors -= 1
                    raise ERROR
                self.ready += 1
            def after_fork(self, *, in_child):
                self.ready -= 1
                self.ends += 1
                raise ERROR

        owners = [Owner(number) for number in (0, 1, 0)]
        for number in (1, 2):
            child = os.fork()
            if child == 0:
                os._exit(7 if [owner.ready for owner in owners] == [0, 0, 0] else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert [owner.ready for owner in owners] == [0, 0, 0]
            left_out = ERROR is OSError
            assert [owner.ends for owner in owners] == [number, number - left_out, number]
    """
    script(code.replace("ERROR", error)).end()


def test_a_fork_does_not_wait_for_what_its_parent_records(script):
    """Nor does it find what another thread was recording among its own recordings."""
    work = "qml.tape.make_qscript(lambda: [qml.RX(0.1, 0) for _ in range(200)] and qml.expval(qml.Z(0)))()"
    in_child = (
        "assert qml.tape.make_qscript(lambda: qml.RX(0.1, 0))().num_wires == 1\n"
        "                assert not qml.queuing.QueuingManager.recording()"
    )
    code = FORKS_WHILE_BUSY.format(work=work, times=20, in_child=in_child)
    running = script("dev = qml.device('threaded.ibmq', wires=1)\n" + textwrap.dedent(code))
    running.hear("busy")
    running.tell("fork")
    running.hear("done")


def test_a_fork_does_not_keep_its_dead_parent_alive(script, tmp_path):
    running = script(
        """
        from pennylane_threaded_ibmq.resources import RESOURCES
        from pennylane_threaded_ibmq.store.journal import Journals
        from pennylane_threaded_ibmq.store.records import NewShard, ShardState

        journal = RESOURCES.get(Journals).at(Path(FOLDER) / "journal")
        batch, _ = journal.begin("b", "i", tapes(0.1), [NewShard("same", 1, (0,), "tag")])
        journal.move(batch, 0, ShardState.ACCEPTED, job_id="job")
        if os.fork() == 0:
            say("forked")
            wait_for("end")
            os._exit(0)
        os.wait()
        """
    )
    running.hear("forked")
    journal = Journal(tmp_path / "journal")
    assert journal.begin("b", "i", (), [NewShard("same", 1, (0,), "new")])[1] == [None]
    running.kill()
    (claim,) = journal.begin("b", "i", (), [NewShard("same", 1, (0,), "newer")])[1]
    assert claim.job_id == "job"
    journal.close()
    running.tell("end")


def test_a_batch_of_the_parent_does_not_keep_a_fork_waiting(start, script):
    service = start()
    service.hold()
    running = script(
        """
        import concurrent.futures
        from pennylane_threaded_ibmq.exceptions import DeviceClosedError

        dev = make()
        handle = dev.submit(tapes(0.1))
        called = []
        for future in handle.futures:
            future.add_done_callback(called.append)
        wait_for("fork")
        if os.fork() == 0:
            done, waiting = concurrent.futures.wait(handle.futures, timeout=60)
            assert not waiting and not called
            for ask in (handle.result, *(future.result for future in handle.futures)):
                try:
                    ask()
                except DeviceClosedError as error:
                    assert "was forked" in str(error) and handle.batch_id in str(error), error
                else:
                    os._exit(1)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        say("refused")
        assert handle.result(60)[0] > 0.5
        assert handle.futures[0].result(60) == handle.result()[0]
        if os.fork() == 0:
            assert handle.futures[0].result() == handle.result()[0]
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        """,
        service,
    )
    service.wait_for_jobs(1, JobStatus.QUEUED, timeout_secs=200)
    running.tell("fork")
    running.hear("refused")
    service.release()
    running.end()
    assert service.counters.jobs == 1


def test_futures_that_a_fork_asks_for_first_are_done(start, script):
    """Also where another thread of the parent was just at the results."""
    service = start()
    service.hold()
    running = script(
        """
        from pennylane_threaded_ibmq.exceptions import DeviceClosedError

        dev = make()
        handle = dev.submit(tapes(0.1))
        held, end = threading.Event(), threading.Event()

        def hold():
            with handle._batch._lock, handle._batch._results._lock:
                held.set()
                end.wait(300)

        threading.Thread(target=hold, daemon=True).start()
        held.wait(300)
        if os.fork() == 0:
            signal.alarm(200)
            handle.detach()
            error = handle.futures[0].exception(100)
            os._exit(7 if isinstance(error, DeviceClosedError) and "was forked" in str(error) else 1)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        end.set()
        say("asked")
        assert handle.futures[0].result(200) > 0.5
        """,
        service,
    )
    running.hear("asked")
    service.release()
    running.end()
    assert service.counters.jobs == 1


def test_a_call_that_the_parent_submitted_does_not_keep_a_fork_waiting(start, script):
    service = start()
    service.hold()
    running = script(
        """
        import asyncio
        from pennylane_threaded_ibmq import IBMQExecutor, qelectron
        from pennylane_threaded_ibmq.exceptions import DeviceClosedError

        executor = IBMQExecutor(backend="ibm_manila", persist_data=False)

        @qelectron(executors=executor)
        @qml.qnode(qml.device("default.qubit", wires=1), shots=100)
        def circuit(x):
            qml.RX(x, 0)
            return qml.expval(qml.Z(0))

        async def wait(later):
            return await later

        later = circuit.run_later(0.1)
        wait_for("fork")
        if os.fork() == 0:
            for ask in (later.result, lambda: asyncio.run(wait(later))):
                try:
                    ask()
                except DeviceClosedError as error:
                    assert "was forked" in str(error), error
                else:
                    os._exit(1)
            assert circuit(np.pi) < -0.5
            os._exit(7)
        say("forked")
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        assert later.result(60) > 0.5
        """,
        service,
    )
    service.wait_for_jobs(1, JobStatus.QUEUED, timeout_secs=200)
    running.tell("fork")
    running.hear("forked")
    service.wait_for_jobs(2, JobStatus.QUEUED, timeout_secs=200)
    service.release()
    running.end()
    assert service.counters.jobs == 2


def test_forks_draw_other_random_numbers(script, tmp_path):
    """Workers that draw the same samples look like more shots, and are not."""
    script(
        """
        dev = make(backend="ibmq_qasm_simulator")
        tape = qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=0)], shots=100)
        dev.batch_execute([tape])  # Aer's thread is now there, and will be missing in the forks
        for name in "ab":
            if os.fork() == 0:
                np.save(f"{FOLDER}/{name}.npy", dev.batch_execute([tape])[0])
                os._exit(0)
            os.wait()
        a, b = (np.load(f"{FOLDER}/{name}.npy") for name in "ab")
        assert a.shape == b.shape and not (a == b).all()
        """
    ).end()


def test_the_records_of_forks_are_all_there(script, tmp_path):
    running = script(
        """
        os.environ["THREADED_IBMQ_HOME"] = FOLDER
        from pennylane_threaded_ibmq import IBMQExecutor, qelectron

        executor = IBMQExecutor()

        @qelectron(executors=executor)
        @qml.qnode(qml.device("default.qubit", wires=1), shots=10)
        def circuit(x):
            qml.RX(x, 0)
            return qml.probs(wires=0)

        circuit(0.1)
        assert executor.flush_records(60)
        if os.fork() == 0:
            circuit(0.2)
            assert executor.flush_records(60)
            say("written")
            wait_for("go on")
            for _ in range(3):
                circuit(0.3)
                assert executor.flush_records(60)
            executor.close()
            os._exit(7)
        wait_for("end")
        executor.close()
        say("closed")
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 7
        """
    )
    running.hear("written")
    running.tell("end")
    running.hear("closed")
    running.tell("go on")
    running.end()
    with closing(sqlite3.connect(tmp_path / "qelectron.sqlite3")) as db:
        assert db.execute("SELECT COUNT(*) FROM calls").fetchone() == (5,)
