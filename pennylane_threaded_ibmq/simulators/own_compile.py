"""Circuits as the user compiles them: by a pass manager of their own, or not at all. What comes of it must fit the backend."""

from __future__ import annotations

import warnings
from collections.abc import Set
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError
from .canonical import NoCanonicalFormError, canonical
from .compile import Compiler
from .targets import foreign_instruction

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

NOT_RECOGNISED = (
    "A program that runs again, or dev.resume, will not recognise the jobs of this device, and pay for them again; their ids are in "
    "the journal and in handle.job_ids."
)


def check_pass_manager(manager: Any) -> None:
    """Refuse what is no pass manager of Qiskit's.

    Raises:
        ConfigurationError: It is none.
    """
    if manager is None:
        return
    from qiskit.transpiler import PassManager

    if not isinstance(manager, PassManager):
        raise ConfigurationError(
            f"pass_manager={manager!r}: a PassManager of qiskit.transpiler is needed, such as generate_preset_pass_manager "
            f"gives, not {type(manager).__name__}. Nothing was sent.",
            argument="pass_manager",
            value=manager,
        )


class OwnCompiler(Compiler):
    """Compiles by the user's pass manager, or takes circuits as they are.

    Args:
        backend: What circuits must fit, or a function that opens it when it is first needed.
        manager: The pass manager; ``None`` to take circuits as they are.
        without: Gates not to use though the backend has them.
        recognised: Jobs are to be recognised by their circuits, so that the same circuit must come out each time.
    """

    def __init__(
        self, backend: Any, manager: Any, *, without: Set[str] = frozenset(), recognised: bool = False
    ) -> None:
        super().__init__(backend, {}, without=without)
        # passes keep state, and the user's object may be in use elsewhere
        self._manager = deepcopy(manager)
        self._second = deepcopy(manager) if recognised else None
        self._argument = "skip_transpilation" if manager is None else "pass_manager"

    def __call__(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Compile one circuit.

        Raises:
            ConfigurationError: What came of it does not fit the backend.
        """
        if self._manager is None:
            compiled = circuit.copy()
        else:
            compiled = self._run(self._manager, circuit)
            self._warn_if_random(circuit, compiled)
        self._check(circuit, compiled)
        return compiled

    def _ready(self) -> Any:
        """The user's pass manager, which is never cut in two: each circuit is compiled as a whole."""
        return self._manager

    def _warn_if_random(self, circuit: QuantumCircuit, compiled: QuantumCircuit) -> None:
        """Compile the first circuit twice: one that comes out otherwise is not recognised the next time."""
        second, self._second = self._second, None
        if second is None:
            return
        again = self._run(second, circuit)
        try:
            same = canonical(again) == canonical(compiled)
        except NoCanonicalFormError:
            return  # whoever writes it down says so
        if not same:
            warnings.warn(
                f"pass_manager: it compiles the same circuit differently each time. {NOT_RECOGNISED} Give its passes a seed, as "
                "generate_preset_pass_manager(..., seed_transpiler=1) does.",
                UserWarning,
                stacklevel=2,
            )

    def _check(self, circuit: QuantumCircuit, compiled: QuantumCircuit) -> None:
        registers = [[(r.name, r.size) for r in one.cregs] for one in (circuit, compiled)]
        target = getattr(self._backend, "target", None)
        if registers[0] != registers[1]:
            problem = f"classical registers {registers[1]} in place of {registers[0]}, so that no result could be read"
        elif self._without & compiled.count_ops().keys():
            names = ", ".join(sorted(self._without & compiled.count_ops().keys()))
            problem = f"{names}, which hardware takes for angles from 0 to pi/2 only, and those of a template can be any"
        else:
            problem = "" if target is None else foreign_instruction(compiled, target)
        if problem:
            raise ConfigurationError(
                f"{self._argument}: a circuit has {problem}; backend {self._backend.name!r} cannot run it as it stands. "
                f"{self._advice(target)} Nothing was sent.",
                argument=self._argument,
            )

    def _advice(self, target: Any) -> str:
        names = "" if target is None else f" ({', '.join(sorted(target.operation_names))})"
        if self._argument == "pass_manager":
            return f"Let the pass manager translate to the gates of the backend{names} and keep the classical registers."
        return (
            f"Write it with gates of the backend{names} on qubits that are joined, where wire i of the device is qubit i; or leave "
            "skip_transpilation out."
        )
