"""Local shards on an engine of the user's: the same results, nothing lost, nothing shut down."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from pennylane_threaded_ibmq.circuits.outcomes import ShotCounts
from pennylane_threaded_ibmq.exceptions import ConfigurationError, JobCancelledError, JobFailedError
from pennylane_threaded_ibmq.execution.chunks import BackendSpec, Chunk, pack, run_chunk, unpack
from pennylane_threaded_ibmq.execution.engine import open_engine
from pennylane_threaded_ibmq.simulators.local import LocalBackend, open_local


class Here(Executor):
    """Runs at once, in the calling thread, from pickles; counts, and knows when it is shut down."""

    def __init__(self, workers=2, lose=()):
        self._max_workers = workers
        self.lose = set(lose)
        self.calls = 0
        self.closed = False

    def submit(self, function, /, *arguments, **_):
        future = Future()
        self.calls += 1
        if self.calls in self.lose:
            future.set_exception(BrokenExecutor("a worker died"))
            return future
        try:
            future.set_result(pickle.loads(pickle.dumps(function(*arguments))))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        self.closed = True


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


def mixed_tapes():
    """Three structures, two numbers of shots, one without parameters, a shadow and samples."""
    made = []
    for x in np.linspace(0.1, 2.5, 5):
        made.append(
            qml.tape.QuantumScript([qml.RY(x, 0), qml.CNOT([0, 1])], [qml.probs(wires=[0, 1])], shots=300)
        )
        made.append(qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=0)], shots=50))
        made.append(
            qml.tape.QuantumScript(
                [qml.RX(x, 2), qml.RY(x, 1), qml.CZ([1, 2])], [qml.expval(qml.X(2) @ qml.Y(1))], shots=300
            )
        )
    made.append(qml.tape.QuantumScript([qml.RY(0.4, 0)], [qml.classical_shadow(wires=[0, 1])], shots=20))
    return made


def run(tapes, **options):
    with qml.device("threaded.ibmq", wires=3, **options) as dev:
        return dev.batch_execute(tapes)


def same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# ------------------------------------------------------------------------------------------------------------ pieces


def counted(chunk, results):
    """Counts of each row of each circuit, in whatever form they came."""
    found = [
        ShotCounts.from_counts(rows, circuit.num_clbits, chunk.shots)
        for rows, circuit in zip(results, chunk.circuits, strict=True)
    ]
    return [
        sorted(zip(one.row_of.tolist(), one.packed.tolist(), one.weights.tolist(), strict=True))
        for one in found
    ]


def sample_chunk(seed=7):
    x = Parameter("x")
    one, two, plain = QuantumCircuit(2, 2), QuantumCircuit(3, 3), QuantumCircuit(1, 1)
    one.ry(x, 0)
    one.cx(0, 1)
    # outcomes of this one are drawn by Aer itself, as it resets on the way
    two.rx(x, 1)
    two.reset(1)
    two.rx(x, 1)
    plain.h(0)
    for circuit in (one, two, plain):
        circuit.measure(circuit.qubits, circuit.clbits)
    rng = np.random.default_rng(1)
    values = (rng.uniform(0, 3, (5, 1)), rng.uniform(0, 3, (4, 1)), np.zeros((3, 0)))
    return Chunk((one, two, plain), values, shots=200, seed=seed)


@pytest.mark.parametrize("most", [1, 2, 3, 5, 12, 40])
def test_chunks_of_a_run_give_what_the_run_gives(most):
    backend = LocalBackend(open_local("aer_simulator"))
    whole = sample_chunk()
    chunks, places = whole.cut(most)
    assert len(chunks) <= min(most, whole.rows)
    assert sum(chunk.rows for chunk in chunks) == whole.rows
    assert all(len(v) for chunk in chunks for v in chunk.values)
    joined = whole.join([chunk.run(backend) for chunk in chunks], places)
    assert counted(whole, joined) == counted(whole, whole.run(backend))


def test_a_circuit_of_many_chunks_is_written_once_and_read_once(monkeypatch):
    whole = sample_chunk()
    chunks, _ = whole.cut(12)
    written = []
    dumps = pickle.dumps
    monkeypatch.setattr("pickle.dumps", lambda what: written.append(what) or dumps(what))
    sent = pack(chunks)
    assert sum(isinstance(what, QuantumCircuit) for what in written) == 3
    arrived = [unpack(one) for one in sent]
    assert [p.rows for p in arrived] == [p.rows for p in chunks]
    assert len({id(circuit) for p in arrived for circuit in p.circuits}) == 3


def test_chunks_take_about_the_same_time():
    chunk = sample_chunk()
    heavy = QuantumCircuit(20, 20)
    for _ in range(50):
        heavy.h(range(20))
    heavy.measure(range(20), range(20))
    chunk = Chunk((chunk.circuits[0], heavy), (np.zeros((100, 1)), np.zeros((4, 0))), shots=10)
    chunks, _ = chunk.cut(2)
    heavy_rows = [
        sum(len(v) for c, v in zip(p.circuits, p.values, strict=True) if c is heavy) for p in chunks
    ]
    assert heavy_rows == [2, 2]


def test_a_seeded_estimate_is_not_cut():
    whole = Chunk((QuantumCircuit(1),), (np.zeros((4, 0)),), precisions=(0.1,), observables=(("Z",),), seed=3)
    assert whole.cut(4)[0] == [whole]


def test_a_worker_opens_a_backend_from_its_name():
    spec = pickle.dumps(BackendSpec("aer_simulator"))
    chunk = sample_chunk()
    (sent,) = pack([chunk])
    here = chunk.run(LocalBackend(open_local("aer_simulator")))
    assert counted(chunk, run_chunk(spec, sent)) == counted(chunk, here)


# ------------------------------------------------------------------------------------------------------ same results


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("shard_size", ["auto", 3])
def test_the_same_seed_gives_the_same_results_on_any_number_of_workers(workers, shard_size):
    tapes = mixed_tapes()
    engine = Here(workers)
    here = run(tapes, seed_simulator=5, shard_size=shard_size)
    same(run(tapes, seed_simulator=5, shard_size=shard_size, engine=engine), here)
    assert engine.calls > 1
    assert not engine.closed


@pytest.mark.parametrize(
    "options",
    [{"backend": "fake_manila"}, {"primitive": "estimator"}, {"backend": "aer_simulator_stabilizer"}],
)
def test_backends_and_primitives_give_the_same_results(options):
    angles = [0.0, np.pi / 2, np.pi] if "stabilizer" in str(options) else [0.1, 0.7, 1.9]
    tapes = [
        qml.tape.QuantumScript(
            [qml.Hadamard(0), qml.S(0), qml.CNOT([0, i])], [qml.expval(qml.X(0) @ qml.Y(i))], shots=200
        )
        if "stabilizer" in str(options)
        else qml.tape.QuantumScript([qml.RY(x, 0), qml.CNOT([0, i])], [qml.expval(qml.Z(i))], shots=200)
        for x in angles
        for i in (1, 2)
    ]
    same(run(tapes, seed_simulator=5, engine=Here(3), **options), run(tapes, seed_simulator=5, **options))


def test_a_noise_model_goes_along():
    from qiskit_aer.noise import NoiseModel, ReadoutError

    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0, 1], [1, 0]]))
    tape = qml.tape.QuantumScript([qml.Identity(0)], [qml.expval(qml.Z(0))], shots=50)
    assert run([tape] * 3, noise_model=noise, engine=Here()) == (-1.0, -1.0, -1.0)


def test_without_a_seed_workers_differ():
    tape = qml.tape.QuantumScript([qml.Hadamard(0)], [qml.sample(wires=0)], shots=60)
    first, second = run([tape, tape], engine=Here(2))
    assert not np.array_equal(first, second)


def test_a_pool_of_processes_gives_the_same_results_and_lives_on(pool):
    tapes = mixed_tapes()
    same(run(tapes, seed_simulator=5, engine=pool), run(tapes, seed_simulator=5))
    assert pool.submit(os.getpid).result() != os.getpid()


def test_threads_of_the_users_do_as_well():
    tapes = mixed_tapes()
    with ThreadPoolExecutor(2) as threads:
        same(run(tapes, seed_simulator=5, engine=threads), run(tapes, seed_simulator=5))
        assert threads.submit(lambda: 3).result() == 3


def test_gradients_run_there():
    def circuit(x):
        qml.RY(x, 0)
        return qml.expval(qml.Z(0))

    engine = Here(2)
    dev = qml.device("threaded.ibmq", wires=1, engine=engine)
    x = qml.numpy.array(0.7, requires_grad=True)
    slope = qml.grad(qml.set_shots(qml.QNode(circuit, dev, diff_method="parameter-shift"), 4000))(x)
    assert abs(slope + np.sin(0.7)) < 0.1
    assert engine.calls > 1


def test_progress_counts_chunks():
    seen = []
    run(mixed_tapes(), engine=Here(3), progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 3
    assert seen[-1].done == seen[-1].shards == 1


# ----------------------------------------------------------------------------------------------------- what goes wrong


def test_chunks_of_dead_workers_run_again(caplog):
    tapes = mixed_tapes()
    engine = Here(2, lose=(2, 3))
    same(run(tapes, seed_simulator=5, engine=engine), run(tapes, seed_simulator=5))
    assert "lost its workers; 2 of" in caplog.text


class Breaking(Here):
    """Breaks while it starts a process, as a pool does: one error of its closed pipes, and from then on it says so."""

    def __init__(self, error, then):
        super().__init__()
        self.error = error
        self.then = then

    def submit(self, function, /, *arguments, **options):
        if self.calls == 1:
            self.calls += 1
            raise self.error
        if self.calls > 1:
            raise self.then
        return super().submit(function, *arguments, **options)


@pytest.mark.parametrize(
    "error",
    [ValueError("bad value(s) in fds_to_keep"), OSError("handle is closed"), TypeError("'NoneType' object")],
    ids=lambda error: type(error).__name__,
)
def test_what_a_breaking_pool_raises_loses_nothing(error, caplog):
    tapes = mixed_tapes()
    engine = Breaking(error, BrokenExecutor("a child process ended"))
    same(run(tapes, seed_simulator=5, engine=engine), run(tapes, seed_simulator=5))
    assert "lost its workers" in caplog.text


def test_an_engine_that_refuses_the_work_is_heard():
    refusal = ValueError("this executor takes no functions")
    with pytest.raises(ValueError, match="takes no functions"):
        run(mixed_tapes(), engine=Breaking(refusal, refusal))


@pytest.mark.slow
def test_a_killed_pool_loses_nothing():
    tapes = mixed_tapes()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        executor.submit(os.getpid).result()

        workers = executor._processes  # the pool forgets them when it breaks

        def kill(progress):
            for worker in list(workers.values()):
                if worker.exitcode is None:
                    worker.kill()

        same(run(tapes, seed_simulator=5, engine=executor, progress=kill), run(tapes, seed_simulator=5))
        # a pool that broke while it started a worker may wait for that one for ever
        kill(None)


@pytest.mark.slow
@pytest.mark.parametrize("guarded", [True, False])
def test_a_program_whose_processes_cannot_start_fails(guarded, tmp_path):
    """Without the guard each process reads the program and ends there: that is no worker that was lost on the way."""
    program = f"""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import pennylane as qml

