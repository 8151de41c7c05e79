"""All options in one frozen model, checked once.

What no argument gives comes from the environment and from files; see :mod:`.config`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

from platformdirs import user_data_path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from ._secrets import conceal, covered, is_confidential
from ._tags import check_tags, lift_tags
from ._variables import ESTIMATE_VARIABLE, HOME_VARIABLE
from .config import DEVICES, explain, find_values, leave_to_pennylanes_file
from .config_sources import hide_secrets
from .exceptions import ConfigurationError, nearest
from .loose_options import LOOSE_OPTIONS, as_dictionary, gather_options

DEFAULT_BACKEND = "ibmq_qasm_simulator"
DEFAULT_SHOTS = 1024
DEFAULT_TEMPLATE_BYTES = 256 << 20
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

MAY_BE_EMPTY = frozenset({"ibmqx_token", "ibmqx_url", "instance"})
"""Options that count as not given where they are empty."""


CONFIDENTIAL = ("proxies", "transpile_options", "primitive_options", "simulator_options", "run_options")
"""Options that may hold secrets among others."""


class Settings(BaseModel):
    """Options of a device; unknown ones are refused, and nothing changes after construction."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=True, hide_input_in_errors=True
    )

    backend: Any = Field(DEFAULT_BACKEND, description="Name of a backend, 'least_busy', or a Qiskit backend.")
    ibmqx_token: SecretStr | None = Field(None, description="IBM Quantum API key; never written or shown.")
    ibmqx_url: str | None = Field(None, description="Base URL of the service; None for IBM's own.")
    hub: str = Field("ibm-q", description="Hub of the classic service.")
    group: str = Field("open", description="Group of the classic service.")
    project: str = Field("main", description="Project of the classic service.")
    instance: str | None = Field(
        None,
        description="CRN or name of an IBM Quantum Platform instance, or 'auto' for one that has the backend.",
    )
    account_name: str | None = Field(None, description="Name of the account saved with IBM's client.")
    account_file: str | Path | None = Field(None, description="File that the account was saved in.")
    region: str | None = Field(None, description="Region of the instances to choose from, such as 'us-east'.")
    plans_preference: list[str] | None = Field(
        None, description="Plans of the instances to choose from, the preferred first."
    )
    tags: list[str] | None = Field(None, description="Tags that the instances to choose from have.")
    proxies: dict[str, Any] | None = Field(
        None, repr=False, description="Proxies of IBM's client: {'urls': {'https': ...}}."
    )
    verify: bool | None = Field(
        None, description="Check the service's certificate; None for the client's way."
    )
    private_endpoint: bool | None = Field(None, description="Reach the service by its private endpoint.")
    use_fractional_gates: bool = Field(
        False, description="Take a backend with its gates for any angle, where it has them."
    )
    calibration_id: str | None = Field(None, description="Calibration that the backend is to have.")
    dry_run: bool = Field(
        False, description="Send jobs to the backend's mock, which gives random numbers and charges nothing."
    )
    job_tags: list[str] = Field(
        default_factory=list, description="Tags of the jobs, by which they are found again here and at IBM."
    )
    max_jobs: int = Field(20, ge=1, description="Most jobs in flight at once.")
    shard_size: int | Literal["auto"] = Field("auto", description="Tapes in a job, or 'auto'.")
    template_bytes: int = Field(
        DEFAULT_TEMPLATE_BYTES,
        gt=0,
        description="Memory for compiled circuits that are kept, in bytes, about.",
    )
    timeout_secs: float | None = Field(
        None, gt=0, description="Seconds to wait for results, queue included; None waits for ever."
    )
    primitive: Literal["auto", "estimator", "sampler"] = Field(
        "auto", description="Which primitive gives expectation values."
    )
    parametrise: bool = Field(True, description="Share one parametrised circuit between tapes.")
    transpile_options: dict[str, Any] = Field(
        default_factory=dict, description="Options of Qiskit's generate_preset_pass_manager."
    )
    primitive_options: dict[str, Any] = Field(
        default_factory=dict, description="Options of the IBM primitives, such as resilience_level."
    )
    primitive_api: Literal["auto", "client", "service"] = Field(
        "auto",
        description="Kind of IBM's primitives: 'client', 'service', or 'auto' for the cheaper of those there are.",
    )
    noise_model: Any = Field(None, description="A qiskit_aer NoiseModel for local simulation.")
    simulator: Literal["auto", "aer", "lightning"] = Field(
        "auto",
        description="What simulates without noise on this machine: Aer, PennyLane Lightning, or 'auto' for the faster.",
    )
    simulator_options: dict[str, Any] = Field(
        default_factory=dict, description="Options of Aer, such as device='GPU' or precision='single'."
    )
    seed_simulator: int | None = Field(None, ge=0, description="Makes local runs repeatable.")
    journal: bool | Path = Field(
        True, description="Keep a journal of jobs on IBM Quantum: True, False, or the path of its file."
    )
    max_retries: int = Field(
        2, ge=0, description="How often a shard is sent again whose job failed for a reason that can pass."
    )
    on_interrupt: Literal["cancel", "detach"] = Field(
        "cancel", description="What Ctrl-C does to jobs on IBM Quantum: cancel them, or let them run on."
    )
    on_usage_limit: Literal["refuse", "wait"] = Field(
        "refuse",
        description="What happens once the instance has used its QPU time: an error, or waiting until it has more.",
    )
    max_usage_secs: float | None = Field(
        None, gt=0, description="Most QPU seconds that a batch may be estimated to use."
    )
    budget_secs: float | None = Field(
        None, gt=0, description="Most QPU seconds that the device may be estimated to use over its life."
    )
    max_overrun: float | None = Field(
        None,
        ge=1,
        description="IBM stops a job that takes so many times its estimate; None for IBM's own limit.",
    )
    progress: Any = Field(
        "auto",
        description="Show progress: True, False, 'auto', or a function that is given Progress records.",
    )
    engine: Any = Field(
        None,
        description="Where simulations run: a Dask client or its address, or a concurrent.futures.Executor.",
    )
    provider: Any = Field(None, description="An IBMProvider of the classic stack, logged in.")
    run_options: dict[str, Any] = Field(
        default_factory=dict, description="Options of a classic backend's run, such as rep_delay."
    )
    session: Any = Field(None, description="An open IBM Session or Batch to run in; never closed by us.")
    compile_backend: Any = Field(None, description="Backend to transpile for, if not the one that runs.")
    pass_manager: Any = Field(
        None, description="A Qiskit PassManager that compiles circuits in place of the preset one."
    )
    skip_transpilation: bool = Field(
        False, description="Send circuits as they are; they must be made of the backend's own gates."
    )

    @field_validator("max_jobs", "max_retries", "seed_simulator", mode="before")
    @classmethod
    def _whole_number(cls, value: object) -> object:
        return as_integer(value)

    @field_validator("job_tags", mode="before")
    @classmethod
    def _tags(cls, value: object) -> object:
        return check_tags(value)

    @field_validator("shard_size", mode="before")
    @classmethod
    def _shard_size(cls, value: object) -> object:
        value = as_integer(value)
        if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise ValueError("must be 'auto' or a whole number of tapes, at least 1")

    @field_validator("primitive_options", mode="before")
    @classmethod
    def _options_objects(cls, value: object) -> object:
        return as_dictionary(value)

    _concealed = field_validator(*CONFIDENTIAL)(conceal)
    _covered = field_serializer(*CONFIDENTIAL, "ibmqx_url")(covered)

    @field_validator("journal", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        return Path(value).expanduser() if isinstance(value, str) and value else value

    @field_validator("engine")
    @classmethod
    def _engine(cls, value: object) -> object:
        address = isinstance(value, str) and "://" in value
        client = hasattr(value, "get_executor") and hasattr(value, "nthreads")
        if value is None or address or client or isinstance(value, Executor):
            return value
        raise ValueError(
            "must be a Dask client or its address, such as 'tcp://host:8786', or a concurrent.futures.Executor"
        )

    @field_validator("progress")
    @classmethod
    def _progress(cls, value: object) -> object:
        if isinstance(value, bool) or value == "auto" or callable(value):
            return value
        raise ValueError("must be True, False, 'auto', or a function that takes one Progress record")

    @field_validator("timeout_secs", "max_usage_secs", "budget_secs", "max_overrun", mode="before")
    @classmethod
    def _seconds(cls, value: object) -> object:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("ibmqx_token", mode="before")
    @classmethod
    def _no_empty_token(cls, value: object) -> object:
        return SecretStr(value) if isinstance(value, str) and value else value or None

    @field_validator("ibmqx_token")
    @classmethod
    def _no_blank_in_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().split() != [value.get_secret_value()]:
            raise ValueError(
                "it has a blank or a line break, as a key read from a file does, which IBM takes for a wrong key; strip it"
            )
        return value

    @model_validator(mode="after")
    def _backend_given(self) -> Settings:
        if self.backend is None or self.backend == "":
            raise ValueError("backend must be a name, 'least_busy', or a Qiskit backend")
        return self

    @model_validator(mode="after")
    def _one_way_to_compile(self) -> Settings:
        own = [name for name in ("pass_manager", "skip_transpilation") if getattr(self, name)]
        preset = [name for name in ("transpile_options", "compile_backend") if getattr(self, name)]
        if len(own) == 2 or (own and preset):
            raise ValueError(
                f"{own[0]} and {[*own[1:], *preset][0]} cannot both say how circuits are compiled; give one of them"
            )
        return self

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, covered(value)) for name, value in super().__repr_args__())

    def __getstate__(self) -> dict[Any, Any]:
        """For pickle: all but the token and what else is secret, which go to the client and nowhere else."""
        state = super().__getstate__()
        values = {name: covered(value) for name, value in state["__dict__"].items()}
        without: dict[str, Any] = {name: {} for name in CONFIDENTIAL if is_confidential(getattr(self, name))}
        return {**state, "__dict__": {**values, **without, "ibmqx_token": None}}

    @property
    def client_arguments(self) -> dict[str, Any]:
        """Further arguments that IBM's client is made with."""
        values = {
            "name": self.account_name,
            "filename": None if self.account_file is None else str(self.account_file),
            "region": self.region,
            "plans_preference": self.plans_preference,
            "tags": self.tags,
            "proxies": self.proxies,
            "verify": self.verify,
            "private_endpoint": self.private_endpoint,
        }
        return {name: value for name, value in values.items() if value is not None}

    @property
    def journal_file(self) -> Path | None:
        """File of the journal; ``None`` for none. ``THREADED_IBMQ_HOME`` chooses the folder."""
        if isinstance(self.journal, Path):
            return self.journal
        return home_folder() / "journal.sqlite" if self.journal else None

    @property
    def compiles_otherwise(self) -> bool:
        """Whether circuits are compiled by the user's own pass manager, or not at all."""
        return self.pass_manager is not None or self.skip_transpilation

    @property
    def checks_needed(self) -> bool:
        """Whether something was given that only the packages it is meant for can check."""
        options = (
            self.simulator_options,
            self.transpile_options,
            self.primitive_options,
            self.noise_model,
            self.compile_backend,
            self.pass_manager,
            self.simulator != "auto",
        )
        return any(options) or self.session is not None or self.engine is not None


