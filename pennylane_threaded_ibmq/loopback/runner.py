"""Runs jobs: finds the program, and the engine that simulates the backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .classic_programs import classic_programs
from .programs import Output, Program
from .simulate import Engine
from .snapshots import Machine
from .stack import serves_executor, serves_platform


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
