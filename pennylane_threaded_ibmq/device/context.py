"""The execution context of a device: chosen once from its settings, this machine or a service."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from .._secrets import is_confidential
from ..circuits.shards import Limits, Shard
from ..exceptions import ConfigurationError, JournalError
from ..execution.batch import RunContext
from ..execution.batch_journal import BatchJournal
from ..execution.batch_service import BatchService
from ..execution.chunks import BackendSpec
from ..execution.durations import Durations
from ..execution.engine import open_engine
from ..execution.lanes import Lanes
from ..execution.local import LocalRunner
from ..execution.pool import EngineRunner
from ..execution.remote import ServiceRunner
from ..execution.usage import REP_DELAY_SECS, Estimate, Machine, estimate
from ..service.backends import check_size
from ..service.pace import Pacer, Pacers
from ..service.service import JobService
from ..simulators.canonical import NoCanonicalFormError, canonical
from ..simulators.compile import Compiler
from ..simulators.cores import count_cores
from ..simulators.local import AER_NAMES, LocalBackend
from ..simulators.own_compile import OwnCompiler
from ..store.journal import Journal, Journals
from ..store.records import DIGEST
from .simulator import choose_lightning, refuse_simulator

if TYPE_CHECKING:
    from ..circuits.template import Fuse
    from ..resources import Resources
    from ..settings import Settings

QPU_OPTIMIZATION_LEVEL = 2
"""Qiskit's own default; fewer two-qubit gates are worth the seconds on a QPU, where a template is compiled once."""


SMALL = 20
"""Wires that any backend of this machine has; only more of them are worth the import of a simulator."""


@dataclass(frozen=True, eq=False)
class ExecutionContext(RunContext):
    """Everything that a device needs to run batches.

    Attributes:
        name: Name of the backend.
        count_qubits: Tells its qubits; ``None`` if it does not say.
        limits: What fits in one job of a service; ``None`` on this machine.
        estimator: Expectation values go through the Estimator.
        compiler: Transpiles for the backend.
        jobs: Jobs of the service; ``None`` on this machine.
        instance: Who pays; empty on this machine.
        job_options: Options by which its jobs are recognised later; empty on this machine.
        retired: Nothing can be sent there any more.
        fuse: Makes circuits run on Lightning's state vector; ``None`` where none does.
        least_qubits: So many qubits it has without being asked.
        pacer: Slots and speed of a service's simulator, on which batches are spread; ``None`` anywhere else.
    """

    name: str
    count_qubits: Callable[[], int | None]
    limits: Limits | None
    estimator: bool
    compiler: Compiler
    jobs: JobService | None = None
    instance: str = ""
    job_options: Mapping[str, Any] = field(default_factory=dict)
    retired: bool = False
    fuse: Fuse | None = None
    least_qubits: int = 0
    pacer: Pacer | None = None

    @property
    def remote(self) -> bool:
        """Whether shards become jobs of a service."""
        return self.jobs is not None

    def estimate(self, shards: Sequence[Shard], *, ask: bool) -> Estimate:
        """Estimate of what a batch will take.

        Args:
            shards: The batch, cut.
            ask: Also ask the service what is left on the instance.
        """
        if self.jobs is None:
            return estimate(shards, machine=None)
        delay = self.jobs.rep_delay_secs or REP_DELAY_SECS
        machine = Machine(Durations(self.jobs.backend), delay, self.jobs.options)
        return estimate(shards, machine=machine, left_secs=self.jobs.left() if ask else None)

    def close(self) -> None:
        """End all threads."""
        self.lanes.close()
        self.runner.close()


def is_on_this_machine(backend: Any) -> bool:
    """Whether a backend can be opened later because it is Aer, which is always there."""
    return isinstance(backend, str) and backend in AER_NAMES


def open_here(backend: Any, settings: Settings, wires: tuple[Any, ...]) -> ExecutionContext:
    """A backend of this machine.

    Args:
        backend: A Qiskit backend, or a name of Aer.
        settings: Options of the device.
        wires: Wires of the device.
    """
    local = LocalBackend(
        backend,
        compile_backend=settings.compile_backend,
        transpile_options=settings.transpile_options,
        noise_model=settings.noise_model,
        options=settings.simulator_options,
        seed=settings.seed_simulator,
    )
    later = isinstance(backend, str)
    if not later or len(wires) > SMALL:
        check_size(local.backend, len(wires))
    local.check()
    seeded = settings.seed_simulator is not None
    if settings.engine is None:
        runner = LocalRunner(local, seeded=seeded)
        # more runs than cores only wait for each other
        most = min(settings.max_jobs, count_cores())
    else:
        spec = BackendSpec(settings.backend, settings.noise_model, settings.simulator_options)
        runner = EngineRunner(local, spec, open_engine(settings.engine), seeded=seeded)
        most = settings.max_jobs
    lightning = choose_lightning(settings, local)
    return ExecutionContext(
        runner,
        # a simulator of this machine is no lane's own
        Lanes(most, lambda: None),
        BatchJournal(),
        None,
        local.name,
        lambda: local.num_qubits,
        None,
        settings.primitive == "estimator",
        OwnCompiler(lambda: local.backend, settings.pass_manager)
        if settings.compiles_otherwise
        else local.compiler,
        fuse=None if lightning is None else lightning.fused,
        least_qubits=SMALL if later else 0,
    )


