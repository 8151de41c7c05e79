"""What the journal keeps of tapes: data, which come back as they were and run nothing."""

from __future__ import annotations

import pickle
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner

from pennylane_threaded_ibmq.cli import main
from pennylane_threaded_ibmq.exceptions import JournalError
from pennylane_threaded_ibmq.store.journal import Journal
from pennylane_threaded_ibmq.store.records import NewShard
from pennylane_threaded_ibmq.store.tapes import UnwritableError, read_tapes, write_tapes

Q = qml.tape.QuantumScript


def dynamic():
    with qml.queuing.AnnotatedQueue() as queue:
        qml.RX(0.3, 0)
        first = qml.measure(0, reset=True)
        second = qml.measure(1, postselect=1)
        qml.cond(first & (second == 0), qml.RY)(0.5, 1)
        qml.expval(qml.Z(0))
        qml.sample(first + 2 * second)
        qml.counts([first, second])
    return Q.from_queue(queue, shots=10)


TAPES = {
    "gates": Q(
        [
            qml.RX(0.1 + 0.2, "a"),
            qml.ctrl(qml.RX(0.2, 0), [1, 2], control_values=[0, 1]),
            qml.adjoint(qml.T(0)),
            qml.pow(qml.S(0), 0.5),
            qml.Rot(1, np.float32(0.1), qml.numpy.array(0.3), wires=0),
            qml.QubitUnitary(np.array([[0, -1j], [1j, 0]]), ["b"]),
            qml.StatePrep(np.array([1, 1j]) / np.sqrt(2), wires=0),
            qml.PauliRot(0.3, "XY", wires=[0, 1]),
            qml.MultiControlledX([0, 1, 2], control_values=[1, 0]),
        ],
        [qml.counts()],
        shots=(10, (20, 2)),
    ),
    "measurements": Q(
        [],
        [
            qml.expval(qml.Hamiltonian([1, 2], [qml.X(0), qml.Z(0) @ qml.Z(1)])),
            qml.var(qml.Hermitian(np.diag([1.0, 3.0]), 0)),
            qml.expval(qml.Projector([0, 1], [0, 1])),
            qml.probs(op=qml.Y(0)),
            qml.sample(wires=[1, 0]),
            qml.counts(qml.X(0), all_outcomes=True),
            qml.classical_shadow([0, 1], seed=3),
            qml.shadow_expval(2 * qml.X(0), k=2, seed=1),
        ],
        shots=7,
    ),
    "broadcast": Q([qml.RX(np.linspace(0, 1, 5), 0)], [qml.expval(qml.Z(0))], shots=3),
    "dynamic": dynamic(),
}


@pytest.mark.parametrize("name", TAPES)
def test_tapes_come_back_as_they_were(name):
    given = TAPES[name]
    (found,) = read_tapes(write_tapes([given]))
    assert found.shots == given.shots
    assert write_tapes([found]) == write_tapes([given])
    for old, new in zip(given.operations, found.operations, strict=True):
        qml.assert_equal(old, new, check_interface=False, check_trainability=False)
    for old, new in zip(given.measurements, found.measurements, strict=True):
        if old.mv is None:
            qml.assert_equal(old, new, check_interface=False, check_trainability=False)
    if name == "dynamic":
        value, kept = given.measurements[1].mv, found.measurements[1].mv
        outcomes = [(a, b) for a in (0, 1) for b in (0, 1)]
        assert [kept.processing_fn(*o) for o in outcomes] == [value.processing_fn(*o) for o in outcomes]
        assert [m.id for m in kept.measurements] == [m.id for m in value.measurements]


def test_jobs_are_recognised_by_what_was_kept(loopback, device):
    """Dynamic circuits too, whose values were functions that no pickle takes."""
    service = loopback()
    service.hold()
    tapes = [Q([qml.RY(x, 0)], [qml.expval(qml.Z(0))], shots=100) for x in (0.1, 3.0)]
    dev = device()
    handles = [dev.submit(tapes), dev.submit([dynamic()])]
    service.release()
    first = [handle.result(60) for handle in handles]
    again = [device().resume(handle.batch_id, send=False).result(60) for handle in handles]
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1][0][1], again[1][0][1])
    assert service.counters.jobs == 2


