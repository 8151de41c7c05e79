"""What a typed program may rely on; mypy reads this in strict mode, and nothing runs it."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any, assert_type

from pennylane_threaded_ibmq import Progress, ThreadedIBMQDevice, __version__
from pennylane_threaded_ibmq.device.gather import CallHandle
from pennylane_threaded_ibmq.device.handle import BatchHandle
from pennylane_threaded_ibmq.exceptions import (
    BackendError,
    ConfigurationError,
    ShardFailedError,
    ThreadedIBMQError,
    WaitTimeoutError,
)
from pennylane_threaded_ibmq.execution.usage import Estimate
from pennylane_threaded_ibmq.loopback import (
    Counters,
    Fault,
    JobRecord,
    LoopbackConfig,
    LoopbackProcess,
    LoopbackService,
    fault_mix,
)
from pennylane_threaded_ibmq.settings import Settings, load_settings
from pennylane_threaded_ibmq.store.archive import CallRecord
from pennylane_threaded_ibmq.store.records import BatchRecord, ShardRecord, ShardState, Step

assert_type(__version__, str)


def device(tapes: list[Any]) -> None:
    ThreadedIBMQDevice(
        ["a", "b"],
        [100, (200, 2)],
        backend="ibm_torino",
        instance="crn",
        shard_size="auto",
        primitive="estimator",
        progress=lambda progress: print(progress.done),
        journal=Path("journal.sqlite"),
        timeout_secs=60,
        resilience_level=2,
        optimization_level=3,
        engine="tcp://host:8786",
    ).close()
    with ThreadedIBMQDevice(2, 1000, backend="aer_simulator", max_jobs=2) as dev:
        assert_type(dev, ThreadedIBMQDevice)
        assert_type(dev.name, str)
        assert_type(dev.backend_name, str)
        assert_type(dev.transpiles, int)
        found = dev.estimate(tapes)
        assert_type(found, Estimate)
        assert_type(found.qpu_secs, float)
        assert_type(found.left_secs, float | None)
        handle = dev.submit(tapes)
        assert_type(handle, BatchHandle)
        assert_type(handle.job_ids, tuple[str, ...])
        assert_type(handle.done(), bool)
        assert_type(handle.progress, Progress)
        assert_type(handle.progress.qpu_secs, float | None)
        assert_type(handle.usage_secs, float | None)
        with dev.job_tags("night-run"), dev.with_options(job_tags=["vqe"]) as other:
            assert_type(other, ThreadedIBMQDevice)
            other.submit(tapes)
        futures: tuple[Future[Any], ...] = handle.futures
        assert_type(len(futures), int)
        call = dev.submit(tapes, gather=True, record=CallRecord("mine", dev.backend_name))
        assert_type(call, CallHandle)
        assert_type(call.job_ids, tuple[str, ...])
        assert_type(len(call.results(60)), int)
        call.flush()
        call.cancel()
        dev.resume(handle.batch_id, send=False).cancel()
        for batch in dev.batches(limit=3, tags=["vqe"]):
            assert_type(batch, BatchRecord)
            assert_type(batch.tags, tuple[str, ...])
            assert_type(batch.delivered, bool)
            assert_type(batch.shards, tuple[ShardRecord, ...])
            assert_type(batch.shards[0].state, ShardState)
            assert_type(batch.steps, tuple[Step, ...])


def errors() -> None:
    try:
        device([])
    except BackendError as error:
        assert_type(error.argument, str | None)
        base: ConfigurationError = error
        root: ThreadedIBMQError = base
        assert str(root)
    except ShardFailedError as error:
        assert_type(error.tapes, tuple[int, ...])
        assert_type(error.errors, dict[int, BaseException])
    except WaitTimeoutError as error:
        assert_type(error.batch_id, str)


def settings() -> None:
    chosen = load_settings({"backend": "aer_simulator"})
    assert_type(chosen, Settings)
    assert_type(chosen.journal_file, Path | None)


def loopback() -> None:
    config = LoopbackConfig(backends=("ibm_torino",), max_pending=3)
    with LoopbackService(config) as service, service.applied(token="loopback-token"):
        assert_type(service, LoopbackService)
        service.inject(Fault(effect="reset"), *fault_mix(0.05))
        assert_type(service.counters, Counters)
        assert_type(service.jobs, tuple[JobRecord, ...])
    with LoopbackProcess(config) as process:
        assert_type(process.environment(), dict[str, str])
