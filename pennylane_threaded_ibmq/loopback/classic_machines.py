"""The backends as the classic API describes them."""

from __future__ import annotations

from typing import Any

from .snapshots import Machine

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
