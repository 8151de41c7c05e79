"""What may be spent: estimates by IBM's formula, limits of a batch, budgets of a device, an executor and an instance."""

from __future__ import annotations

import json
import math
import multiprocessing

import numpy as np
import pennylane as qml
import pytest
from click.testing import CliRunner
from qiskit import QuantumCircuit

from pennylane_threaded_ibmq.cli.app import main
from pennylane_threaded_ibmq.device.recording import recording_lock
from pennylane_threaded_ibmq.exceptions import (
    JobCancelledError,
    JobFailedError,
    ShardFailedError,
    SubmissionError,
    UsageLimitError,
    WaitTimeoutError,
)
from pennylane_threaded_ibmq.execution import remote
from pennylane_threaded_ibmq.execution.budget import Budget, Spending
from pennylane_threaded_ibmq.execution.durations import CIRCUIT_SECS, Durations
from pennylane_threaded_ibmq.execution.usage import Estimate, Mitigation, mitigation
from pennylane_threaded_ibmq.executors import IBMQExecutor, qelectron
from pennylane_threaded_ibmq.loopback import Fault
from pennylane_threaded_ibmq.store.ledger import Ledger

PLAIN = {"resilience_level": 0}


def ladder(count, shots=1000, layers=1):
    return [
        qml.tape.QuantumScript(
            [op for _ in range(layers) for op in (qml.RY(angle, 0), qml.CNOT([0, 1]))],
            [qml.expval(qml.Z(1))],
            shots=shots,
        )
        for angle in np.linspace(0.1, np.pi, count)
    ]


# ---------------------------------------------------------------------------------------------------------- estimates


def test_the_length_of_a_circuit_is_that_of_its_target(loopback, device):
    """IBM's formula with the durations of the target, as Qiskit adds them up."""
    loopback()
    dev = device(primitive="sampler")
    place = dev._open()
    found = dev.estimate(ladder(3, layers=50))
    (shard,) = dev._plan(tuple(ladder(3, layers=50))).shards
    (block,) = shard.blocks
    (setting,) = block.settings
    circuit = block.template.sampler_circuit(setting).circuit
    target = place.jobs.backend.target
    length = circuit.assign_parameters(np.zeros(circuit.num_parameters)).estimate_duration(target)
    reset = target["reset"][(0,)].duration
    assert found.qpu_secs == pytest.approx(2 + 3000 * (place.jobs.rep_delay_secs + reset + length), rel=1e-6)
    assert dev.estimate(ladder(3, layers=200)).qpu_secs > found.qpu_secs


