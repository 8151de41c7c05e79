"""Everything behind the HTTP interface: backends, jobs, sessions, the programs, and what an operator may ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Literal

from .admission import Issuer
from .classic_programs import classic_programs
from .config import LoopbackConfig
from .faults import Fault, FaultPlan
from .jobs import JobStore, SessionStore
from .machines import ClassicMachine, Machine, Output, Program, load_machines
from .records import Tally
from .scheduler import Change, Scheduler, Stage
from .simulate import Engine

BackendState = Literal["online", "paused", "retired"]


class Platform:
    """The state of one service. Made and owned by its event loop: nothing else may touch it.

    Args:
        config: What it pretends to be.
        pool: Where jobs are computed.
    """

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
        self.sessions = SessionStore(config.keep_jobs)
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

        Args:
            name: Its name.
            state: The state.

        Raises:
            ValueError: There is no such backend.
        """
        if name not in self.machines:
            raise ValueError(f"there is no backend {name!r}; there are {', '.join(self.machines)}")
        for known, names in (("paused", self.scheduler.paused), ("retired", self._retired)):
            (names.add if state == known else names.discard)(name)
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
    """Carries out commands: each public method but :meth:`run` is one. Arguments and answers are JSON values.

    Owned by the event loop.

    Args:
        platform: The service's state.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

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
        if command.startswith("_") or command == "run":
            raise KeyError(command)
        return await vars(Control)[command](self, **arguments)

    async def counters(self) -> dict[str, Any]:
        """Counts of what has happened so far."""
        return self._platform.tally.snapshot().model_dump(mode="json")

    async def reset_counters(self) -> None:
        """Count from zero again."""
        self._platform.tally.reset()

    async def jobs(self) -> list[dict[str, Any]]:
        """The jobs, oldest first."""
        return [job.model_dump(mode="json") for job in self._platform.jobs]

    async def sessions(self) -> list[dict[str, Any]]:
        """The sessions and batches, oldest first."""
        return [session.model_dump(mode="json") for session in self._platform.sessions]

    async def inject(self, fault: Mapping[str, Any]) -> None:
        """Put a fault in force."""
        self._platform.faults.inject(Fault.model_validate(fault))

    async def clear_faults(self) -> None:
        """Take all faults out of force."""
        self._platform.clear_faults()

    async def expire_logins(self) -> None:
        """Make all access tokens worthless."""
        self._platform.issuer.revoke()

    async def set_backend(self, name: str, state: BackendState) -> None:
        """Put a backend into a state."""
        self._platform.set_backend(name, state)

    async def hold(self, stage: Stage) -> None:
        """Keep jobs from leaving a state."""
        self._platform.scheduler.gates[stage].hold()

    async def release(self, stage: Stage, count: int | None) -> int:
        """Let jobs go on."""
        return self._platform.scheduler.gates[stage].release(count)

    async def wait_for_jobs(
        self, status: str | None, count: int, timeout_secs: float
    ) -> list[dict[str, Any]]:
        """Wait until jobs are in a state."""
        jobs = self._platform.jobs

        def found() -> list[dict[str, Any]]:
            return [
                job.model_dump(mode="json")
                for job in jobs
                if (job.status.final if status is None else job.status.value == status)
            ]

        await self._until(lambda: len(found()) >= count, timeout_secs)
        return found()

    async def wait_for_requests(self, label: str, count: int, timeout_secs: float) -> int:
        """Wait until requests have arrived."""
        tally = self._platform.tally
        await self._until(lambda: tally.seen(label) >= count, timeout_secs)
        return tally.seen(label)

    async def _until(self, happened: Callable[[], bool], timeout_secs: float) -> None:
        try:
            await asyncio.wait_for(self._platform.change.until(happened), timeout_secs)
        except asyncio.TimeoutError:
            # before Python 3.11 that is another class than the built-in one
            raise TimeoutError from None


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
        classic = classic_programs(self._engine)
        primitives: dict[str, Program] = {}
        if serves_platform():
            from .primitives import primitive_programs

            primitives = primitive_programs(self._engine)
        if serves_executor():
            from .executor import executor_programs

            primitives.update(executor_programs(self._engine))
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
        output = self._programs[program_id](machine, params)
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
