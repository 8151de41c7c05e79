"""The life of a job: queued, running, finished."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal

from .config import LoopbackConfig
from .faults import Fault
from .jobs import Ending, JobStore, SessionStore
from .machines import OVERHEAD_SECS, Output
from .records import JobRecord, JobStatus, SessionRecord
from .responses import JobRefusedError

if TYPE_CHECKING:
    from typing_extensions import TypeAlias


logger = logging.getLogger(__name__)

Stage = Literal["queued", "running", "usage"]
Execute: TypeAlias = "Callable[[str, str, Mapping[str, Any]], Output]"


class Scheduler:
    """Moves jobs along, each in a task of its own. Owned by the event loop.

    Jobs of one backend start in the order of their submission and run side by side in its slots. What they compute is
    done by ``pool``, one after the other.
    """

    def __init__(
        self,
        config: LoopbackConfig,
        jobs: JobStore,
        sessions: SessionStore,
        change: Change,
        execute: Execute,
        pool: Executor,
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._sessions = sessions
        self._change = change
        self._execute = execute
        self._pool = pool
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.paused: set[str] = set()
        """Names of the backends whose jobs stay queued."""
        self._reckonings: set[asyncio.Task[None]] = set()
        self.gates: dict[Stage, Gate] = {"queued": Gate(), "running": Gate(), "usage": Gate()}

    def submit(self, job: JobRecord, forced_outcome: Fault | None) -> None:
        """Set a job on its way.

        Args:
            job: A queued job that is in the store.
            forced_outcome: How it is to end in place of being computed; ``None`` for its natural end.
        """
        task = asyncio.get_running_loop().create_task(self._live(job, forced_outcome))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        self._change.notify()

    def cancel(self, job: JobRecord) -> bool:
        """Cancel a queued or running job. One that runs is charged for its overhead, one that is queued is not.

        Returns:
            Whether it could be: a finished job cannot.
        """
        if job.status.final:
            return False
        running = job.status is JobStatus.RUNNING
        self._end(job.id, Ending(status=JobStatus.CANCELLED, usage_secs=OVERHEAD_SECS if running else 0.0))
        return True

    def limit(self, session: SessionRecord) -> None:
        """End a new session when its time is up: it takes no more jobs, and those that are still queued fail."""
        asyncio.get_running_loop().call_later(session.max_ttl, self._time_is_up, session)

    async def stop(self) -> None:
        """Drop all jobs where they are."""
        tasks = [*self._tasks.values(), *self._reckonings]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, job: JobRecord, forced_outcome: Fault | None) -> None:
        await asyncio.sleep(self._config.queue_secs)
        await self.gates["queued"].passage()
        await self._change.until(lambda: job.backend not in self.paused)
        slots = self._slots.setdefault(job.backend, asyncio.Semaphore(self._config.slots))
        async with slots:
            self._sessions.job_started(self._jobs.start(job.id))
            self._change.notify()
            loop = asyncio.get_running_loop()
            start = loop.time()
            ending = await self._compute(job) if forced_outcome is None else _forced_ending(forced_outcome)
            await self.gates["running"].passage()
            duration = self._config.job_secs + self._config.circuit_secs * ending.rows
            limit = duration if job.cost is None else min(job.cost, duration)
            await asyncio.sleep(start + limit - loop.time())
            if limit < duration:
                ending = _ran_too_long(job)
            self._finish(job.id, ending)

    def _time_is_up(self, session: SessionRecord) -> None:
        self._sessions.close(session.id)
        for job in self._sessions.queued_in(session.id):
            self._end(job.id, _session_over(session))

    def _end(self, job_id: str, ending: Ending) -> None:
        task = self._tasks.get(job_id)
        if task is not None:
            task.cancel()
        self._finish(job_id, ending)

    def _finish(self, job_id: str, ending: Ending) -> None:
        self._sessions.job_finished(self._jobs.finish(job_id, ending))
        self._change.notify()
        if self._config.usage_delay_secs == 0 and not self.gates["usage"].held:
            self._complete_usage(job_id)
            return
        task = asyncio.get_running_loop().create_task(self._reckon(job_id))
        self._reckonings.add(task)
        task.add_done_callback(self._reckonings.discard)

    async def _reckon(self, job_id: str) -> None:
        await asyncio.sleep(self._config.usage_delay_secs)
        await self.gates["usage"].passage()
        self._complete_usage(job_id)

    def _complete_usage(self, job_id: str) -> None:
        if self._jobs.get(job_id) is not None:  # it may have been deleted meanwhile
            self._jobs.update(job_id, usage_complete=True)

    async def _compute(self, job: JobRecord) -> Ending:
        loop = asyncio.get_running_loop()
        params = self._jobs.params(job.id)
        try:
            output = await loop.run_in_executor(
                self._pool, self._execute, job.program_id, job.backend, params
            )
        except JobRefusedError as error:
            return _failed(error.reason, error.code, error.solution)
        except Exception as error:
            logger.exception("job %s could not be computed", job.id)
            return _failed(f"API Internal error: {error}", 1000, "Retry the action.")
        return Ending(
            status=JobStatus.COMPLETED,
            text=output.text,
            rows=output.rows,
            shots=output.shots,
            usage_secs=output.usage_secs,
        )


def _unsuccessful(
    status: JobStatus, reason: str | None, code: int | None, solution: str | None, usage_secs: float = 0.0
) -> Ending:
    return Ending(
        status=status,
        text=reason,
        reason=reason,
        reason_code=code,
        reason_solution=solution,
        usage_secs=usage_secs,
    )


def _failed(reason: str, code: int, solution: str) -> Ending:
    return _unsuccessful(JobStatus.FAILED, reason, code, solution)


def _forced_ending(fault: Fault) -> Ending:
    return _unsuccessful(
        JobStatus(fault.job_status),
        fault.reason,
        fault.reason_code,
        fault.reason_solution,
        fault.usage_secs,
    )


def _session_over(session: SessionRecord) -> Ending:
    return _failed(
        f"Session {session.id} has reached its maximum time of {session.max_ttl} s.",
        1217,
        "Open a new session.",
    )


def _ran_too_long(job: JobRecord) -> Ending:
    return _unsuccessful(
        JobStatus.CANCELLED,
        f"Job {job.id} ran longer than its maximum execution time of {job.cost} s.",
        1305,
        "Raise max_execution_time.",
        float(job.cost or 0),
    )


class Change:
    """Wakes everybody who waits for a condition each time something changed. Owned by the event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Say that something changed."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return as soon as a condition holds; it is looked at now and after each change."""
        while not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                await future
            finally:
                self._waiting.discard(future)


class Gate:
    """A door that jobs pass in order: open, held, or held but for a number of them. Owned by the event loop."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def held(self) -> bool:
        """Whether the door is closed."""
        return self._held

    def hold(self) -> None:
        """Close the door."""
        self._held = True

    def release(self, count: int | None = None) -> int:
        """Let jobs through.

        Args:
            count: How many of those waiting, first come first served; the door stays closed. ``None`` opens it.

        Returns:
            How many were let through.
        """
        if count is None:
            self._held = False
        number = 0
        while self._waiting and (count is None or number < count):
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                number += 1
        return number

    async def passage(self) -> None:
        """Wait until the door lets this caller through."""
        if not self._held:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future
