"""Our executor inside a real Covalent: ``ct.qelectron(executors=[...])`` and ``ct.executor.QCluster``.

Covalent takes an executor apart at each call: it dumps the fields, as JSON inside a cluster, and makes a new one from
them, of the class that ``covalent.executor`` has under its name. So what runs circuits cannot live in the executor: the class
keeps one device, with its login, templates and jobs, for all executors that are to have the same.

Covalent finds the class by its entry-point group, see :mod:`pennylane_threaded_ibmq.covalent`; importing this module makes
it known too.
"""

from __future__ import annotations

import copyreg
import hashlib
import hmac
import pydoc
import secrets
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Optional

import pennylane as qml
from pennylane.wires import Wires
from pydantic import ConfigDict, SecretStr, field_serializer, field_validator
from pydantic.json_schema import SkipJsonSchema

from ..._fork import ForkLock
from ...circuits.changes import with_named_wires, with_shots
from ...config import find_token
from ...config_sources import ConfigValue, hide_secrets
from ...covalent import CLASS, obstacle
from ...device.recording import recording_lock
from ...exceptions import ConfigurationError, CredentialsError
from ...execution.futures import TapeFuture
from ...executors.base import Runtime
from ...executors.executor import OWN_DEVICE
from ...executors.executor import IBMQExecutor as Standalone
from ...executors.route import Batch, Ticket
from ...service.address import check_known_host

if obstacle():
    raise ImportError(obstacle())

import covalent.executor as _executors
from covalent._shared_files.qinfo import QElectronInfo, QNodeSpecs
from covalent.executor.qbase import BaseQExecutor, QCResult
from covalent.quantum.qserver.utils import get_cached_executor

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

__all__ = ["ExecutorRegistry", "IBMQExecutor", "ThreadedIBMQExecutor", "register"]

EXECUTOR_PLUGIN_NAME = CLASS
"""Name at which Covalent's loader of entry points looks."""

_COVALENTS_OWN = frozenset({"shots", "shots_converter", "qelectron_info", "qnode_specs"})
"""Fields that Covalent fills in, with whatever values."""

_GO_ALONG = frozenset(
    {"max_jobs", "shots", "backend", "ibmqx_token", "ibmqx_url", "instance", "hub", "group", "project"}
)
"""Names that are looked up where an executor is made, and go along to workers; the rest is looked up where circuits run."""
_REFERENCE = "kept-token-"


