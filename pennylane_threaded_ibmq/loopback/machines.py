"""The backends, as both APIs describe them, and the programs that run on them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from qiskit.circuit import ControlFlowOp, QuantumCircuit

from .._compat import cached_property, zip_strict
from .responses import JobRefusedError

_SIMULATOR_QUBITS = 32
# fmt: off
_SIMULATOR_GATES = (
    "ccx", "ccz", "cp", "crx", "cry", "crz", "cswap", "csx", "cu", "cx", "cy", "cz", "ecr", "h", "id", "p", "r", "rx",
    "rxx", "ry", "ryy", "rz", "rzx", "rzz", "s", "sdg", "swap", "sx", "sxdg", "t", "tdg", "u", "x", "y", "z",
)
# fmt: on
_ANYWHERE = frozenset({"barrier", "break_loop", "continue_loop", "store"})


class Machine:
    """One backend.

    Args:
        name: Name under which it is served.
        snapshot: The client's fake backend behind it, ``None`` for a simulator. Its files are read when first needed.
    """

    def __init__(self, name: str, snapshot: type[Any] | None) -> None:
        self.name = name
        self._snapshot = snapshot

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """IBM's configuration dictionary."""
        return self._described()

    def _described(self) -> dict[str, Any]:
        if self._snapshot is None:
            return {**_simulator_configuration(), "backend_name": self.name}
        return {**_read(self._snapshot.dirname, self._snapshot.conf_filename), "backend_name": self.name}

    @property
    def simulator(self) -> bool:
        """Whether it reports itself as a simulator."""
        return self._snapshot is None

    @property
    def mock(self) -> bool:
        """Whether it is for dry runs: jobs are checked and answered with random numbers, and nothing is charged."""
        return self.name.startswith("mock_")

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return int(self.configuration["n_qubits"])

    @property
    def max_shots(self) -> int:
        """Most shots of one PUB."""
        return int(self.configuration["max_shots"])

    @property
    def max_circuits(self) -> int:
        """Most circuits of one job of the classic API."""
        return int(self.configuration.get("max_experiments") or 300)

    @cached_property
    def configuration_body(self) -> bytes:
        """The configuration as JSON; half a megabyte is not encoded for each request."""
        return json.dumps(self.configuration).encode()

    @cached_property
    def properties_body(self) -> bytes:
        """The properties as JSON; a simulator has none."""
        if self._snapshot is None:
            return b"{}"
        properties = _read(self._snapshot.dirname, self._snapshot.props_filename)
        return json.dumps({**properties, "backend_name": self.name}).encode()

    @cached_property
    def target(self) -> Any:
        """The snapshot's target, with errors and durations; only noisy simulation needs it."""
        assert self._snapshot is not None, "a simulator has no target"
        return self._snapshot().target

    @cached_property
    def _gates(self) -> dict[str, frozenset[tuple[int, ...]] | None]:
        """Allowed instructions, each with its allowed qubits; ``None`` allows any."""
        gates: dict[str, frozenset[tuple[int, ...]] | None] = dict.fromkeys(
            self.configuration.get("supported_instructions", ())
        )
        for gate in self.configuration["gates"]:
            places = gate.get("coupling_map")
            gates[gate["name"]] = frozenset(map(tuple, places)) if places else None
        return gates

    def check_circuit(self, circuit: QuantumCircuit, index: int, what: str = "PUB") -> None:
        """Refuse a circuit that is not written in this backend's instructions.

        Args:
            circuit: The circuit.
            index: Its position in the job, for the message.
            what: What is at that position, for the message.

        Raises:
            JobRefusedError: An instruction, its qubits or the width do not fit the backend.
        """
        if circuit.num_qubits > self.num_qubits:
            raise JobRefusedError(
                1109,
                f"The circuit of {what} {index} has {circuit.num_qubits} qubits but the target system {self.name} has "
                f"{self.num_qubits}.",
                "Run the job on a backend that supports sufficient number of qubits for the job.",
            )
        if self.simulator:
            return
        for name, qubits in _instructions(circuit):
            if name in _ANYWHERE:
                continue
            places = self._gates.get(name, frozenset())
            if places is None or qubits in places:
                continue
            code, reason = 1107, "it assumes a coupling map that is different from the backend's"
            if name not in self._gates:
                code, reason = 1106, "the circuit uses gates that are not among the backend's basis gates"
            raise JobRefusedError(
                code,
                f"The instruction {name} on qubits {qubits} in {what} {index} is not supported by the target system "
                f"{self.name}: {reason}.",
                "Transpile your circuits for the target before submitting a primitive query.",
            )


