"""Where a device works: chosen once from its settings, this machine or a service."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..exceptions import ConfigurationError, JournalError
from ..execution.elsewhere import EngineSite
from ..execution.engine import open_engine
from ..execution.journal import Journal, journals
from ..execution.lanes import Lanes
from ..execution.local import LocalSite
from ..execution.pieces import BackendSpec
from ..execution.remote import RemoteSite
from ..execution.shards import Shard
from ..execution.usage import REP_DELAY_SECS, Estimate, estimate
from ..ibm.account import Credentials, accounts, check_session, check_size, instance_of, is_service_backend
from ..ibm.compile import Compiler
from ..ibm.jobs import Jobs
from ..ibm.local import LocalBackend, is_local_name, open_local
from ..ibm.options import check_transpile_options, split_primitive_options
from ..ibm.pace import pacers

if TYPE_CHECKING:
    from ..settings import Settings

QPU_OPTIMIZATION_LEVEL = 2
"""Qiskit's own default; fewer two-qubit gates are worth the seconds on a QPU, where a template is compiled once."""

NEVER_USED = frozenset({"rzz"})
"""Hardware takes a fractional RZZ for angles from 0 to pi/2 only, and the angles of a template can be anything."""


@dataclass(frozen=True, eq=False)
class Workplace:
    """Everything that a device needs to run shards.

    Attributes:
        name: Name of the backend.
        num_qubits: Its qubits; ``None`` if it does not say.
        remote: Shards become jobs of a service.
        estimator: Expectation values go through the Estimator.
        compiler: Transpiles for the backend.
        site: Runs shards.
        lanes: Carry them.
        jobs: Jobs of the service; ``None`` on this machine.
        instance: Who pays; empty on this machine.
    """

    name: str
    num_qubits: int | None
    remote: bool
    estimator: bool
    compiler: Compiler
    site: LocalSite | RemoteSite
    lanes: Lanes
    jobs: Jobs | None = None
    instance: str = ""

    def estimate(self, shards: Sequence[Shard], *, ask: bool) -> Estimate:
        """What a batch will take.

        Args:
            shards: The batch, cut.
            ask: Also ask the service what is left on the instance.
        """
        if self.jobs is None:
            return estimate(shards, remote=False)
        return estimate(
            shards,
            remote=True,
            rep_delay_secs=self.jobs.rep_delay_secs or REP_DELAY_SECS,
            primitive_options=self.jobs.options,
            left_secs=self.jobs.left() if ask else None,
        )

    def close(self) -> None:
        """End all threads."""
        self.lanes.close()
        if isinstance(self.site, RemoteSite):
            self.site.watcher.close()
        elif isinstance(self.site, EngineSite):
            self.site.close()


def is_on_this_machine(backend: Any) -> bool:
    """Whether a backend can be opened later because it is Aer, which is always there."""
    return (
        isinstance(backend, str)
        and is_local_name(backend)
        and not backend.startswith(("fake_", "aer_simulator_"))
    )


def open_workplace(settings: Settings, wires: tuple[Any, ...]) -> Workplace:
    """Open the backend that the settings name.

    Raises:
        ConfigurationError: An option cannot work there.
        CredentialsError: A real backend was named, and there is no account or IBM refuses it.
        BackendError: There is no such backend, or it has too few qubits.
    """
    check_transpile_options(settings.transpile_options)
    check_session(settings.session)
    primitive_options = split_primitive_options(settings.primitive_options)
    if isinstance(settings.compile_backend, str):
        settings = settings.model_copy(update={"compile_backend": open_local(settings.compile_backend)})
    elif settings.compile_backend is not None:
        is_service_backend(settings.compile_backend, "compile_backend")
    backend = settings.backend
    if isinstance(backend, str):
        if is_local_name(backend):
            return _local(open_local(backend), settings, wires)
        credentials = Credentials(settings.ibmqx_token, settings.ibmqx_url, settings.instance)
        service, opened = accounts().connect(credentials, backend, len(wires))
        return _remote(service, opened, settings, primitive_options, wires)
    if is_service_backend(backend):
        return _remote(backend.service, backend, settings, primitive_options, wires)
    return _local(backend, settings, wires)


def _local(backend: Any, settings: Settings, wires: tuple[Any, ...]) -> Workplace:
    check_size(backend, len(wires))
    local = LocalBackend(
        backend,
        compile_backend=settings.compile_backend,
        transpile_options=settings.transpile_options,
        noise_model=settings.noise_model,
        seed=settings.seed_simulator,
    )
    if settings.noise_model is not None:
        local.check_noise_model()
    seeded = settings.seed_simulator is not None
    if settings.engine is None:
        site = LocalSite(local, seeded=seeded)
        # more runs than cores only wait for each other
        most = min(settings.max_jobs, os.cpu_count() or 1)
    else:
        spec = BackendSpec(settings.backend, settings.noise_model)
        site = EngineSite(local, spec, open_engine(settings.engine), seeded=seeded)
        most = settings.max_jobs
    lanes = Lanes(most, site.open_inner)
    return Workplace(
        local.name, local.num_qubits, False, settings.primitive == "estimator", local.compiler, site, lanes
    )


def _journal(settings: Settings) -> Journal | None:
    """The journal that the settings ask for; a place of our own choosing that cannot be used is a warning."""
    path = settings.journal_file
    if path is None:
        return None
    try:
        return journals().at(path)
    except JournalError as error:
        if settings.journal is not True:
            raise
        warnings.warn(
            f"{error} Jobs are not written down, so a crash would lose their ids. Choose another place with journal= or "
            "THREADED_IBMQ_HOME, or say journal=False.",
            UserWarning,
            stacklevel=2,
        )
        return None


def _remote(
    service: Any,
    backend: Any,
    settings: Settings,
    primitive_options: dict[str, dict[str, Any]],
    wires: tuple[Any, ...],
) -> Workplace:
    if settings.noise_model is not None:
        raise ConfigurationError(
            f"noise_model: backend {backend.name!r} is a service's and takes no noise model. Nothing was sent.",
            argument="noise_model",
        )
    if settings.engine is not None:
        raise ConfigurationError(
            f"engine: backend {backend.name!r} is a service's, and an engine runs simulations. Nothing was sent.",
            argument="engine",
        )
    check_size(backend, len(wires))
    options = {"optimization_level": QPU_OPTIMIZATION_LEVEL, **settings.transpile_options}
    instance = instance_of(service)
    jobs = Jobs(service, backend, primitive_options)
    site = RemoteSite(
        jobs,
        wires,
        settings.session,
        instance=instance,
        pacer=pacers().of(instance, str(backend.name)),
        journal=_journal(settings),
        max_retries=settings.max_retries,
    )
    simulated = bool(getattr(backend.configuration(), "simulator", False))
    estimator = settings.primitive == "estimator" or (settings.primitive == "auto" and not simulated)
    return Workplace(
        str(backend.name),
        backend.num_qubits,
        True,
        estimator,
        Compiler(settings.compile_backend or backend, options, without=NEVER_USED),
        site,
        Lanes(settings.max_jobs, site.open_inner),
        jobs,
        instance,
    )
