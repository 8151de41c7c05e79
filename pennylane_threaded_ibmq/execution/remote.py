"""Run shards as jobs of IBM Quantum Platform."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import numpy as np

from ..exceptions import ResultError
from ..ibm.jobs import Jobs, SentJob
from .batch import ShardRun, refuse_cancelled
from .decode import BlockResult
from .outcomes import ShotBits
from .pubs import Pub, Request, collect
from .watcher import Watcher


class RemoteSite:
    """One backend of a service.

    Args:
        jobs: Jobs on the backend.
        wires: Wires of the device, for the inner devices.
        session: An open session of the user's, or ``None``.
    """

    def __init__(self, jobs: Jobs, wires: Sequence[Any], session: Any = None) -> None:
        self._jobs = jobs
        self._wires = wires
        self._session = session
        self._tag = f"threaded-ibmq-{uuid4().hex[:12]}"
        self.watcher = Watcher(jobs, self._tag)

    def open_inner(self) -> Any:
        """A lane's own ``qiskit.remote``; jobs are opened in its session or on its backend."""
        import pennylane as qml

        return qml.device(
            "qiskit.remote", wires=self._wires, backend=self._jobs.backend, session=self._session
        )

    def start(self, shards: int) -> SharedBatch:
        """The Batch context that the jobs of one batch of tapes share."""
        return SharedBatch(self._jobs, shards if self._session is None else 0)

    def run(self, run: ShardRun, inner: Any, shared: SharedBatch) -> list[BlockResult]:
        """Send one shard, wait for its job and fetch the result."""
        with shared.sending() as batch:
            refuse_cancelled(run)
            primitive = run.shard.blocks[0].primitive
            mode = batch or inner.session or inner.backend
            tags = (self._tag, f"{self._tag}-{uuid4().hex[:12]}")
            run.job = job = self._jobs.submit(primitive, primitive_pubs(run.requests), mode, tags)
        if run.cancelled.is_set():
            self._jobs.cancel(job)
        state = self.watcher.follow(job).result()
        return read_results(run.requests, self._jobs.fetch(job, state), job, run.rng)

    def cancel(self, run: ShardRun) -> None:
        """Cancel the job of a shard."""
        if run.job is not None:
            self._jobs.cancel(run.job)


class SharedBatch:
    """IBM's Batch context for several jobs: opened before the first is sent, closed after the last.

    Args:
        jobs: Jobs on the backend.
        shards: How many jobs there will be; fewer than two need no context.
    """

    def __init__(self, jobs: Jobs, shards: int) -> None:
        self._jobs = jobs
        self._left = shards
        self._wanted = shards > 1
        self._batch: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def sending(self) -> Iterator[Any]:
        """Around the sending of each shard, also of one that is given up: gives the context, or ``None``."""
        with self._lock:
            if self._wanted:
                self._batch, self._wanted = self._jobs.open_batch(), False
        try:
            yield self._batch
        finally:
            with self._lock:
                self._left -= 1
                if self._left == 0 and self._batch is not None:
                    self._jobs.close_batch(self._batch)


def primitive_pubs(requests: Sequence[Request]) -> list[tuple[Any, ...]]:
    """PUBs in the form that IBM's primitives take."""
    return [_as_tuple(pub) for request in requests for pub in request.pubs]


def _as_tuple(pub: Pub) -> tuple[Any, ...]:
    # values are always two-dimensional: N rows without parameters are N independent samples, not one
    if pub.observables:
        return (pub.circuit, [[o] for o in pub.observables], pub.values, pub.precision)
    return (pub.circuit, pub.values, pub.shots)


def read_results(
    requests: Sequence[Request], results: Sequence[Any], job: SentJob, rng: np.random.Generator
) -> list[BlockResult]:
    """Check the results of a job's PUBs and put them together by block.

    Raises:
        ResultError: A result does not have the shape that was asked for.
    """
    out, start = [], 0
    for request in requests:
        mine = results[start : start + len(request.pubs)]
        start += len(request.pubs)
        read = [_read(pub, result, job) for pub, result in zip(request.pubs, mine, strict=True)]
        out.append(collect(request, read, rng))
    return out


def _read(pub: Pub, result: Any, job: SentJob) -> Any:
    rows = len(pub.values)
    if pub.observables:
        values = np.asarray(getattr(result.data, "evs", None), dtype=np.float64)
        _check_shape(values.shape, (len(pub.observables), rows), job)
        return values
    packed = np.asarray(getattr(getattr(result.data, "c", None), "array", None))
    _check_shape(packed.shape[:-1], (rows, pub.shots), job)
    return ShotBits(packed.astype(np.uint8, copy=False))


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...], job: SentJob) -> None:
    if shape != wanted:
        raise ResultError(
            f"Job {job.job_id}: a PUB's result has shape {shape} instead of {wanted}.", job_ids=[job.job_id]
        )