def home_folder() -> Path:
    """Folder of what this package keeps on disk: ``THREADED_IBMQ_HOME``, or the system's place for such data."""
    folder = os.environ.get(HOME_VARIABLE)
    return Path(folder).expanduser() if folder else user_data_path("threaded-ibmq", appauthor=False)


def estimates_file() -> Path | None:
    """File into which devices write what a batch would take instead of sending it: ``THREADED_IBMQ_ESTIMATE``; ``None`` to send."""
    file = os.environ.get(ESTIMATE_VARIABLE)
    return Path(file) if file else None


def as_integer(value: object) -> object:
    """NumPy integers are as good as Python's."""
    index = getattr(value, "__index__", None)
    if index is None or isinstance(value, bool):
        return value
    try:
        return index()
    except TypeError:  # an array of several has the method too
        return value


def load_settings(arguments: dict[str, Any]) -> Settings:
    """Check the arguments of a device and add what the environment gives.

    Options of the transpiler and of the primitives may also stand by themselves, as ``qiskit.remote`` takes them.

    Raises:
        ConfigurationError: An option is unknown or has a value that cannot work.
    """
    names = Settings.model_fields
    arguments = dict(arguments)
    leave_to_pennylanes_file(arguments)
    arguments = gather_options(arguments)
    hide_token(arguments)
    for name in arguments:
        if name not in names:
            raise ConfigurationError(
                f"Unknown argument {name!r} for 'threaded.ibmq'.{nearest(name, ['wires', 'shots', *names, *LOOSE_OPTIONS])} "
                f"Known arguments: wires, shots, {', '.join(names)}.",
                argument=name,
            )
    options = {k: v for k, v in arguments.items() if k not in MAY_BE_EMPTY or v not in (None, "")}
    account = next((name for name in ("account_name", "account_file") if options.get(name)), None)
    if account and options.get("ibmqx_token"):
        raise ConfigurationError(
            f"ibmqx_token and {account}: a saved account has a key of its own, so that one of the two would not be used. Give "
            "one of them. Nothing was sent.",
            argument=account,
            value=options[account],
        )
    # who names a saved account means its key and its address, whatever is configured
    exempt = {*options, "ibmqx_token", "ibmqx_url"} if account else {*options}
    values = find_values({*names, *LOOSE_OPTIONS, "options"}, names, judged=(DEVICES,))
    values = {name: value for name, value in values.items() if name not in exempt}
    configured = {name: conceal(typed(name, value.value)) for name, value in values.items()}
    for name, value in gather_options(configured).items():
        own = options.get(name)
        options[name] = {**value, **own} if isinstance(own, dict) and isinstance(value, dict) else value
    if "primitive_options" in options:
        options["primitive_options"] = as_dictionary(options["primitive_options"])
        lift_tags(options)
    hide_token(options)
    try:
        return Settings(**options)
    except ValidationError as error:
        raise explain(Settings, error, arguments, values) from None


def typed(name: str, value: Any) -> Any:
    """The value of an option whose text stands in the environment; other values as they are."""
    if not isinstance(value, str) or name not in Settings.model_fields:
        return value
    annotation: Any = Settings.model_fields[name].annotation
    if annotation is Any and name != "progress":
        return value
    if value.lower() in _TRUTH and (name == "progress" or "bool" in str(annotation)):
        return _TRUTH[value.lower()]
    if any(kind in str(annotation) for kind in ("dict[", "list[")):
        try:
            return json.loads(value)
        except ValueError:
            return [part.strip() for part in value.split(",")] if "list[" in str(annotation) else value
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        # refused with all others, in words that name the option
        return value


def hide_token(arguments: dict[str, Any]) -> None:
    """Wrap a token, and what else is secret, among arguments: tools that print the variables of a traceback show them."""
    hide_secrets(arguments)
    token = arguments.get("ibmqx_token")
    if token and not isinstance(token, SecretStr):
        arguments["ibmqx_token"] = type(token)  # it will be refused, and may hold a token all the same