def test_branches_and_loops_have_lengths_too(loopback, device):
    loopback()
    backend = device()._open().jobs.backend
    x = backend.target["x"][(0,)].duration
    circuit = QuantumCircuit(2, 1)
    with circuit.for_loop(range(5)):
        circuit.x(0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(0)
        circuit.x(0)
    with otherwise:
        circuit.x(0)
    circuit.delay(100, 1, unit="ns")
    assert x > 0
    assert Durations(backend).circuit_secs(circuit) == pytest.approx(max(7 * x, 100e-9))


def test_a_backend_without_durations_has_ibms_upper_figure():
    assert Durations(None).circuit_secs(QuantumCircuit(1)) == CIRCUIT_SECS


@pytest.mark.parametrize(
    ("primitive", "options", "expected"),
    [
        ("sampler", {}, Mitigation()),
        ("estimator", PLAIN, Mitigation()),
        ("estimator", {}, Mitigation(twirled=True, calibrations=32)),
        (
            "estimator",
            {**PLAIN, "resilience": {"pec_mitigation": True, "pec": {"max_overhead": 7}}},
            Mitigation(overhead=7.0, learned=4 * 6 * 32 * 128 * 9),
        ),
        (
            "estimator",
            {
                **PLAIN,
                "resilience": {"zne_mitigation": True, "zne": {"amplifier": "pea", "noise_factors": [1, 2]}},
            },
            Mitigation(factors=(1.0, 2.0), learned=4 * 6 * 32 * 128 * 9),
        ),
        (
            "sampler",
            {"twirling": {"enable_gates": True, "num_randomizations": 10}},
            Mitigation(twirled=True, randomizations=10),
        ),
    ],
)
def test_what_options_add(primitive, options, expected):
    assert mitigation(primitive, options) == expected


@pytest.mark.parametrize(
    ("many", "each", "wanted", "shots"),
    [
        (None, None, 1, 64),
        (None, None, 1000, 1024),
        (None, None, 5000, 5024),
        (10, None, 95, 100),
        (None, 30, 100, 120),
        (3, 5, 1000, 15),
    ],
)
def test_twirled_shots_are_rounded_up(many, each, wanted, shots):
    assert Mitigation(twirled=True, randomizations=many, shots_each=each).shots(wanted) == shots


def test_a_repetition_delay_is_counted(loopback, device):
    loopback()
    short = device(primitive_options={"estimator": {**PLAIN, "execution": {"rep_delay": 1e-4}}})
    long = device(primitive_options={"estimator": {**PLAIN, "execution": {"rep_delay": 4e-4}}})
    first, second = (dev.estimate(ladder(2)) for dev in (short, long))
    assert second.qpu_secs - first.qpu_secs == pytest.approx(2000 * 3e-4)


# ------------------------------------------------------------------------------------------------------------- limits


def test_a_job_that_failed_is_not_sent_again_beyond_the_limit(loopback, device):
    service = loopback()
    service.inject(
        Fault(effect="job", on="POST /jobs$", reason="Internal error.", reason_code=9999, times=None)
    )
    dev = device(max_usage_secs=5, **PLAIN)  # a job is estimated to take 2.3 s
    with pytest.raises(UsageLimitError, match="one more job"):
        dev.batch_execute(ladder(1))
    assert service.counters.jobs == 2
    with pytest.raises(JobFailedError):
        device(max_usage_secs=50, **PLAIN).batch_execute(ladder(1))


def test_calls_that_are_sent_together_are_not_split_to_pass_a_limit(loopback, tmp_path):
    service = loopback()
    executor = IBMQExecutor(backend="ibm_manila", max_usage_secs=3.0, journal=tmp_path / "j", shots=2000)

    @qml.qnode(qml.device("default.qubit", wires=1))
    def circuit(x):
        qml.RY(x, 0)
        return qml.expval(qml.Z(0))

    later = qelectron(circuit, executors=executor)
    with recording_lock():  # nothing is sent meanwhile
        futures = [later.run_later(0.1 * i) for i in range(10)]
    for future in futures:
        with pytest.raises(UsageLimitError):
            future.result(60)
    assert service.counters.jobs == 0
    executor.close()


def test_collecting_is_never_refused(loopback, device):
    service = loopback()
    handle = device(**PLAIN).submit(ladder(4))
    handle.result(60)
    dev = device(max_usage_secs=0.1, budget_secs=0.1, **PLAIN)
    assert len(dev.resume(handle.batch_id, send=False).result(60)) == 4
    assert len(dev.resume(handle.batch_id).result(60)) == 4  # nothing has to be sent
    service.inject(Fault(effect="job", on="POST /jobs$", reason="No."))
    with pytest.raises(JobFailedError):
        device(**PLAIN).batch_execute(ladder(3))
    failed = dev.batches()[0].id
    with pytest.raises(SubmissionError, match="send=False"):
        dev.resume(failed, send=False).result(60)
    with pytest.raises(UsageLimitError):
        dev.resume(failed)
    assert service.counters.jobs == 2


@pytest.mark.parametrize("chosen", [None, 3, 600])
def test_a_job_is_stopped_by_its_estimate(loopback, device, chosen):
    service = loopback()
    dev = (
        device(max_overrun=2, max_execution_time=chosen, shard_size=2, **PLAIN)
        if chosen
        else device(max_overrun=2, shard_size=2, **PLAIN)
    )
    found = dev.estimate(ladder(3))
    dev.batch_execute(ladder(3))
    wanted = [int(np.ceil(2 * secs)) for secs in found.secs_by_job]
    assert sorted(job.cost for job in service.jobs) == sorted(min(secs, chosen or secs) for secs in wanted)
    assert len(set(wanted)) == 2


# ------------------------------------------------------------------------------------------------------------ budgets


def test_a_device_spends_no_more_than_its_budget(loopback, device):
    service = loopback()
    dev = device(budget_secs=5, **PLAIN)  # 2.3 s a batch
    for _ in range(2):
        dev.batch_execute(ladder(1))
    with pytest.raises(UsageLimitError, match=r"budget_secs=5: .*after 4\.\d s of this device before"):
        dev.batch_execute(ladder(1))
    assert service.counters.jobs == 2


def test_an_executor_keeps_its_budget_when_wires_are_added(loopback, tmp_path):
    service = loopback()
    executor = IBMQExecutor(backend="ibm_manila", budget_secs=5.5, journal=tmp_path / "j", shots=500)

    def tape(wire):
        return qml.tape.QuantumScript([qml.RY(0.3, wire)], [qml.expval(qml.Z(wire))], shots=500)

    for wire in ("a", "b"):
        executor.batch_get_results(executor.batch_submit([tape(wire)]))
    with pytest.raises(UsageLimitError, match="budget_secs"):
        executor.batch_get_results(executor.batch_submit([tape("c")]))
    assert service.counters.jobs == 2
    executor.close()


def test_an_instance_has_a_budget_for_all_programs(loopback, device, tmp_path):
    service = loopback()
    path, instance = tmp_path / "journal.sqlite", service.config.instances[0].crn

    def command(*arguments):
        ran = CliRunner().invoke(main, ["budget", "--journal", str(path), "--json", *arguments])
        assert ran.exit_code == 0, ran.output
        return json.loads(ran.output)

    assert command("--instance", instance, "--secs", "5") == [
        {"instance": instance, "secs": 5.0, "days": 28.0, "spent": 0.0}
    ]
    handle = device(**PLAIN).submit(ladder(1))
    handle.result(60)
    (after,) = command()
    assert 2 < after["spent"] < 3
    charged = handle.usage_secs
    assert command()[0]["spent"] == pytest.approx(charged)
    device(**PLAIN).batch_execute(ladder(1))  # another device, as another program
    with pytest.raises(UsageLimitError, match=r"budget of instance .*threaded-ibmq budget"):
        device(**PLAIN).batch_execute(ladder(1))
    assert service.counters.jobs == 2
    command("--instance", instance, "--secs", "60", "--days", "1")
    assert (command("--instance", instance), command("--instance", "another")) == (command(), [])
    device(**PLAIN).batch_execute(ladder(1))
    assert command("--instance", instance, "--off") == []
    device(**PLAIN).batch_execute(ladder(1))
    assert service.counters.jobs == 4


def _spend(path, done):
    ledger = Ledger(path)
    for i in range(25):
        try:
            ledger.spend("crn", f"{multiprocessing.current_process().pid}-{i}", 1.0, "a job")
        except UsageLimitError:
            continue
    done.put(True)


def test_programs_at_once_spend_a_budget_once(tmp_path):
    ledger = Ledger(tmp_path / "j")
    ledger.set("crn", 40.0, 1.0)
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    children = [context.Process(target=_spend, args=(tmp_path / "j", done)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        assert done.get(timeout=120)
        child.join(60)
    assert ledger.budgets()[0].spent == 40.0


def one_job(secs):
    return Estimate(1, 1, 1, secs, None, "a formula", (secs,))


def test_what_a_device_may_not_spend_is_not_spent_of_its_instance(tmp_path):
    """Another batch of the device spends at the same moment, and one of the two is refused."""
    ledger, budget = Ledger(tmp_path / "j"), Budget("budget_secs", 10.0, "this device")
    ledger.set("crn", 100.0, 1.0)
    other = Spending([budget], ledger, "crn", one_job(6.0))
    refused = []

    class Meanwhile(Ledger):
        def spend(self, *arguments):
            try:
                other.spend(0, "other")
            except UsageLimitError as error:
                refused.append(error)
            super().spend(*arguments)

    own = Spending([budget], Meanwhile(tmp_path / "j"), "crn", one_job(6.0))
    try:
        own.spend(0, "own")
    except UsageLimitError as error:
        refused.append(error)
    assert len(refused) == 1
    assert budget.spent == ledger.budgets()[0].spent == 6.0


def test_what_an_instance_may_not_spend_is_not_spent_of_a_device(tmp_path):
    ledger, budget = Ledger(tmp_path / "j"), Budget("budget_secs", 10.0, "this device")
    ledger.set("crn", 5.0, 1.0)
    with pytest.raises(UsageLimitError, match="budget of instance"):
        Spending([budget], ledger, "crn", one_job(6.0)).spend(0, "tag")
    assert budget.spent == ledger.budgets()[0].spent == 0.0


def test_an_estimate_that_is_no_number_is_within_no_budget(tmp_path):
    ledger, budget = Ledger(tmp_path / "j"), Budget("budget_secs", 10.0, "this device")
    ledger.set("crn", 5.0, 1.0)
    with pytest.raises(UsageLimitError, match="budget_secs=10"):
        Spending([budget], None, "crn", one_job(math.nan)).check([0])
    with pytest.raises(UsageLimitError, match="budget of instance"):
        ledger.check("crn", math.nan, "this batch")


def test_a_budget_command_says_what_is_missing(tmp_path):
    for arguments in (["--secs", "5"], ["--instance", "x", "--secs", "5", "--off"]):
        ran = CliRunner().invoke(main, ["budget", "--journal", str(tmp_path / "j"), *arguments])
        assert ran.exit_code == 2, ran.output
    ran = CliRunner().invoke(main, ["budget", "--journal", str(tmp_path / "j")])
    assert "No instance has a budget." in ran.output
    assert not (tmp_path / "j").exists()


# ------------------------------------------------------------------------------------------ the limit of the instance


LIMIT = {
    "effect": "status",
    "status": 409,
    "on": "POST /jobs",
    "message": "Usage exceeds the instance limit.",
}


@pytest.mark.parametrize("on_usage_limit", ["refuse", "wait"])
def test_at_the_limit_of_the_instance_what_was_not_sent_waits_or_is_refused(
    loopback, device, monkeypatch, caplog, on_usage_limit
):
    monkeypatch.setattr(remote, "USAGE_SECS", 0.05)
    service = loopback()
    crn = service.config.instances[0].crn
    dev = device(shard_size=1, max_jobs=1, on_usage_limit=on_usage_limit)
    service.inject(Fault(**LIMIT, skip=1, times=3 if on_usage_limit == "wait" else 2))
    handle = dev.submit(ladder(3))
    if on_usage_limit == "wait":
        assert len(handle.result(120)) == 3
        said = [record.getMessage() for record in caplog.records if "usage limit" in record.getMessage()]
        assert len(said) == 1
        assert crn in said[0]
    else:
        with pytest.raises(ShardFailedError, match="2 of 3 jobs gave no result") as caught:
            handle.result(120)
        error = caught.value.errors[1]
        assert isinstance(error, SubmissionError)
        assert error.status_code == 409
        for text in (crn, "quantum.cloud.ibm.com/instances/crn%3A", handle.batch_id, "on_usage_limit='wait'"):
            assert text in str(error)
        assert service.counters.jobs == 1
        # nothing is lost: once there is time, what is missing is sent
        assert len(dev.resume(handle.batch_id).result(120)) == 3
    assert service.counters.jobs == 3
    assert dev.batches(1)[0].open is False


def test_waiting_for_more_usage_ends_when_nobody_wants_it(loopback, device, caplog):
    service = loopback(usage_limit_secs=0.5)
    dev = device(on_usage_limit="wait")
    dev.batch_execute(ladder(1))
    handle = dev.submit(ladder(2))
    service.wait_for_requests("POST /jobs", 2)
    with pytest.raises(WaitTimeoutError, match=handle.batch_id):
        handle.result(0.1)
    journal = dev._journal()
    while journal.batch(handle.batch_id).shards[0].state != "planned":
        assert not handle.done()
    handle.cancel()
    assert isinstance(handle.exception(60), JobCancelledError)
    assert service.counters.jobs == 1
    assert "usage limit" in caplog.text
