"""Configuration of the service: its backends, its instances, its limits and its pace."""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from typing_extensions import Self

SIMULATOR = "loopback_simulator"
"""Name of the Platform's one backend that reports itself as a simulator; it has no snapshot behind it."""

CLASSIC_SIMULATOR = "ibmq_qasm_simulator"
"""Name of the simulator of the classic API; it has no snapshot behind it either."""

DEFAULT_CRN = (
    "crn:v1:bluemix:public:quantum-computing:us-east:"
    "a/00000000000000000000000000000001:00000000-0000-4000-8000-000000000001::"
)
"""Cloud resource name of the instance that an unchanged configuration offers."""

_CRN = r"^crn:v1:[a-z]+:public:quantum-computing:[a-z0-9-]+:a/[0-9a-zA-Z]+:[0-9a-zA-Z-]+::$"
_NAME = r"^[A-Za-z0-9._-]+$"


class Model(BaseModel):
    """A frozen record that refuses unknown keys, so that a misspelt option is never silent."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Payer(Model):
    """A part of an account that jobs are for."""

    backends: tuple[str, ...] | None = None

    @property
    @abstractmethod
    def id(self) -> str:
        """Id under which jobs and sessions are its own."""

    def offers(self, backend: str) -> bool:
        """Whether its jobs may run on a backend."""
        return self.backends is None or backend in self.backends


class Instance(Payer):
    """One service instance of the account, as IBM's resource search lists it.

    Attributes:
        crn: Cloud resource name. Its sixth field is the region, from which a client derives the host.
        name: Name that ``QiskitRuntimeService(instance=...)`` takes in place of the CRN.
        plan: Plan as IBM displays it; dedicated sessions are refused on ``"open"``.
        pricing_type: Orders the instances when a client names none: ``free`` comes first.
        backends: Names of the backends this instance may use; ``None`` for all. Clients do not see an instance without any.
        tags: Tags by which a client may choose an instance.
    """

    crn: str = Field(default=DEFAULT_CRN, pattern=_CRN)
    name: str = Field(default="open-instance", min_length=1)
    plan: str = Field(default="open", min_length=1)
    pricing_type: Literal["free", "trial", "paygo", "paid", "subscription"] = "free"
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The CRN."""
        return self.crn


class Project(Payer):
    """One hub/group/project of the account, as the classic API lists it.

    Attributes:
        hub: Name of the hub.
        group: Name of the group.
        project: Name of the project.
        backends: Names of the classic backends this project may use; ``None`` for all.
    """

    hub: str = Field(default="ibm-q", pattern=_NAME)
    group: str = Field(default="open", pattern=_NAME)
    project: str = Field(default="main", pattern=_NAME)

    @property
    def name(self) -> str:
        """``hub/group/project``."""
        return f"{self.hub}/{self.group}/{self.project}"

    @property
    def id(self) -> str:
        """The name; it stands where the Platform has the CRN of an instance."""
        return self.name


