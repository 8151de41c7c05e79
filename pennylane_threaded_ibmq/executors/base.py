"""The base of every executor: fields that the page names, a way to take circuits, and nothing that shows a secret."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from .._fork import ForkLock
from .._secrets import covered, is_confidential, is_secret
from ..config import explain
from ..config_sources import ConfigValue, hide_secrets, right_name
from ..device.checks import whole_number
from ..device.gather import results_of
from ..exceptions import ConfigurationWarning

if TYPE_CHECKING:
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from typing_extensions import Self


def page_schema(schema: dict[str, Any]) -> None:
    """Make the JSON Schema of an executor that of Covalent's page.

    The page shows a field that may be left out by its type alone, and no null as a default.
    """
    for field in schema.get("properties", {}).values():
        kinds = [kind for kind in field.pop("anyOf", []) if kind != {"type": "null"}]
        field.update(kinds[0] if kinds else {})
        if field.get("default", "") is None:
            del field["default"]


class Runtime:
    """State of an executor beside its fields, in this process alone: copies and pickles begin anew."""

    def __init__(self) -> None:
        self.lock = ForkLock()
        # what runs circuits, how it was made, and of what fields; or when IBM refused its login, and the error
        self.device: Any = None
        self.recipe: tuple[Any, ...] = ()
        self.fields: tuple[Any, ...] = ()
        self.refusal: tuple[float, Exception] | None = None
        # circuits that are not finished; which member of a cluster took a circuit; calls of a cluster
        self.circuits: set[Future[Any]] = set()
        self.owners: WeakKeyDictionary[Future[Any], BaseQExecutor] = WeakKeyDictionary()
        self.turns = itertools.count()

    def __reduce__(self) -> tuple[type[Runtime], tuple[()]]:
        return (type(self), ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runtime)

    __hash__ = None  # type: ignore[assignment]


def _without_secret(value: Any) -> Any:
    if is_confidential(value):
        return {}
    return SecretStr("") if isinstance(value, SecretStr) else covered(value)


class BaseQExecutor(BaseModel):
    """Base of executors; a class of your own needs only :meth:`batch_submit`.

    A QNode reaches an executor through :meth:`batch_submit` and :meth:`batch_get_results` alone: a class that defines
    them otherwise is obeyed by calls, gradients, ``run_later`` and clusters.

    Attributes:
        persist_data: Write circuits, times and results to the database.
        qnode_device_import_path: Module and class of the QNode's device; kept, not used.
        qnode_device_shots: Shots of a tape that brings none, where the tape comes without a QNode.
        qnode_device_wires: Number of wires, where tapes come without a QNode.
        pennylane_active_return: Kept, not used: PennyLane has one way to return results today.
        device: A PennyLane device, for executors that run on one; others keep it and do not use it.
        num_threads: Kept, not used.
        name: The class's name; given by ``set_name``, whatever was passed.
    """

    model_config = ConfigDict(
        extra="allow",
        hide_input_in_errors=True,
        validate_assignment=True,
        protected_namespaces=(),
        json_schema_extra=page_schema,
    )
    known_extras: ClassVar[frozenset[str]] = frozenset()
    shown_by_reference: ClassVar[frozenset[str]] = frozenset()

    persist_data: bool = True
    qnode_device_import_path: tuple[str, str] | None = None
    qnode_device_shots: int | None = Field(default=None, ge=1)
    qnode_device_wires: int | None = Field(default=None, ge=1)
    pennylane_active_return: bool | None = None
    device: str = Field(default="default.qubit", min_length=1)
    num_threads: int = Field(default=10, ge=1)
    name: str = ""

    _own_runtime: Runtime = PrivateAttr(default_factory=Runtime)
    _whole_numbers = field_validator(
        "num_threads", "qnode_device_shots", "qnode_device_wires", mode="before"
    )(whole_number)

    def __init__(self, **data: Any) -> None:
        # first, and in place: tools that print the variables of a traceback show them
        hide_secrets(data)
        defaults = self._look_up(data)
        arguments = {name: value for name, value in data.items() if name not in defaults}
        for name in data:
            self._warn_of_typo(name)
        try:
            super().__init__(**{name: default.value for name, default in defaults.items()}, **arguments)
        except ValidationError as error:
            raise explain(type(self), error, data, defaults, type(self).__name__) from None

    @model_validator(mode="before")
    @classmethod
    def set_name(cls, values: Any) -> Any:
        """Name the executor after its class; the mapping that was passed stays as it was."""
        return {**values, "name": cls.__name__} if isinstance(values, dict) else values

    # of what says that it returns a dictionary, pydantic would make the schema of one
    _without_secrets = model_serializer(mode="wrap")(
        lambda self, handler: {
            name: covered(value)
            for name, value in handler(self).items()
            if name in self.shown_by_reference or not isinstance(getattr(self, name, None), SecretStr)
        }
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, covered(value)) for name, value in super().__repr_args__())

    def __setattr__(self, name: str, value: Any) -> None:
        values = {name: value}
        hide_secrets(values)
        super().__setattr__(name, values[name])

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, some of whose fields have other values; pydantic checks none of these."""
        values = dict(update or {})
        hide_secrets(values)
        return super().model_copy(update=values, deep=deep)

    def __copy__(self) -> Self:
        """A copy has circuits and a device of its own."""
        fresh = super().__copy__()
        fresh._own_runtime = Runtime()  # noqa: SLF001 - the same class's
        return fresh

    def __getstate__(self) -> dict[Any, Any]:
        """The state without secrets: a pickle may be kept or sent anywhere. What had some is looked up where it is used."""
        state = super().__getstate__()
        extra = state.get("__pydantic_extra__") or {}
        state["__dict__"] = {name: _without_secret(value) for name, value in state["__dict__"].items()}
        state["__pydantic_extra__"] = {
            name: _without_secret(value) for name, value in extra.items() if not is_confidential(value)
        }
        return state

    @property
    def _runtime(self) -> Runtime:
        # pydantic takes 2 us to find a private attribute, and each call asks for it several times
        runtime: Runtime = (self.__pydantic_private__ or {})["_own_runtime"]
        return runtime

    @property
    def backend_name(self) -> str:
        """Name of the backend that runs the circuits, for the database."""
        return ""

    @property
    def load(self) -> float:
        """Circuits that were taken and are not finished, for each that can run at once."""
        # in a forked process, those of the parent have ended
        return sum(not future.done() for future in self._runtime.circuits.copy()) / self.slots

    @property
    def slots(self) -> int:
        """Number of circuits, or jobs of circuits, that can run at once: ``max_jobs``, where an executor has it."""
        return max(1, int(getattr(self, "max_jobs", 1)))

    @property
    def shots_override(self) -> Shots | None:
        """Shots instead of those of the QNode; ``None`` keeps the QNode's."""
        return None

    @property
    def takes_tensors(self) -> bool:
        """Whether circuits may come with the tensors of their interface, which take long to convert one by one."""
        return False

    def leaves(self) -> Iterator[BaseQExecutor]:
        """All executors that may run a circuit: this one, or those of a cluster."""
        yield self

    def batch_submit(self, qscripts_list: Iterable[QuantumScript]) -> list[Future[Any]]:
        """Take circuits and return at once.

        Args:
            qscripts_list: ``n`` tapes.

        Returns:
            ``n`` futures in the order of the tapes.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say how to run circuits: define batch_submit."
        )

    def batch_get_results(self, futures_list: Iterable[Future[Any]]) -> list[Any]:
        """Wait for futures of :meth:`batch_submit`.

        Returns:
            Their results in order.

        Raises:
            WaitTimeoutError: ``timeout_secs`` ran out; the jobs run on.
            Exception: What the first circuit without a result failed with.
        """
        futures = list(futures_list)
        return results_of(futures, self.timeout_of(futures))

    def timeout_of(self, futures: Iterable[Future[Any]]) -> float | None:
        """Longest wait for circuits in seconds, from ``timeout_secs``; ``None`` for no end."""
        del futures
        limit: float | None = getattr(self, "timeout_secs", None)
        return limit

    def count(self, futures: Iterable[Future[Any]]) -> None:
        """Count circuits as load until they are done; those that are counted already stay so."""
        circuits = self._runtime.circuits
        for future in futures:
            if future in circuits:
                continue
            circuits.add(future)
            # a method of the executor's: an unfinished future keeps it, and so its device, alive
            future.add_done_callback(self._forget)

    def _forget(self, future: Future[Any]) -> None:
        self._runtime.circuits.discard(future)

    def close(self) -> None:
        """Give back threads and connections."""

    @classmethod
    def _look_up(cls, data: dict[str, Any]) -> dict[str, ConfigValue]:
        """Values that no argument gives, from the environment and from files."""
        del data
        return {}

    @classmethod
    def _warn_of_typo(cls, name: str) -> None:
        known = cls.model_fields.keys() | cls.known_extras
        if name in known:
            return
        suggestion = right_name(name, known)
        if suggestion is not None:
            text = f"it is kept and not used. Did you mean {suggestion!r}?"
        elif is_secret(name):
            text = "it looks like a secret, so it is hidden, and it is not used."
        else:
            return
        warnings.warn(f"{cls.__name__} has no field {name!r}; {text}", ConfigurationWarning, stacklevel=3)
