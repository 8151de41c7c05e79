"""Our executor inside a real Covalent: ``ct.qelectron(executors=[...])`` and ``ct.executor.QCluster``.

Covalent takes an executor apart at each call: it dumps the fields, as JSON inside a cluster, and makes a new one from
them, of the class that ``covalent.executor`` has under its name. So what runs circuits cannot live in the executor.
:class:`ThreadedIBMQExecutor` is such a set of fields; behind all that are equal stands one
:class:`~pennylane_threaded_ibmq.qelectron.IBMQExecutor`, with its login, templates and jobs.

Importing this module makes the class known to Covalent.
"""

from __future__ import annotations

import copyreg
import os
import pydoc
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Optional

import pennylane as qml
from pennylane.wires import Wires
from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SecretStr,
    WithJsonSchema,
    field_serializer,
    field_validator,
)
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Annotated

from ..config import hide_secrets
from ..exceptions import ConfigurationError
from ..stack import Stack, stack
from .covalent_keep import Pending, keep
from .executor import IBMQExecutor as Standalone
from .page_schema import page_schema
from .routing import submit
from .runners import recording_lock

if stack() is not Stack.CLASSIC:
    raise ImportError(
        "Covalent 0.232 runs with PennyLane 0.31, the classic stack, and this is the current one: use "
        "pennylane_threaded_ibmq.qelectron, which has the same names without Covalent, or install the other with: pip install "
        "'pennylane-threaded-ibmq[covalent]'."
    )

try:
    import covalent.executor as _executors
    from covalent._shared_files.qinfo import QElectronInfo, QNodeSpecs
    from covalent.executor.qbase import BaseQExecutor, QCResult
    from covalent.quantum.qserver.utils import get_cached_executor

    from .classic_tapes import with_shots
except ImportError as _error:
    raise ImportError(
        f"This module needs Covalent 0.232 ({_error}). Install it with: pip install 'pennylane-threaded-ibmq[covalent]'. "
        "Without Covalent, use pennylane_threaded_ibmq.qelectron, which has the same names."
    ) from _error

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript
    from pydantic_core import CoreSchema

__all__ = ["IBMQExecutor", "ThreadedIBMQExecutor", "register"]

_COVALENTS_OWN = frozenset(
    {"name", "shots", "shots_converter", "persist_data", "qelectron_info", "qnode_specs"}
)
"""Fields that Covalent fills in or acts on; our executor behind this one does not get them."""

_FILLED = ("max_jobs", "shots", "backend", "hub", "group", "project")


