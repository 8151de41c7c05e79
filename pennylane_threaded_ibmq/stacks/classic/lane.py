"""The ``qiskit.ibmq`` device that a lane of the classic stack owns, and sends through."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any

from pennylane_qiskit import IBMQDevice
from pennylane_qiskit.qiskit_device import QiskitDevice


class LaneDevice(IBMQDevice):
    """``qiskit.ibmq`` without its connection, which writes the token to disk, reads it back, and logs in anew.

    Args:
        provider: The client's provider, logged in.
        backend: Its backend; the device has a copy, which shares what was read of it.
        wires: Wires of the device.
    """

    def __init__(self, provider: Any, backend: Any, wires: Sequence[Any]) -> None:
        QiskitDevice.__init__(self, wires=wires, provider=provider, backend=copy(backend))

    def change_login(self, provider: Any, backend: Any) -> None:
        """Send through another provider from now on.

        Args:
            provider: The client's provider, logged in.
            backend: Its backend.
        """
        self.provider, self._backend = provider, copy(backend)

    def send(self, circuits: Sequence[Any], **options: Any) -> Any:
        """Send circuits, as ``batch_execute`` does when it has compiled them, and do not wait.

        Args:
            circuits: Circuits that the backend can run.
            **options: Options of the backend's ``run``.

        Returns:
            The client's job.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._current_job = self.backend.run(list(circuits), **options)
        return self._current_job