class ExecutorRegistry:
    """Tokens and devices that stay in this process while Covalent takes executors apart."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._key = secrets.token_bytes(16)
        self._tokens: dict[str, SecretStr] = {}
        self._runtimes: dict[frozenset[tuple[str, Any]], Runtime] = {}

    def reference(self, token: SecretStr) -> str:
        """The reference that stands for a token in this process; empty for none."""
        plain = token.get_secret_value()
        if not plain:
            return ""
        name = _REFERENCE + hmac.new(self._key, plain.encode(), hashlib.sha256).hexdigest()[:16]
        with self._lock:
            self._tokens[name] = token
        return name

    def token(self, value: Any) -> SecretStr:
        """The token that a reference stands for; of one from another process: whatever is configured here."""
        if isinstance(value, SecretStr):
            return value
        if value is None or not str(value).startswith(_REFERENCE):
            return SecretStr(str(value or ""))
        with self._lock:
            token = self._tokens.get(str(value))
        if token is not None:
            return token
        plain = find_token()
        if not plain:
            # without a token the circuits would run on this machine, in the place of the service that was meant
            raise CredentialsError(
                "The executor was made with a token in another process, which keeps it, and none is configured here. Set "
                "IBMQX_TOKEN, or ibmqx_token in covalent.conf, where Covalent's workers run. Nothing was sent.",
                argument="ibmqx_token",
            )
        return SecretStr(plain)

    def runtime(self, options: dict[str, Any]) -> Runtime:
        """The runtime that runs circuits on a device with these options.

        Raises:
            ConfigurationError: The address goes along with them, and its host is unknown here.
        """
        key = frozenset(options.items())
        with self._lock:
            if key not in self._runtimes:
                check_known_host(options.get("ibmqx_url"))
                self._runtimes[key] = Runtime()
            return self._runtimes[key]

    def close(self) -> None:
        """Close all devices; the next use starts anew."""
        with self._lock:
            devices = [runtime.device for runtime in self._runtimes.values()]
            self._runtimes.clear()
        for device in devices:
            if device is not None:
                device.close()


class ThreadedIBMQExecutor(Standalone, BaseQExecutor):
    """A quantum executor for Covalent that runs circuits on IBM Quantum backends through ``threaded.ibmq``.

    Covalent never gets the token: what it dumps, pickles and stores is a reference that means something in this process only.
    Elsewhere the token is looked up in the environment and in the configuration files. ``shots=-1`` is 0, as Covalent writes
    it, and ``runs_on`` is not taken.
    """

    # what its schema says: the meaning of the fields too
    __doc__ = f"{__doc__}\n{Standalone.__doc__}"

    # Covalent assigns some for each call, whatever they are
    model_config = ConfigDict(validate_assignment=False)
    registry: ClassVar[ExecutorRegistry] = ExecutorRegistry()
    """The class owns it, as nothing else outlives Covalent's copies of an executor."""
    shown_by_reference = frozenset({"ibmqx_token"})

    shots_converter: SkipJsonSchema[Optional[type]] = None  # noqa: UP045 - pydantic evaluates it on Python 3.8
    qelectron_info: SkipJsonSchema[Optional[QElectronInfo]] = None  # noqa: UP045 - same
    qnode_specs: SkipJsonSchema[Optional[QNodeSpecs]] = None  # noqa: UP045 - same

    def __init__(self, **data: Any) -> None:
        if "ibmqx_token" in data:
            data["ibmqx_token"] = self.registry.token(data["ibmqx_token"])
        hide_secrets(data)
        if data.get("runs_on", OWN_DEVICE) != OWN_DEVICE:
            raise ConfigurationError(
                f"runs_on={data['runs_on']!r}: inside Covalent circuits go to IBM Quantum alone. Use Covalent's own "
                "ct.executor.Simulator(device=...). Nothing was sent.",
                argument="runs_on",
                value=data["runs_on"],
            )
        if data.get("shots") == -1:
            data["shots"] = 0
        for name, value in data.items():
            _check_hashable(name, value)
        super().__init__(**data)
        if self.__pydantic_extra__ is not None:
            # Covalent stores the extra fields of an executor alone, and shows this one
            self.__pydantic_extra__["name"] = self.name

    @classmethod
    def _look_up(cls, data: dict[str, Any]) -> dict[str, ConfigValue]:
        return {name: value for name, value in super()._look_up(data).items() if name in _GO_ALONG}

    @field_validator("ibmqx_token", mode="before")
    @classmethod
    def _no_token(cls, value: object) -> object:
        return cls.registry.token(value)

    @field_serializer("ibmqx_token")
    def _refer(self, value: SecretStr) -> str:
        return self.registry.reference(value)

    def __getstate__(self) -> dict[Any, Any]:
        """The state for a pickle, which Covalent may store: a reference in the place of the token."""
        state = super().__getstate__()
        state["__dict__"]["ibmqx_token"] = self.registry.reference(self.ibmqx_token)
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle, and make the class known where that was asked for."""
        token = self.registry.token(state["__dict__"]["ibmqx_token"])
        super().__setstate__(state)
        self.__dict__["ibmqx_token"] = token
        register(replace=isinstance(self, IBMQExecutor))

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Send circuits and return at once.

        Args:
            qscripts_list: ``n`` tapes.

        Returns:
            ``n`` futures in the order of the tapes; their results are Covalent's result objects.
        """
        tapes = [self._with_shots(tape) for tape in qscripts_list]
        wires = self._wires(tapes)
        try:
            self._own_runtime = self.registry.runtime(self._device_options())
            with recording_lock():
                batch = Batch([with_named_wires(tape, wires) for tape in tapes], wires)
                ticket = Ticket(self, super().batch_submit(batch))
        except Exception as error:  # noqa: BLE001 - Covalent raises it where the result is asked for
            return [_failed(error) for _ in tapes]
        return [self._covalent_future(future, ticket) for future in ticket.futures]

    def batch_get_results(self, futures_list: Iterable[Future[Any]]) -> list[Any]:
        """Wait for futures of :meth:`batch_submit`.

        Returns:
            Covalent's result objects in order.

        Raises:
            Exception: What the first circuit without a result failed with.
        """
        return [future.result() for future in list(futures_list)]

    def _record(self) -> None:
        """No record: Covalent's own database has the circuits, and job ids are in the results' metadata."""

    def _with_shots(self, tape: QuantumScript) -> QuantumScript:
        info = self.qelectron_info
        if tape.shots or info is None or info.device_shots is None:
            return tape
        return with_shots(tape, qml.measurements.Shots(info.device_shots))

    def _wires(self, tapes: list[QuantumScript]) -> Wires | None:
        """Wires of the QNode's device; Covalent tells their number, and only circuits their labels."""
        info = self.qelectron_info
        known = Wires(range(info.device_wires)) if info is not None else Wires([])
        return known if all(w in known for tape in tapes for w in tape.wires) else None

    def _covalent_future(self, source: Future[Any], ticket: Ticket) -> TapeFuture:
        """The future of a circuit, with Covalent's result object as its result."""
        future = TapeFuture(ticket)
        start = time.perf_counter()

        def finish(source: Future[Any]) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(self._result(source.result(), time.perf_counter() - start, ticket.job_ids))
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear
                future.set_exception(error)

        source.add_done_callback(finish)
        return future

    def _result(self, value: Any, secs: float, job_ids: tuple[str, ...]) -> Any:
        result = QCResult.with_metadata(device_name="threaded.ibmq", executor=self)
        result.results, result.execution_time = [value], secs
        result.metadata["execution_metadata"] = [{"job_ids": list(job_ids)}]
        return result


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


