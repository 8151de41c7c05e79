"""Backends of an account at IBM Quantum Platform: how one is found, and what is said of one that cannot be used."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from .._quantity import quantity
from ..exceptions import BackendError, ConfigurationError, ServiceError, nearest
from ..simulators.local import larger_simulators
from .answers import in_words
from .asking import ask_aside
from .clock import Clock
from .errors import NoAnswerError, service_error
from .retired import local_alternative, retirement
from .sessions import connections

T = TypeVar("T")

LEAST_BUSY = "least_busy"

LOGIN_SECS = 180.0
"""Longest wait for a login or a backend, each of several requests; the client itself stalls for 60 s after a failed one."""


@dataclass(frozen=True)
class Wanted:
    """The backend that is looked for.

    Attributes:
        name: Its name, or ``"least_busy"``.
        wires: Qubits that are needed at least.
        fractional: With gates for any angle.
        calibration_id: The calibration that it is to have; ``None`` for today's.
    """

    name: str
    wires: int
    fractional: bool = False
    calibration_id: str | None = None

    def look(self, service: Any) -> Any:
        """Ask for it."""
        if self.name == LEAST_BUSY:
            fractional = {"use_fractional_gates": True} if self.fractional else {}
            return service.least_busy(min_num_qubits=self.wires, **fractional)
        calibration = {} if self.calibration_id is None else {"calibration_id": self.calibration_id}
        return service.backend(self.name, use_fractional_gates=self.fractional, **calibration)


def find_backend(service: Any, wanted: Wanted, clock: Clock) -> Any:
    """Look for a backend.

    Raises:
        NoAnswerError: The service did not answer.
        BackendError: The account has no such backend.
        ConfigurationError: It has no gates for any angle.
        ServiceError: The service answered with another error.
    """
    from qiskit.providers.exceptions import QiskitBackendNotFoundError

    name = wanted.name

    def look() -> Any:
        with quiet_client():
            backend = wanted.look(service)
            # the client would ask for its properties at the first use, where nobody asks again
            _ = backend.target
            return backend

    def all_names() -> list[str]:
        with quiet_client():
            return sorted({str(b.name) for b in service.backends()})

    for _ in range(4):
        try:
            return _ask(look, f"a question for backend {name!r}", clock)
        except ServiceError as error:
            if wanted.fractional and "fractional" in str(error):
                raise ConfigurationError(
                    f"use_fractional_gates=True: backend {name!r} has no fractional gates. Leave it out, or take another "
                    "backend. Nothing was sent.",
                    argument="use_fractional_gates",
                    value=True,
                ) from None
            raise
        except QiskitBackendNotFoundError:
            names = _ask(all_names, "a list of backends", clock)
        # the client leaves out backends whose configuration it cannot read, also if that is so for a moment
        if name not in names:
            break
    _check_that_it_answers(service, name, clock)
    if name == LEAST_BUSY:
        raise BackendError(
            f"backend='least_busy': no backend of the account is online and has {quantity(wanted.wires, 'qubit')}. It has: "
            f"{', '.join(names) or 'none'}.",
            argument="backend",
            value=name,
        )
    raise BackendError(
        f"backend={name!r}: the account has no such backend; {retirement(name) or 'it may be retired'}.{nearest(name, names)} "
        f"It has: {', '.join(names) or 'none'}. To stay local, {local_alternative(name)}.",
        argument="backend",
        value=name,
    )


def _check_that_it_answers(service: Any, name: str, clock: Clock) -> None:
    """Ask each instance itself for a backend that is not found: the client writes why into its log alone."""
    refusals: list[ServiceError] = []
    for client in connections(service):
        try:
            backends = _ask(client.list_backends, "a question for the list of backends", clock)
            if name in {one.get("name") for one in backends}:
                _ask(partial(client.backend_configuration, name), f"a question for backend {name!r}", clock)
        except NoAnswerError:
            raise
        except ServiceError as error:
            refusals.append(error)
    if refusals and len(refusals) == len(connections(service)):
        raise refusals[0]


def _ask(ask: Callable[[], T], what: str, clock: Clock) -> T:
    """Ask once about backends."""
    from qiskit_ibm_runtime.api.exceptions import RequestsApiError
    from qiskit_ibm_runtime.exceptions import IBMError

    try:
        return ask_aside(LOGIN_SECS, ask, what, clock=clock)
    except (RequestsApiError, IBMError) as error:
        raise service_error(
            error, f"The service did not answer {what}: {in_words(error)} Nothing was sent."
        ) from error


def check_size(backend: Any, wires: int) -> None:
    """Refuse a device with more wires than the backend has qubits."""
    most = getattr(backend, "num_qubits", None)
    if most is not None and wires > int(most):
        raise BackendError(
            f"wires: {wires} wires, but backend {backend.name!r} has {most} qubits. Use fewer wires or another backend"
            f"{larger_simulators(str(backend.name))}. Nothing was sent.",
            argument="wires",
            value=wires,
        )


def warn_if_paused(service: Any, backend: Any) -> None:
    """Tell that a backend takes jobs and runs none for now, as far as the client's list of backends says; nothing is asked."""
    lists = getattr(service, "_backends_info_per_instance", None)
    facts = [one for some in lists.values() for one in some] if isinstance(lists, dict) else []
    facts += getattr(service, "_backends_list", None) or []
    states = {one.get("name"): one.get("status") for one in facts if isinstance(one, dict)}
    state = states.get(backend.name)
    word = state.get("name") if isinstance(state, dict) else None
    if word not in {None, "online", "active"}:
        warnings.warn(
            f"backend={backend.name!r} does not run jobs at the moment: IBM says {word!r}. What is sent waits until IBM opens it "
            "again, and is not charged before; timeout_secs counts that wait. threaded-ibmq backends lists the others, and "
            "backend='least_busy' takes one that runs.",
            UserWarning,
            stacklevel=2,
        )


def is_service_backend(backend: Any, argument: str = "backend") -> bool:
    """Whether a backend object belongs to a service.

    Args:
        backend: What the user gave.
        argument: As what, for the error.

    Raises:
        ConfigurationError: It is no Qiskit backend at all.
    """
    from qiskit.providers import BackendV2
    from qiskit_ibm_runtime import IBMBackend

    if not isinstance(backend, BackendV2):
        raise ConfigurationError(
            f"{argument}={backend!r}: a name or a Qiskit BackendV2 is needed, not {type(backend).__name__}. "
            "Nothing was sent.",
            argument=argument,
            value=backend,
        )
    return isinstance(backend, IBMBackend)


@contextmanager
def quiet_client() -> Iterator[None]:
    """Leave out what the client logs at WARNING whenever a token is given: it tells the user nothing to act on."""
    client = logging.getLogger("qiskit_ibm_runtime.qiskit_runtime_service")
    thread = threading.get_ident()

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno != logging.WARNING

    client.addFilter(of_others)
    try:
        yield
    finally:
        client.removeFilter(of_others)