class LoopbackConfig(Model):
    """Everything that can be chosen about a loopback service; checked once, then frozen.

    Attributes:
        backends: Names of the backends, or a mapping from names to snapshots. ``ibm_torino`` is served from the
            snapshot ``fake_torino`` that ships with ``qiskit-ibm-runtime``; ``loopback_simulator`` is a
            simulator that takes any gate. Dry runs for ``ibm_x`` take a backend ``mock_x``: it gives random numbers
            for nothing, and is listed on demand alone.
        classic_backends: The same for clients of the classic API, with ``ibmq_qasm_simulator`` for the simulator.
        tokens: API keys that can log in. Each may use every instance and every project.
        any_token: Any other API key can log in, too: programs that bring their own.
        unlicensed_tokens: API keys whose owner has not accepted the licence; the classic login says so.
        instances: Service instances of the account.
        projects: Hubs, groups and projects of the account, for clients of the classic API; the first is the default.
        inline_bytes: Results longer than this are handed to clients of the classic API as a URL to fetch them from.
        gone: HTTP status with which the classic API answers everything, as if it had been switched off; ``None`` if it
            works. The Platform is not concerned.
        job_secs: Seconds each job spends in ``Running`` at least; the simulation counts towards it.
        circuit_secs: Seconds that each circuit of a job adds to that; a circuit counts once for each of its rows of values.
        queue_secs: Seconds each job spends in ``Queued`` at least.
        slots: Most jobs of one backend in ``Running`` at a time.
        request_secs: Seconds added to every request, logins included.
        max_pending: Most jobs of one instance or project in ``Queued`` or ``Running``; more are refused as IBM refuses
            them on the open plan, where the limit is 3. ``None`` for no limit.
        jobs_per_minute: Most jobs accepted from one instance or project within a minute; IBM documents 5. ``None`` for no limit.
        minute_secs: Length of that minute, so that a test need not take one.
        token_lifetime_secs: Lifetime of an access token. The client renews at 80 % and counts a token as
            expired 10 seconds before its end.
        oldest_version: Requests that speak an older version of the API, by their header ``IBM-API-Version``, are refused
            with 400. IBM has published 2027-01-01 as the day after which it may refuse versions before ``2026-02-01``.
        usage_delay_secs: Seconds from the end of a job until its usage is known. Until then its status is ``pending``, for
            clients that speak a version from 2026-03-15 on; older ones cannot be told.
        usage_limit_secs: QPU seconds each instance or project may use; further jobs are refused. ``None`` for no limit.
        noise: Simulate with gate and readout errors derived from the snapshot. Off, simulation is ideal.
        seed: Makes the results of each row depend on its content alone: on the circuit with its values, on the
            observable and on the number of shots, and neither on the job it came in nor on its neighbours. Equal rows
            then have equal results. ``None`` draws afresh each time.
        keep_jobs: Finished jobs kept; the oldest are dropped first.
        keep_bytes: Bytes of inputs and results kept of finished jobs; the oldest are dropped first.
        port: Port to listen on; 0 lets the system choose. The address is always 127.0.0.1.
    """

    backends: tuple[str, ...] | Mapping[str, str] = ("ibm_torino", "ibm_brisbane", SIMULATOR)
    classic_backends: tuple[str, ...] | Mapping[str, str] = (CLASSIC_SIMULATOR, "ibmq_lima", "ibm_hanoi")
    tokens: tuple[str, ...] = Field(default=("loopback-token",), min_length=1)
    any_token: bool = False
    unlicensed_tokens: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = Field(default=(Instance(),), min_length=1)
    projects: tuple[Project, ...] = Field(default=(Project(),), min_length=1)
    inline_bytes: int = Field(default=1024**2, ge=0)
    gone: Literal[404, 410] | None = None
    job_secs: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    circuit_secs: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    queue_secs: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    slots: int = Field(default=20, ge=1)
    request_secs: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    max_pending: int | None = Field(default=None, ge=1)
    jobs_per_minute: int | None = Field(default=None, ge=1)
    minute_secs: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    token_lifetime_secs: int = Field(default=3600, ge=1)
    oldest_version: str = Field(default="2024-01-01", pattern=r"^\d{4}-\d{2}-\d{2}$")
    usage_delay_secs: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    usage_limit_secs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    noise: bool = False
    seed: int | None = Field(default=None, ge=0)
    keep_jobs: int = Field(default=5000, ge=1)
    keep_bytes: int = Field(default=256 * 1024**2, ge=1)
    port: int = Field(default=0, ge=0, le=65535)

    @property
    def snapshots(self) -> dict[str, str | None]:
        """Snapshot behind the name of each of the Platform's backends, ``None`` for the simulator."""
        return _snapshots(self.backends, SIMULATOR)

    @property
    def classic_snapshots(self) -> dict[str, str | None]:
        """Snapshot behind the name of each classic backend, ``None`` for the simulator."""
        return _snapshots(self.classic_backends, CLASSIC_SIMULATOR)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for field in ("backends", "classic_backends"):
            names = list(getattr(self, field))
            if not names or len(set(names)) != len(names) or not all(names):
                raise ValueError(f"{field} must be distinct names, at least one; got {names}")
        for field, values in (
            ("instances have the same crn", [instance.crn for instance in self.instances]),
            ("instances have the same name", [instance.name for instance in self.instances]),
            ("projects have the same name", [project.name for project in self.projects]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"two {field}: {values}")
        for instance in self.instances:
            _check_offer(f"instance {instance.name!r}", instance.backends, list(self.backends))
        for project in self.projects:
            _check_offer(f"project {project.name!r}", project.backends, list(self.classic_backends))
        if not all(self.tokens):
            raise ValueError("a token must not be empty")
        for name, snapshot in self.classic_snapshots.items():
            if self.snapshots.get(name, snapshot) != snapshot:
                raise ValueError(
                    f"backend {name!r} has two snapshots: {self.snapshots[name]!r} and {snapshot!r}"
                )
        return self


def _snapshots(backends: tuple[str, ...] | Mapping[str, str], simulator: str) -> dict[str, str | None]:
    if isinstance(backends, Mapping):
        return {name: None if name == simulator else fake for name, fake in backends.items()}
    return {name: None if name == simulator else _snapshot(name) for name in backends}


def _snapshot(name: str) -> str:
    """Name of the snapshot of a real system: ``fake_lima`` for ``ibmq_lima``, and for its mock."""
    prefix = next((prefix for prefix in ("ibmq_", "ibm_", "mock_") if name.startswith(prefix)), "")
    return "fake_" + name[len(prefix) :]


def _check_offer(owner: str, offered: tuple[str, ...] | None, names: list[str]) -> None:
    for backend in offered or ():
        if backend not in names:
            near = difflib.get_close_matches(backend, names, n=1) or names
            raise ValueError(
                f"{owner} offers {backend!r}, which is none of the backends; did you mean {near[0]!r}?"
            )