@pytest.mark.parametrize("interface", ["autograd", "torch", "jax"])
@pytest.mark.parametrize("diff_method", ["parameter-shift", "best"])
def test_the_batches_of_a_gradient_are_resumable(loopback, device, caplog, interface, diff_method):
    service = loopback()
    dev = device()

    @qml.set_shots(100)
    @qml.qnode(dev, diff_method=diff_method)
    def circuit(x):
        qml.RX(x, 0)
        return qml.expval(qml.Z(0))

    if interface == "autograd":
        qml.grad(circuit)(qml.numpy.array(0.3, requires_grad=True))
    elif interface == "torch":
        torch = pytest.importorskip("torch")
        circuit(torch.tensor(0.3, requires_grad=True)).backward()
    else:
        jax = pytest.importorskip("jax")
        jax.grad(circuit)(jax.numpy.array(0.3))
    batches = dev.batches()
    assert batches
    assert all(batch.resumable for batch in batches)
    assert "cannot be resumed" not in caplog.text
    jobs = service.counters.jobs
    for batch in batches:
        assert len(device().resume(batch.id, send=False).result(60)) == batch.tapes
    assert service.counters.jobs == jobs


def test_tensors_under_way_are_kept_as_their_numbers():
    from autograd.numpy.numpy_boxes import ArrayBox
    from autograd.tracer import new_box

    boxed = new_box(new_box(np.array(0.3), 0, None), 1, None)
    assert isinstance(boxed, ArrayBox)
    (found,) = read_tapes(write_tapes([Q([qml.RX(boxed, 0)], [qml.expval(qml.Z(0))], shots=3)]))
    assert found.operations[0].data == (0.3,)


class Own(qml.measurements.SampleMeasurement):
    """A measurement of a user's own."""

    def process_samples(self, samples, wire_order, shot_range=None, bin_size=None):
        return 1.0

    def process_counts(self, counts, wire_order):
        return 1.0


def test_what_cannot_be_written_is_not_resumable_and_says_so(tmp_path, caplog):
    tape = Q([], [Own(wires=qml.wires.Wires(0))], shots=3)
    with pytest.raises(UnwritableError, match="tape 0: Own"):
        write_tapes([tape])
    journal = Journal(tmp_path / "journal.sqlite")
    batch, _ = journal.begin("b", "i", [tape], [NewShard("same", 1, (0,), "tag")])
    assert "cannot be resumed by its id" in caplog.text
    assert not journal.batch(batch).resumable
    with pytest.raises(JournalError, match="could not be written as data"):
        journal.tapes(batch)
    journal.close()
    shown = CliRunner().invoke(main, ["show", batch, "--journal", str(tmp_path / "journal.sqlite")])
    assert "run the program again" in shown.output
    assert "threaded-ibmq resume" not in shown.output


def test_nothing_of_a_journal_runs_when_it_is_read(tmp_path):
    path = tmp_path / "journal.sqlite"
    journal = Journal(path)
    batch, _ = journal.begin("b", "i", [TAPES["gates"]], [NewShard("same", 1, (0,), "tag")])
    for name in ("os:system", "pennylane:device", "builtins:eval", "pennylane.numpy:load"):
        evil = zlib.compress(
            f'{{"format":1,"tapes":[[[["o","{name}","touch {path}.bad"]],[],["s"]]]}}'.encode()
        )
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("UPDATE batches SET content=?", (evil,))
        with pytest.raises(JournalError, match="no gate or measurement"):
            journal.tapes(batch)
    journal.close()


# ------------------------------------------------------------------------------------------------------------- pickles


def pickled(path, content):
    """A journal with a batch as older versions kept it."""
    journal = Journal(path)
    batch, _ = journal.begin("b", "i", (), [NewShard("same", 1, (0,), "tag")])
    journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE batches SET tape_format=0, content=?", (zlib.compress(pickle.dumps(content)),))
    return batch


@pytest.fixture
def private(tmp_path):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700)
    return folder / "journal.sqlite"


def test_pickles_of_older_versions_are_read_where_nobody_else_can_write(private):
    batch = pickled(private, (TAPES["gates"],))
    journal = Journal(private)
    assert write_tapes(journal.tapes(batch)) == write_tapes([TAPES["gates"]])
    journal.close()