if {"__name__ == '__main__'" if guarded else "True"}:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        dev = qml.device("threaded.ibmq", wires=1, engine=pool)
        tape = qml.tape.QuantumScript([qml.X(0)], [qml.expval(qml.Z(0))], shots=10)
        print(dev.batch_execute([tape]))
"""
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == guarded, done.stderr
    assert ("-1.0" in done.stdout) == guarded
    assert ("ConfigurationError: engine=ProcessPoolExecutor: its processes end" in done.stderr) != guarded


def test_a_pool_whose_initializer_fails_is_an_error():
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn, initializer=os._exit, initargs=(3,)) as executor,
        pytest.raises(ConfigurationError, match="exit code 3"),
    ):
        run(mixed_tapes()[:1], engine=executor)


def test_a_pool_that_breaks_while_it_is_given_work_loses_nothing():
    class Breaking(Here):
        def submit(self, function, /, *arguments, **_):
            if self.calls == 2:
                raise OSError("handle is closed")
            return super().submit(function, *arguments)

    tapes = mixed_tapes()
    same(run(tapes, seed_simulator=5, engine=Breaking()), run(tapes, seed_simulator=5))


def test_work_that_ends_every_process_is_an_error(monkeypatch):
    class Dead(Here):
        def submit(self, function, /, *arguments, **_):
            raise BrokenExecutor("gone")

    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(JobFailedError, match="exit code 1"):
        run(mixed_tapes()[:1], engine=Dead())


def test_an_error_of_the_simulator_reaches_the_user(monkeypatch):
    class Refusing(Here):
        def submit(self, function, /, *arguments, **_):
            future = Future()
            future.set_exception(ValueError("not this one"))
            return future

    with pytest.raises(ValueError, match="not this one"):
        run(mixed_tapes()[:1], engine=Refusing())


def test_a_cancelled_batch_does_not_wait_for_its_workers():
    class Never(Here):
        sent = ()

        def submit(self, function, /, *arguments, **_):
            self.sent = (*self.sent, Future())
            return self.sent[-1]

    engine = Never()
    dev = qml.device("threaded.ibmq", wires=3, engine=engine)
    handle = dev.submit(mixed_tapes())
    handle.cancel()
    with pytest.raises(JobCancelledError):
        handle.result(60)
    assert all(future.cancelled() for future in engine.sent)


@pytest.mark.parametrize("engine", [3, "nonsense", object(), ["tcp://x"]])
def test_what_is_no_engine_is_refused_at_once(engine):
    with pytest.raises(ConfigurationError, match="engine"):
        qml.device("threaded.ibmq", wires=1, engine=engine)


def test_a_forking_pool_is_warned_of():
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor,
        pytest.warns(UserWarning, match="spawn"),
    ):
        open_engine(executor)


# -------------------------------------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as started:
        yield started


@pytest.mark.slow
def test_a_dask_client_gives_the_same_results_and_lives_on(cluster):
    from distributed import Client

    tapes = mixed_tapes()
    with Client(cluster, set_as_default=False) as client:
        same(run(tapes, seed_simulator=5, engine=client), run(tapes, seed_simulator=5))
        assert client.submit(lambda: 3).result() == 3


@pytest.mark.slow
def test_an_address_is_enough_and_the_cluster_lives_on(cluster):
    from distributed import Client

    tapes = mixed_tapes()
    same(run(tapes, seed_simulator=5, engine=cluster.scheduler_address), run(tapes, seed_simulator=5))
    with Client(cluster, set_as_default=False) as client:
        assert len(client.nthreads()) == 2


@pytest.mark.slow
def test_a_dask_worker_that_dies_loses_nothing(cluster):
    from distributed import Client

    tapes = mixed_tapes()
    with Client(cluster, set_as_default=False) as client:
        victims = list(client.run(os.getpid).values())[:1]

        def kill(progress):
            while victims:
                os.kill(victims.pop(), signal.SIGKILL)

        same(run(tapes, seed_simulator=5, engine=client, progress=kill), run(tapes, seed_simulator=5))


@pytest.mark.slow
def test_no_scheduler_there():
    pytest.importorskip("distributed")
    with pytest.raises(ConfigurationError, match="no Dask scheduler"):
        qml.device("threaded.ibmq", wires=1, engine="tcp://127.0.0.1:9")