class IBMQExecutor(ThreadedIBMQExecutor):
    """:class:`ThreadedIBMQExecutor` under the name of Covalent's own executor; see :func:`register`."""

    # what its schema says
    __doc__ = f"{ThreadedIBMQExecutor.__doc__}"


def register(*, replace: bool = False) -> type[ThreadedIBMQExecutor]:
    """Make our executor known to Covalent, as ``covalent.executor.ThreadedIBMQExecutor``.

    Args:
        replace: Let ``covalent.executor.IBMQExecutor`` be ours too, so that programs need no change. Executors made
            before keep their class, but Covalent runs those of its own class of this name on ours from then on.

    Returns:
        The class.
    """
    classes = (ThreadedIBMQExecutor, IBMQExecutor) if replace else (ThreadedIBMQExecutor,)
    new = [cls for cls in classes if getattr(_executors, cls.__name__, None) is not cls]
    for cls in new:
        setattr(_executors, cls.__name__, cls)
    if new:
        copyreg.pickle(type(qml.gradients.param_shift), _by_name)
        # it may hold executors of the class that had the name
        get_cached_executor.cache_clear()
    return classes[-1]


def _by_name(gradient: Any) -> Any:
    """Pickle PennyLane's gradient transforms as names.

    Covalent writes them to its database with each circuit, by their code, which takes longer than the rest of a call.
    """
    for name in ("param_shift", "param_shift_cv", "finite_diff", "spsa_grad", "hadamard_grad"):
        if getattr(qml.gradients, name, None) is gradient:
            return pydoc.locate, (f"pennylane.gradients.{name}",)
    return gradient.__reduce_ex__(2)


def _check_hashable(name: str, value: Any) -> None:
    try:
        hash(tuple(value) if isinstance(value, list) else value)
    except TypeError:
        if name in _COVALENTS_OWN:
            return
        raise ConfigurationError(
            f"{name}={value!r}: Covalent looks executors up by the values of their fields and cannot do so with a "
            f"{type(value).__name__}. Put the option into the configuration file, or use qelectron of "
            "pennylane_threaded_ibmq. Nothing was sent.",
            argument=name,
            value=value,
        ) from None


register()
