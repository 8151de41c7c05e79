"""The device on the classic stack: PennyLane's legacy device API, 0.31.1 to 0.37."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from pennylane.measurements import Shots
from pennylane.tape import QuantumScript  # noqa: TC002 - PennyLane evaluates the annotations of batch_transform

from ...circuits.gates import NATIVE_GATES
from ...device.checks import check_shots, check_wires
from ...device.core import BatchDevice
from ...device.handle import BatchHandle
from ...device.legacy import WholeBatchDevice
from ...device.planner import Preparation
from ...execution.batch import Batch
from ...settings import DEFAULT_SHOTS, hide_token, load_settings
from .context import check_options, is_local_here, open_classic
from .preprocess import prepare_classic
from .tracking import track_classic

if TYPE_CHECKING:
    from pennylane.typing import Result
    from typing_extensions import Unpack

    from ...options import DeviceOptions


class ThreadedIBMQDevice(BatchDevice, WholeBatchDevice):
    """Run batches of tapes on a classic IBM Quantum service, or on a simulator of this machine.

    Takes the arguments of ``qiskit.ibmq``. Tapes of one structure become one parametrised circuit, transpiled once; a
    batch becomes as few jobs as it takes.

    Args:
        wires: Number of wires, or their labels. Labels name wires only; the transpiler chooses qubits. ``None`` takes circuits
            on any wires, as many as the backend has qubits.
        shots: Shots of a circuit that sets none.
        **options: See :class:`~pennylane_threaded_ibmq.settings.Settings`.

    Raises:
        ConfigurationError: An option is unknown or has a value that cannot work.
        CredentialsError: A real backend was named, and there is no account or the service refuses it.
        BackendError: There is no such backend, or it has fewer qubits than ``wires``.
    """

    name = "threaded.ibmq"
    short_name = "threaded.ibmq"
    operations = frozenset(NATIVE_GATES)
    observables = frozenset(
        {"PauliX", "PauliY", "PauliZ", "Identity", "Hadamard", "Hermitian", "Projector", "Hamiltonian"}
        | {"LinearCombination", "Sum", "SProd", "Prod", "Exp"}
    )

    def __init__(
        self, wires: Any = None, shots: Any = DEFAULT_SHOTS, **options: Unpack[DeviceOptions]
    ) -> None:
        arguments = cast("dict[str, Any]", options)
        hide_token(arguments)
        settings = load_settings(arguments)
        check_options(settings)
        checked = check_shots(shots)
        if not checked:
            warnings.warn(
                f"{self.name} has no analytic results; expectation values, variances and probabilities are estimated "
                f"from {DEFAULT_SHOTS} shots.",
                UserWarning,
                stacklevel=2,
            )
            checked = Shots(DEFAULT_SHOTS)
        self._made_with = checked
        super().__init__(wires=check_wires(wires) or 0, shots=_as_legacy(checked))
        # PennyLane's own is one for all devices of the process
        self.measurement_map: dict[type, str] = {}
        self._set_up(settings, open_classic, later=is_local_here(settings))

    def batch_execute(self, circuits: Sequence[QuantumScript], **_: Any) -> list[Result]:
        """Run any tapes, preprocessing included; PennyLane calls it for whole gradients.

        Args:
            circuits: ``n`` tapes; ``n`` may be 0. A tape without shots of its own has those of the device.

        Returns:
            A list of ``n`` results in the order of the tapes.
        """
        self._num_executions += 1
        return list(super().batch_execute(circuits))

    def _preparation(self) -> Preparation:
        parametrise = self._settings.parametrise
        return lambda tape: prepare_classic(
            tape, device=self, shots=self._shots_of(tape), parametrise=parametrise
        )

    def _shots_of(self, tape: QuantumScript) -> Shots:
        """Shots of a tape: its own, unless somebody has changed the device's, as PennyLane does for ``shots=`` of a call."""
        shots = Shots(self._raw_shot_sequence if self._shot_vector else self.shots)
        if tape.shots and shots == self._made_with:
            return tape.shots
        return shots or self._made_with

    def _own_shots(self) -> Shots:
        return self._made_with

    def _notify(self, tracker: Any, batch: Batch, handle: BatchHandle) -> None:  # noqa: ARG002 - BatchDevice's face
        track_classic(tracker, batch, self._open().jobs)


def _as_legacy(shots: Shots) -> Any:
    """Shots as legacy devices take them."""
    return list(shots) if shots.has_partitioned_shots else shots.total_shots
