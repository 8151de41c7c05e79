"""Everything behind the HTTP interface: backends, jobs, sessions, the programs, and what an operator may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from importlib.util import find_spec
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal

from .admission import Issuer
from .classic_programs import circuit_runner
from .config import LoopbackConfig
from .faults import Fault, FaultPlan
from .jobs import JobStore, SessionStore
from .machines import ClassicMachine, Machine, Output, load_machines
from .records import JobRecord, Tally
from .scheduler import Change, Scheduler
from .simulate import Engine

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

BackendState = Literal["online", "paused", "retired"]


class Platform:
    """The state of one service. Made and owned by its event loop: nothing else may touch it."""

    def __init__(self, config: LoopbackConfig, pool: Executor) -> None:
        self.config = config
        self.machines = load_machines(config.snapshots, Machine) if serves_platform() else {}
        self.classic_machines = load_machines(config.classic_snapshots, ClassicMachine)
        self.projects = {project.name: project for project in config.projects}
        self.instances = {instance.crn: instance for instance in config.instances}
        self.issuer = Issuer(config.tokens, config.token_lifetime_secs, any_key=config.any_token)
        self.change = Change()
        self.tally = Tally()
        self.faults = FaultPlan()
        self._stalls_released = asyncio.Event()
        self._retired: set[str] = set()
        self.jobs = JobStore(config, self.tally)
        self.sessions = SessionStore(config.keep_jobs, self.jobs)
        # A name of both faces is checked by the wider of its two descriptions.
        machines = {**self.classic_machines, **self.machines}
        self.runner = Runner(machines, noise=config.noise, seed=config.seed)
        self.scheduler = Scheduler(config, self.jobs, self.sessions, self.change, self.runner.execute, pool)

    @property
    def offered_machines(self) -> Mapping[str, Machine]:
        """The Platform's backends that are not retired."""
        return {name: machine for name, machine in self.machines.items() if name not in self._retired}

    def set_backend(self, name: str, state: BackendState) -> None:
        """Put a backend of the Platform into a state.

        Raises:
            ValueError: There is no such backend.
        """
        if name not in self.machines:
            raise ValueError(f"there is no backend {name!r}; there are {', '.join(self.machines)}")
        for label, names in (("paused", self.scheduler.paused), ("retired", self._retired)):
            (names.add if state == label else names.discard)(name)
        self.change.notify()

    def queue_length(self, backend: str) -> int:
        """Jobs of a backend that are queued or running."""
        return sum(job.backend == backend for job in self.jobs.live())

    def clear_faults(self) -> None:
        """Take all faults out of force and let stalled answers go."""
        self.faults.clear()
        self._stalls_released.set()
        self._stalls_released = asyncio.Event()

    def stalling(self) -> Coroutine[Any, Any, Any]:
        """Waits until the answers that are stalled at the moment of the call are let go."""
        return self._stalls_released.wait()


