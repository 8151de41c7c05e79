"""The part that all our devices with PennyLane's legacy API share: they take batches whole, and nothing is done to them before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pennylane import QubitDevice
from pennylane.tape import QuantumScript  # noqa: TC002 - PennyLane evaluates the annotations of batch_transform

from .._version import __version__
from ..circuits.variances import split_variances
from ..exceptions import UnsupportedCircuitError

if TYPE_CHECKING:
    from pennylane.typing import Result


class WholeBatchDevice(QubitDevice):
    """A device that gets whole gradients from PennyLane and makes the tapes ready by itself."""

    pennylane_requires = ">=0.31.1,<0.38"
    version = __version__
    author = "The pennylane-threaded-ibmq developers"

    @classmethod
    def capabilities(cls) -> dict[str, Any]:
        """Capabilities that PennyLane may ask for."""
        return {
            **super().capabilities(),
            "model": "qubit",
            "supports_finite_shots": True,
            "supports_tensor_observables": True,
            "supports_broadcasting": True,
            "returns_probs": True,
            "returns_state": False,
        }

    @abstractmethod
    def batch_execute(self, circuits: Sequence[QuantumScript], **_: Any) -> list[Result]:
        """Run ``n`` tapes; return ``n`` results in order."""

    def execute(self, circuit: QuantumScript, **_: Any) -> Result:
        """Run one tape."""
        return self.batch_execute([circuit])[0]

    def expand_fn(self, circuit: QuantumScript, max_expansion: int = 10) -> QuantumScript:  # noqa: ARG002 - PennyLane's signature
        """Nothing is expanded before a batch is whole: whatever is needed is done once for each structure."""
        return circuit

    def batch_transform(self, circuit: QuantumScript) -> tuple[list[QuantumScript], Callable[[Any], Any]]:
        """Sums of observables and broadcast parameters are run as they are; variances may be split for their gradient."""
        return split_variances(circuit)

    def apply(self, operations: Any, **_: Any) -> None:
        """A step of PennyLane's execution, which this device does not take.

        Raises:
            UnsupportedCircuitError: Always.
        """
        raise UnsupportedCircuitError(
            f"{self.name} runs tapes, not {len(operations)} operations: call execute(tape) or batch_execute(tapes)."
        )