class ThreadedIBMQExecutor(BaseQExecutor):
    """A quantum executor for Covalent that runs circuits on IBM Quantum backends through ``threaded.ibmq``.

    It takes the place of Covalent's executor, which used the Pennylane native ``"qiskit.ibmq"`` device to run circuits on
    IBM Quantum backends. The attributes ``backend``, ``ibmqx_token``, ``hub``, ``group``, and ``project`` are taken from
    the Covalent configuration file by default, if available; the environment comes before it. Further fields with the
    name of an option of the device, such as ``timeout_secs``, are handed to it.

    Keyword Args:
        max_jobs: The maximum number of jobs that can be submitted to the backend concurrently. This number corresponds to
            the number of threads utilized by this executor. Defaults to 20.
        shots: The number of shots to use for the execution device. Overrides the ``shots`` value from the original device
            if set to ``None`` or a positive ``int``; a shot vector too. The shots setting from the original device is used
            by default, when this argument is 0 or -1.
        backend: The name of the IBM Quantum backend device. Defaults to ``"ibmq_qasm_simulator"``.
        ibmqx_token: The IBM Quantum API token. Covalent never gets it: what it dumps, pickles and stores is a reference that
            means something in this process only. Elsewhere the token is looked up in the environment and in the
            configuration files.
        hub: An IBM Quantum hub name. Defaults to ``"ibm-q"``.
        group: An IBM Quantum group name. Defaults to ``"open"``.
        project: An IBM Quantum project name. Defaults to ``"main"``.
        device: Kept, not used.

    Raises:
        ConfigurationError: A field has a value that cannot work.
    """

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    shots_converter: SkipJsonSchema[Optional[type]] = None  # noqa: UP045 - pydantic evaluates it on Python 3.8
    qelectron_info: SkipJsonSchema[Optional[QElectronInfo]] = None  # noqa: UP045 - same
    qnode_specs: SkipJsonSchema[Optional[QNodeSpecs]] = None  # noqa: UP045 - same
    qnode_device_import_path: tuple[str, str] | None = None
    qnode_device_shots: int | None = None
    qnode_device_wires: int | None = None
    pennylane_active_return: bool | None = None
    device: str = "default.qubit"
    num_threads: int = 10
    shots: Annotated[Any, WithJsonSchema({"type": "integer"})] = 0
    max_jobs: int = 20
    backend: str = Field(default_factory=str)
    ibmqx_token: SecretStr = Field(default_factory=lambda: SecretStr(""))
    hub: str = Field(default_factory=str)
    group: str = Field(default_factory=str)
    project: str = Field(default_factory=str)

    def __init__(self, **data: Any) -> None:
        if "ibmqx_token" in data:
            data["ibmqx_token"] = keep().token(data["ibmqx_token"])
        hide_secrets(data)
        if "runs_on" in data:
            raise ConfigurationError(
                f"runs_on={data['runs_on']!r}: inside Covalent circuits go to IBM Quantum alone. Use Covalent's own "
                "ct.executor.Simulator(device=...). Nothing was sent.",
                argument="runs_on",
                value=data["runs_on"],
            )
        address = os.environ.get("IBMQX_URL")
        if address and not data.get("ibmqx_url"):
            # it goes along to workers, whose environment may lack it
            data["ibmqx_url"] = address
        given = {**data, **({"shots": 0} if data.get("shots") == -1 else {})}
        for name, value in given.items():
            _check_hashable(name, value)
        # finds what is not given and refuses what cannot work, in its own words
        found = Standalone(**{k: v for k, v in given.items() if k not in _COVALENTS_OWN - {"shots"}})
        given.update({name: getattr(found, name) for name in _FILLED}, ibmqx_token=found.ibmqx_token)
        super().__init__(**given)

    @field_validator("ibmqx_token", mode="before")
    @classmethod
    def _recall(cls, value: Any) -> SecretStr:
        return keep().token(value)

    @field_serializer("ibmqx_token")
    def _refer(self, value: SecretStr) -> str:
        return keep().reference(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return page_schema(core_schema, handler)

    def __getstate__(self) -> dict[Any, Any]:
        """The state for a pickle, which Covalent may store: a reference in the place of the token."""
        state: dict[Any, Any] = super().__getstate__()
        state["__dict__"] = {**state["__dict__"], "ibmqx_token": keep().reference(self.ibmqx_token)}
        return state

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Restore from a pickle, and make the class known where that was asked for."""
        super().__setstate__(state)
        self.__dict__["ibmqx_token"] = keep().token(self.__dict__["ibmqx_token"])
        register(replace=isinstance(self, IBMQExecutor))

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Send circuits and return at once.

        Args:
            qscripts_list: ``n`` tapes.

        Returns:
            ``n`` futures in the order of the tapes; their results are Covalent's result objects.
        """
        tapes = [self._with_shots(tape) for tape in qscripts_list]
        if not tapes:
            return []
        executor = self._behind()
        with recording_lock():
            sent = submit(executor, tapes, self._wires(tapes))
        return [Pending(future, sent, self._result) for future in sent.futures]

    def batch_get_results(self, futures_list: Iterable[Future[Any]]) -> list[Any]:
        """Wait for futures of :meth:`batch_submit`.

        Returns:
            Covalent's result objects in order.

        Raises:
            Exception: What the first circuit without a result failed with.
        """
        return [future.result() for future in list(futures_list)]

    def _behind(self) -> Standalone:
        fields = {name: getattr(self, name) for name in _FILLED}
        extra = {k: v for k, v in (self.model_extra or {}).items() if k not in _COVALENTS_OWN}
        # Covalent's own database has the circuits; job ids are in the results' metadata
        return keep().executor({**fields, **extra, "ibmqx_token": self.ibmqx_token, "persist_data": False})

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

    def _result(self, value: Any, secs: float, job_ids: tuple[str, ...]) -> Any:
        result = QCResult.with_metadata(device_name="threaded.ibmq", executor=self)
        result.results, result.execution_time = [value], secs
        result.metadata["execution_metadata"] = [{"job_ids": list(job_ids)}]
        return result


class IBMQExecutor(ThreadedIBMQExecutor):
    """:class:`ThreadedIBMQExecutor` under the name of Covalent's own executor; see :func:`register`."""

    # what its schema says
    __doc__ = ThreadedIBMQExecutor.__doc__


def register(*, replace: bool = False) -> type[ThreadedIBMQExecutor]:
    """Make our executor known to Covalent, as ``covalent.executor.ThreadedIBMQExecutor``.

    Args:
        replace: Let ``covalent.executor.IBMQExecutor`` be ours too, so that programs need no change. Executors made
            before keep their class, but Covalent runs those of its own class of this name on ours from then on.

    Returns:
        The class.
    """
    wanted = (ThreadedIBMQExecutor, IBMQExecutor) if replace else (ThreadedIBMQExecutor,)
    changed = [cls for cls in wanted if getattr(_executors, cls.__name__, None) is not cls]
    for cls in changed:
        setattr(_executors, cls.__name__, cls)
    if changed:
        copyreg.pickle(type(qml.gradients.param_shift), _by_name)
        # it may hold executors of the class that had the name
        get_cached_executor.cache_clear()
    return wanted[-1]


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