def _instructions(circuit: QuantumCircuit) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every instruction of a circuit with the indices of its qubits, also within control flow."""
    pending = [(circuit, {bit: index for index, bit in enumerate(circuit.qubits)})]
    while pending:
        block, indices = pending.pop()
        for instruction in block.data:
            qubits = tuple(indices[bit] for bit in instruction.qubits)
            yield instruction.operation.name, qubits
            if isinstance(instruction.operation, ControlFlowOp):
                pending.extend(
                    (body, dict(zip_strict(body.qubits, qubits))) for body in instruction.operation.blocks
                )


MachineT = TypeVar("MachineT", bound=Machine)


def snapshot_classes() -> dict[str, type[Any]]:
    """The snapshots by name: those of IBM's client, or of Qiskit itself before that took them over."""
    home = "qiskit_ibm_runtime.fake_provider"
    if find_spec(home) is None:
        home = "qiskit.providers.fake_provider"
    base = import_module(f"{home}.fake_backend").FakeBackendV2
    classes: list[Any] = [
        item
        for item in vars(import_module(home)).values()
        if isinstance(item, type) and issubclass(item, base)
    ]
    # Some base classes have no name.
    return {item.backend_name: item for item in classes if getattr(item, "backend_name", None)}


def load_machines(snapshots: Mapping[str, str | None], kind: type[MachineT]) -> Mapping[str, MachineT]:
    """Find the snapshots of backends.

    Args:
        snapshots: Snapshot by name of the backend, ``None`` for a simulator.
        kind: Class of the backends.

    Returns:
        The backends by name, in the same order.

    Raises:
        ValueError: There is no such snapshot.
    """
    classes = snapshot_classes()
    machines = {}
    for name, fake in snapshots.items():
        if fake is None:
            machines[name] = kind(name, None)
            continue
        if fake not in classes:
            near = difflib.get_close_matches(fake, classes, n=3) or sorted(classes)
            raise ValueError(f"no snapshot {fake!r} for backend {name!r}; there are {', '.join(near)}")
        machines[name] = kind(name, classes[fake])
    return machines


def _read(folder: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((Path(folder) / name).read_text(encoding="utf-8"))
    return content


def _simulator_configuration() -> dict[str, Any]:
    """A configuration with ``simulator`` set, for which the client skips properties, ISA check and sessions."""
    return {
        "backend_version": "1.0.0",
        "n_qubits": _SIMULATOR_QUBITS,
        "basis_gates": list(_SIMULATOR_GATES),
        "gates": [{"name": name, "parameters": [], "qasm_def": ""} for name in _SIMULATOR_GATES],
        "supported_instructions": [
            *_SIMULATOR_GATES,
            "measure",
            "reset",
            "delay",
            "if_else",
            "for_loop",
            "while_loop",
            "switch_case",
        ],
        "coupling_map": None,
        "simulator": True,
        "local": False,
        "conditional": True,
        "open_pulse": False,
        "memory": True,
        "max_shots": 1_000_000,
        "max_experiments": 300,
        "dynamic_reprate_enabled": False,
        "online_date": "2025-01-01T00:00:00+00:00",
        "description": "Loopback simulator",
        "supported_features": ["qasm3"],
        "processor_type": {"family": "Simulator", "revision": 1},
    }


_SIMULATOR_SHOTS = 100_000
_NOT_GATES = frozenset({"measure", "reset", "delay"})


class ClassicMachine(Machine):
    """One backend of the classic API.

    Instructions without a list of their places are left out of a device's configuration. The client would offer them on
    all qubits, and a mixture of such gates with those of the device is more than its transpiler can take.
    """

    def _described(self) -> dict[str, Any]:
        configuration = {"max_experiments": 300, **super()._described()}
        if self.simulator:
            configuration["max_shots"] = _SIMULATOR_SHOTS
            return configuration
        placed = {gate["name"] for gate in configuration["gates"]} | _NOT_GATES
        instructions = configuration.get("supported_instructions", ())
        configuration["supported_instructions"] = [name for name in instructions if name in placed]
        return configuration


OVERHEAD_SECS = 2.0
SECS_PER_SHOT = 250e-6
_MOST_SHOTS = 10_000_000


@dataclass(frozen=True)
class Output:
    """The output of a job.

    Attributes:
        text: Results as JSON text.
        rows: Circuit executions.
        shots: Shots over all of them.
        free: Nothing is charged for them.
    """

    text: str
    rows: int
    shots: int
    free: bool = False

    @property
    def usage_secs(self) -> float:
        """QPU seconds charged: 2 for a job that ran and 250 microseconds for each shot."""
        return 0.0 if self.free else OVERHEAD_SECS + self.shots * SECS_PER_SHOT


def check_shots(shots: int, what: str) -> None:
    """Refuse what would take more memory than a loopback service should; IBM does not hold anybody to ``max_shots``.

    Args:
        shots: Shots of each row.
        what: What asks for them.

    Raises:
        JobRefusedError: It is too many.
    """
    if shots > _MOST_SHOTS:
        raise JobRefusedError(
            1103,
            f"{what} asks for {shots} shots; at most {_MOST_SHOTS} can be simulated.",
            "Use fewer shots.",
        )