def _journal(settings: Settings, resources: Resources) -> Journal | None:
    """The journal that the settings ask for; a place of our own choosing that cannot be used is a warning."""
    path = settings.journal_file
    if path is None:
        return None
    try:
        return resources.get(Journals).at(path)
    except JournalError as error:
        if settings.journal is not True:
            raise JournalError(
                f"{error} Choose another file with journal=, or say journal=False. Nothing was sent."
            ) from error
        warnings.warn(
            f"{error} Jobs are not written down, so a crash would lose their ids. Choose another place with journal= or "
            "THREADED_IBMQ_HOME, or say journal=False.",
            UserWarning,
            stacklevel=2,
        )
        return None


def open_remote(
    jobs: JobService,
    settings: Settings,
    resources: Resources,
    *,
    instance: str,
    estimator: bool,
    limits: Limits,
    without: frozenset[str],
    exact: bool = False,
    simulates: bool = False,
    open_inner: Callable[[], Any],
) -> ExecutionContext:
    """Jobs on a backend of a service.

    Args:
        jobs: The jobs.
        settings: Options of the device.
        resources: What the device shares with others.
        instance: Who pays.
        estimator: Expectation values go through the Estimator.
        limits: What fits in one job.
        without: Gates not to use though the backend has them.
        exact: The service takes only what its backend has, and does not look before it runs it.
        simulates: The backend is a simulator, whose jobs cost nothing but time.
        open_inner: Makes the inner device of a lane.
    """
    refuse_simulator(settings, f"backend {jobs.backend.name!r} is a service's, which simulates as it does")
    if settings.simulator_options:
        raise ConfigurationError(
            f"simulator_options: backend {jobs.backend.name!r} is a service's, and these are options of Aer on this machine. "
            "Nothing was sent.",
            argument="simulator_options",
            value=settings.simulator_options,
        )
    if settings.engine is not None:
        raise ConfigurationError(
            f"engine: backend {jobs.backend.name!r} is a service's, and an engine runs simulations. Nothing was sent.",
            argument="engine",
        )
    if settings.max_overrun is not None and not jobs.stops_jobs:
        raise ConfigurationError(
            f"max_overrun={settings.max_overrun:g}: the classic service of {jobs.backend.name!r} stops no job. Leave it out. "
            "Nothing was sent.",
            argument="max_overrun",
            value=settings.max_overrun,
        )
    backend = jobs.backend
    journal = _journal(settings, resources)
    # who writes nothing down recognises nothing
    name = str(backend.name)
    job_options = {} if journal is None else _job_options(settings, jobs, estimator=estimator)
    pacer = resources.get(Pacers).of(instance, name)
    batch_journal = BatchJournal(
        journal,
        name,
        instance,
        job_options,
        options="" if journal is None else canonical(jobs.options),
        by_circuits=settings.compiles_otherwise,
    )
    runner = ServiceRunner(
        jobs,
        batch_journal,
        pacer,
        max_retries=settings.max_retries,
        waits_for_usage=settings.on_usage_limit == "wait",
        learns_speed=simulates,
    )
    return ExecutionContext(
        runner,
        Lanes(settings.max_jobs, open_inner),
        batch_journal,
        BatchService(jobs, batch_journal, in_session=settings.session is not None),
        name,
        lambda: backend.num_qubits,
        limits,
        estimator,
        _compiler(settings, backend, without=without, exact=exact, recognised=journal is not None),
        jobs,
        instance,
        job_options,
        pacer=pacer if simulates else None,
    )


def _compiler(
    settings: Settings, backend: Any, *, without: frozenset[str], exact: bool, recognised: bool
) -> Compiler:
    """The compiler of circuits for a backend of a service."""
    if settings.compiles_otherwise:
        return OwnCompiler(backend, settings.pass_manager, without=without, recognised=recognised)
    options = {"optimization_level": QPU_OPTIMIZATION_LEVEL, **settings.transpile_options}
    runs_on = backend if exact else None
    return Compiler(settings.compile_backend or backend, options, without=without, runs_on=runs_on)


def _job_options(settings: Settings, jobs: JobService, *, estimator: bool) -> dict[str, Any]:
    """Options by which jobs are recognised later: with others, the same tapes are other jobs.

    Raises:
        ConfigurationError: One of them could not be recognised.
    """
    found: dict[str, Any] = {
        "primitive": "estimator" if estimator else "sampler",
        "parametrise": settings.parametrise,
        "primitive_options": settings.primitive_options,
        "run_options": settings.run_options,
        "skip_transpilation": settings.skip_transpilation,
    }
    if settings.dry_run:
        found["dry_run"] = True
    for name in ("seed_simulator", "noise_model"):
        if name in jobs.options:
            found[name] = getattr(settings, name)
    manager = settings.pass_manager
    # a pass manager has no form of its own: that there is one is known, and its circuits tell jobs apart
    there = None if manager is None else {DIGEST: type(manager).__name__}
    return {**{name: _written(name, value) for name, value in found.items()}, "pass_manager": there}


def _written(name: str, value: Any) -> Any:
    """An option as the journal has it: as JSON, or as a digest where JSON would not give it back, or would show a secret.

    Raises:
        ConfigurationError: Nothing tells whether the same value is given again.
    """
    try:
        text = canonical(value)
    except NoCanonicalFormError as error:
        where = ".".join(map(str, error.path))
        raise ConfigurationError(
            f"{name}: {where or 'it'} is a {error.kind}, and nothing tells whether the next run gives the same one, so that "
            "its jobs would not be recognised and would be paid for again. Give numbers, texts, lists, arrays, dictionaries, "
            "circuits, Aer's noise models or what IBM's noise learners give; or keep no journal: journal=False. "
            "Nothing was sent.",
            argument=name,
            value=value,
        ) from None
    with suppress(TypeError, ValueError):
        plain = json.loads(json.dumps(value))
        if canonical(plain) == text and not is_confidential(value):
            return plain
    return {DIGEST: sha256(text.encode()).hexdigest()}