class Control:
    """Carries out commands. Arguments and answers are JSON values. Owned by the event loop."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        gates = platform.scheduler.gates
        self._commands: dict[str, Callable[..., Any]] = {
            "counters": lambda: platform.tally.snapshot().model_dump(mode="json"),
            "reset_counters": platform.tally.reset,
            "jobs": lambda: [job.model_dump(mode="json") for job in platform.jobs],
            "sessions": lambda: [session.model_dump(mode="json") for session in platform.sessions],
            "inject": lambda fault: platform.faults.inject(Fault.model_validate(fault)),
            "clear_faults": platform.clear_faults,
            "expire_logins": platform.issuer.revoke,
            "set_backend": platform.set_backend,
            "hold": lambda stage: gates[stage].hold(),
            "release": lambda stage, count: gates[stage].release(count),
            "wait_for_jobs": self._wait_for_jobs,
            "wait_for_requests": self._wait_for_requests,
        }

    async def run(self, command: str, arguments: Mapping[str, Any]) -> Any:
        """Carry out a command.

        Raises:
            KeyError: There is no such command.
            TimeoutError: What was waited for did not happen in time.
        """
        answer = self._commands[command](**arguments)
        return await answer if isawaitable(answer) else answer

    async def _wait_for_jobs(
        self, status: str | None, count: int, timeout_secs: float
    ) -> list[dict[str, Any]]:
        def jobs() -> list[JobRecord]:
            every = self._platform.jobs
            return [job for job in every if (job.status.final if status is None else job.status == status)]

        await self._until(lambda: len(jobs()) >= count, timeout_secs)
        return [job.model_dump(mode="json") for job in jobs()]

    async def _wait_for_requests(self, label: str, count: int, timeout_secs: float) -> int:
        tally = self._platform.tally
        await self._until(lambda: tally.requests_of(label) >= count, timeout_secs)
        return tally.requests_of(label)

    async def _until(self, happened: Callable[[], bool], timeout_secs: float) -> None:
        try:
            await asyncio.wait_for(self._platform.change.until(happened), timeout_secs)
        except asyncio.TimeoutError:
            # before Python 3.11 that is another class than the built-in one
            raise TimeoutError from None


Program: TypeAlias = "Callable[[Engine, Mapping[str, Any]], Output]"
"""Runs one job on a backend: ``params`` of the job's body, with its typed values still encoded, to its output.

Raises :class:`.responses.JobRefusedError` if the job's content is not valid or cannot be simulated.
"""


class Runner:
    """Runs jobs on their backends, one at a time.

    One at a time loses nothing: Aer holds Python's interpreter lock while it simulates.

    Args:
        machines: The backends by name.
        noise: Whether to simulate with the errors of their snapshots.
        seed: Makes the results of each row depend on its content alone.
    """

    def __init__(self, machines: Mapping[str, Machine], *, noise: bool, seed: int | None) -> None:
        self._machines = machines
        self._engines: dict[str, Engine] = {}
        self._noise = noise
        self._seed = seed
        classic: dict[str, Program] = {"circuit-runner": circuit_runner, "qasm3-runner": circuit_runner}
        primitives: dict[str, Program] = {}
        if serves_platform():
            from .primitives import estimator, sampler

            primitives.update(sampler=sampler, estimator=estimator)
        if serves_executor():
            from .executor import executor

            primitives.update(executor=executor)
        self.primitives = frozenset(primitives)
        """Ids of the Platform's programs."""
        self.classic = frozenset(classic)
        """Ids of the classic API's programs."""
        self._programs = {**primitives, **classic}

    def execute(self, program_id: str, backend: str, params: Mapping[str, Any]) -> Output:
        """Run one job.

        Args:
            program_id: Id of a program.
            backend: Name of the backend.
            params: ``params`` of the job's body, with its typed values still encoded.

        Returns:
            The results and what they cost.

        Raises:
            JobRefusedError: The job's content is not valid or cannot be simulated.
        """
        machine = self._machines[backend]
        output = self._programs[program_id](self._engine(machine), params)
        return replace(output, free=True) if machine.mock else output

    def _engine(self, machine: Machine) -> Engine:
        if machine.name not in self._engines:
            self._engines[machine.name] = Engine(machine, noise=self._noise, seed=self._seed)
        return self._engines[machine.name]


def serves_platform() -> bool:
    """Whether the Platform's primitives can be served.

    They are made of Qiskit's own containers. A Qiskit that is older than these can serve the classic API alone.
    """
    return all(
        find_spec(name) is not None
        for name in ("qiskit.primitives.containers", "qiskit_ibm_runtime.execution_span")
    )


def serves_executor() -> bool:
    """Whether the program ``executor`` can be served: IBM's client has to be one that can decode its bodies."""
    return serves_platform() and all(
        find_spec(name) is not None
        for name in ("qiskit_ibm_runtime.quantum_program", "ibm_quantum_schemas", "samplomatic")
    )
