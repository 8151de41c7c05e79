"""Run local shards on an engine of the user's: the rows of a shard are spread over its workers.

A batch is cut as it is on this machine, and seeds are drawn alike, so results do not depend on the engine or on the
number of its workers.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from math import ceil
from typing import Any

from .._compat import zip_strict
from ..circuits.decode import BlockResult
from ..exceptions import ConfigurationError, JobFailedError
from ..simulators.local import LocalBackend
from ..store.records import ShardState
from .chunks import BackendSpec, Chunk, pack, run_chunk
from .engine import Engine
from .local import LocalRunner, make_chunks, read_chunks
from .runner import ShardRun

logger = logging.getLogger(__name__)

PIECES_PER_WORKER = 2
"""More even out workers of different speed; each costs a message."""

LOOK_SECS = 0.25
"""Seconds between two looks of a waiting lane whether its batch was cancelled."""


class EngineRunner(LocalRunner):
    """An engine of the user's.

    Args:
        backend: What simulates.
        spec: The same, as it can be sent.
        engine: Where.
        seeded: Seeds of the simulator come from the shard's random numbers.

    Raises:
        ConfigurationError: The backend or its noise model cannot be sent.
    """

    def __init__(self, backend: LocalBackend, spec: BackendSpec, engine: Engine, *, seeded: bool) -> None:
        super().__init__(backend, seeded=seeded)
        self._engine = engine
        self._rescue = threading.Lock()
        try:
            self._spec = pickle.dumps(spec)
        except Exception as error:
            raise ConfigurationError(
                f"engine: backend {backend.name!r} cannot be sent to workers: {error} Give it by its name. "
                "Nothing was sent.",
                argument="engine",
            ) from error

    def run(self, run: ShardRun, _lane: Any = None) -> list[BlockResult]:
        """Run one shard on the workers."""
        run.refuse_given_up()
        run.report(ShardState.RUNNING)
        wholes = make_chunks(run.requests, run.rng, seeded=self._seeded)
        most = self._most_chunks(run.scope.shards) if self.backend.is_aer else 1
        total = sum(whole.cost for whole in wholes)
        cuts = [whole.cut(ceil(most * whole.cost / total)) for whole in wholes]
        results = iter(self._run_all(run, [chunk for chunks, _ in cuts for chunk in chunks]))
        joined = [
            whole.join([next(results) for _ in chunks], places)
            for whole, (chunks, places) in zip_strict(wholes, cuts)
        ]
        return read_chunks(run.requests, joined, run.rng)

    def close(self) -> None:
        """Release the engine, which runs on."""
        self._engine.close()

    def _most_chunks(self, shards: int) -> int:
        """Most chunks into which each shard of a batch is cut."""
        return max(1, -(-PIECES_PER_WORKER * self._engine.workers() // shards))

    def _run_all(self, run: ShardRun, chunks: Sequence[Chunk]) -> list[list[Any]]:
        sent = pack(chunks)
        results: list[Any] = [None] * len(sent)
        lost: list[int] = []
        waiting: dict[Future[Any], int] = {}
        for number, chunk in enumerate(sent):
            future = self._submit(chunk)
            if future is None:
                lost.append(number)
            else:
                waiting[future] = number
        try:
            while waiting:
                run.refuse_given_up()
                for future in wait(waiting, timeout=LOOK_SECS, return_when=FIRST_COMPLETED).done:
                    number = waiting.pop(future)
                    try:
                        results[number] = future.result()
                    except (BrokenExecutor, CancelledError):
                        lost.append(number)
                    except Exception as error:
                        raise _explained(error, self._engine.name) from error
                    done = len(sent) - len(waiting) - len(lost)
                    run.report(ShardState.RUNNING, fraction=min(0.999, done / len(sent)))
        finally:
            for future in waiting:
                future.cancel()
        if lost:
            self._engine.check()
            logger.warning(
                "%s lost its workers; %d of %d chunks of shard %d run again on this machine",
                self._engine.name,
                len(lost),
                len(sent),
                run.spec.number,
                extra=run.facts("running"),
            )
            run.refuse_given_up()
            for number, result in zip_strict(lost, self._run_here([sent[n] for n in lost])):
                results[number] = result
        return results

    def _submit(self, chunk: bytes) -> Future[Any] | None:
        """Hand a chunk to the engine; None if it has lost its workers."""
        try:
            return self._engine.submit(run_chunk, self._spec, chunk)
        except (BrokenExecutor, OSError):
            return None
        except Exception:
            # a pool of processes that breaks while it starts one trips over the pipes that it closes; asked again it says
            # that it is broken, and an engine that refuses the work refuses it again
            logger.debug("%s did not take a chunk; it is asked again", self._engine.name, exc_info=True)
        try:
            return self._engine.submit(run_chunk, self._spec, chunk)
        except BrokenExecutor:
            return None

    def _run_here(self, chunks: list[bytes]) -> list[list[Any]]:
        """Run chunks in a process of its own: what ended a worker must not end this program."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        # one at a time: what ended the workers may be memory
        with self._rescue:
            done = subprocess.run(  # noqa: S603 - this interpreter, a module of ours
                [sys.executable, "-m", f"{__package__}.chunks"],
                input=pickle.dumps((self._spec, chunks)),
                capture_output=True,
                env=environment,
                check=False,
            )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise JobFailedError(
                f"{self._engine.name} lost its workers, and the same work ended a process of this machine too (exit code "
                f"{done.returncode}): {said[-1] if said else 'it said nothing'}. It may need more memory than there is."
            )
        results: list[list[Any]] = pickle.loads(done.stdout)  # noqa: S301 - from our own process
        return results


def _explained(error: Exception, name: str) -> Exception:
    """An error of a worker; one that Dask gave up on after it ended several workers gets its own words."""
    if type(error).__name__ == "KilledWorker":
        return JobFailedError(
            f"{name}: this part of the batch ended several workers one after the other: {error}. It may need more memory "
            "than they have."
        )
    return error
