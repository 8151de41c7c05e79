"""What a test or an operator may ask of the service: the same from within the process and from another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from .faults import Fault
from .platform import BackendState, Platform
from .scheduler import Stage

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

Command: TypeAlias = "Callable[..., Awaitable[Any]]"


class Control:
    """Carries out commands. Arguments and answers are JSON values. Owned by the event loop.

    Args:
        platform: The service's state.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._commands: Mapping[str, Command] = {
            "counters": self._counters,
            "reset_counters": self._reset_counters,
            "jobs": self._jobs,
            "sessions": self._sessions,
            "inject": self._inject,
            "clear_faults": self._clear_faults,
            "expire_logins": self._expire_logins,
            "set_backend": self._set_backend,
            "hold": self._hold,
            "release": self._release,
            "wait_for_jobs": self._wait_for_jobs,
            "wait_for_requests": self._wait_for_requests,
        }

    async def run(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Carry out a command.

        Args:
            command: Its name.
            arguments: Its arguments by name.

        Returns:
            Its answer.

        Raises:
            KeyError: There is no such command.
            TimeoutError: What was waited for did not happen in time.
        """
        return await self._commands[command](**arguments)

    async def _counters(self) -> dict[str, Any]:
        return self._platform.tally.snapshot().model_dump(mode="json")

    async def _reset_counters(self) -> None:
        self._platform.tally.reset()

    async def _jobs(self) -> list[dict[str, Any]]:
        return [job.model_dump(mode="json") for job in self._platform.jobs]

    async def _sessions(self) -> list[dict[str, Any]]:
        return [session.model_dump(mode="json") for session in self._platform.sessions]

    async def _inject(self, fault: Mapping[str, Any]) -> None:
        self._platform.faults.inject(Fault.model_validate(fault))

    async def _clear_faults(self) -> None:
        self._platform.clear_faults()

    async def _expire_logins(self) -> None:
        self._platform.issuer.revoke()

    async def _set_backend(self, name: str, state: BackendState) -> None:
        self._platform.set_backend(name, state)

    async def _hold(self, stage: Stage) -> None:
        self._platform.scheduler.gates[stage].hold()

    async def _release(self, stage: Stage, count: int | None) -> int:
        return self._platform.scheduler.gates[stage].release(count)

    async def _wait_for_jobs(
        self, status: str | None, count: int, timeout_secs: float
    ) -> list[dict[str, Any]]:
        jobs = self._platform.jobs

        def found() -> list[dict[str, Any]]:
            return [
                job.model_dump(mode="json")
                for job in jobs
                if (job.status.final if status is None else job.status.value == status)
            ]

        await self._until(lambda: len(found()) >= count, timeout_secs)
        return found()

    async def _wait_for_requests(self, label: str, count: int, timeout_secs: float) -> int:
        tally = self._platform.tally
        await self._until(lambda: tally.seen(label) >= count, timeout_secs)
        return tally.seen(label)

    async def _until(self, happened: Callable[[], bool], timeout_secs: float) -> None:
        try:
            await asyncio.wait_for(self._platform.change.until(happened), timeout_secs)
        except asyncio.TimeoutError:
            # before Python 3.11 that is another class than the built-in one
            raise TimeoutError from None
