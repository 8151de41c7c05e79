"""The execution context of the current stack: this machine, or IBM Quantum Platform."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from ...circuits.limits import SERVICE_MOST, weigh
from ...circuits.shards import Limits
from ...device.context import ExecutionContext, open_here, open_remote
from ...exceptions import BackendError, ConfigurationError
from ...execution.usage import overheads
from ...resources import RESOURCES, Resources
from ...service.account import SERVICE, Accounts, Credentials
from ...service.address import check_address, check_proxies
from ...service.backends import LEAST_BUSY, Wanted, check_size, is_service_backend, warn_if_paused
from ...service.clock import CLOCK, Clock
from ...service.instances import Pins, check_session, check_session_backend, instance_of, session_on
from ...service.outage import Outage
from ...simulators.compile import check_transpile_options
from ...simulators.local import AER_NAMES, is_local_name, open_local
from ...simulators.own_compile import check_pass_manager
from .client import AUTO_INSTANCE, can_choose_fractional, can_choose_instance, can_run_dry, warn_of_sunset
from .jobs import LanePrimitives, PlatformJobs
from .options import split_primitive_options, warn_of_idle
from .retired_context import open_retired

if TYPE_CHECKING:
    from ...settings import Settings

NEVER_USED = frozenset({"rzz"})
"""Hardware takes a fractional RZZ for angles from 0 to pi/2 only, and the angles of a template can be anything."""


def open_platform(
    settings: Settings,
    wires: tuple[Any, ...],
    clock: Clock = CLOCK,
    resources: Resources = RESOURCES,
) -> ExecutionContext:
    """Open the backend that the settings name.

    Args:
        settings: Options of the device.
        wires: Its wires.
        clock: Time, as all that waits for the service sees it.
        resources: What the device shares with others.

    Raises:
        ConfigurationError: An option cannot work there.
        CredentialsError: A real backend was named, and there is no account or IBM refuses it.
        BackendError: There is no such backend, or it has too few qubits.
    """
    check_transpile_options(settings.transpile_options)
    check_pass_manager(settings.pass_manager)
    check_session(settings.session)
    _refuse_classic(settings)
    primitive_options, only = split_primitive_options(settings.primitive_options, settings.primitive_api)
    if isinstance(settings.compile_backend, str):
        compiler = open_local(settings.compile_backend, "compile_backend")
        settings = settings.model_copy(update={"compile_backend": compiler})
    elif settings.compile_backend is not None:
        is_service_backend(settings.compile_backend, "compile_backend")
    backend = settings.backend
    outage = Outage(SERVICE, settings.timeout_secs, clock)
    if isinstance(backend, str):
        if is_local_name(backend):
            warn_of_idle(primitive_options, here=True)
            return _here(backend if backend in AER_NAMES else open_local(backend), settings, wires)
        _check_instance(settings.instance)
        if settings.use_fractional_gates and backend == LEAST_BUSY and not can_choose_fractional():
            raise ConfigurationError(
                "use_fractional_gates=True with backend='least_busy' needs qiskit-ibm-runtime 0.48 or newer. Name a backend, "
                "or upgrade with: pip install -U qiskit-ibm-runtime qiskit qiskit-aer. Nothing was sent.",
                argument="use_fractional_gates",
                value=True,
            )
        check_address(settings.ibmqx_url)
        check_proxies(settings.proxies)
        client = json.dumps(settings.client_arguments, sort_keys=True)
        credentials = Credentials(settings.ibmqx_token, settings.ibmqx_url, settings.instance, client)
        wanted = Wanted(backend, len(wires), settings.use_fractional_gates, settings.calibration_id)
        try:
            accounts = resources.get(Accounts)
            service, opened = accounts.connect(credentials, wanted, outage, settings.timeout_secs)
        except BackendError:
            retired = open_retired(settings, credentials, primitive_options, only, outage, resources)
            if retired is None:
                raise
            return retired
        return _remote(service, opened, settings, primitive_options, only, wires, outage, resources)
    if is_service_backend(backend):
        pinned = resources.get(Pins).pin(backend)
        return _remote(*pinned, settings, primitive_options, only, wires, outage, resources)
    warn_of_idle(primitive_options, here=True)
    return _here(backend, settings, wires)


def _here(backend: Any, settings: Settings, wires: tuple[Any, ...]) -> ExecutionContext:
    check_session_backend(settings.session, backend if isinstance(backend, str) else str(backend.name))
    return open_here(backend, settings, wires)


def _remote(
    service: Any,
    backend: Any,
    settings: Settings,
    primitive_options: dict[str, dict[str, Any]],
    only: str | None,
    wires: tuple[Any, ...],
    outage: Outage,
    resources: Resources,
) -> ExecutionContext:
    if settings.noise_model is not None:
        raise ConfigurationError(
            f"noise_model: backend {backend.name!r} is a service's and takes no noise model. Nothing was sent.",
            argument="noise_model",
        )
    if settings.dry_run and not can_run_dry():
        raise ConfigurationError(
            "dry_run=True: needs qiskit-ibm-runtime 0.49 or newer. Upgrade with: pip install -U qiskit-ibm-runtime qiskit "
            "qiskit-aer. Nothing was sent.",
            argument="dry_run",
            value=True,
        )
    warn_of_sunset()
    warn_of_idle(primitive_options, here=False)
    check_size(backend, len(wires))
    warn_if_paused(service, backend)
    jobs = PlatformJobs(
        service,
        backend,
        primitive_options,
        api=settings.primitive_api,
        only=only,
        dry_run=settings.dry_run,
        outage=outage,
    )
    session = session_on(settings.session, backend)
    simulated = bool(getattr(backend.configuration(), "simulator", False))
    return open_remote(
        jobs,
        settings,
        resources,
        instance=instance_of(backend),
        estimator=settings.primitive == "estimator" or (settings.primitive == "auto" and not simulated),
        limits=Limits(
            SERVICE_MOST,
            partial(weigh, overhead=overheads(primitive_options)),
            stated_shots=getattr(backend.configuration(), "max_shots", None),
            one_number_of_shots=jobs.uniform,
            equal_shots=jobs.uniform,
        ),
        without=NEVER_USED,
        exact=True,
        simulates=simulated,
        open_inner=lambda: LanePrimitives(backend, session),
    )


def _check_instance(instance: str | None) -> None:
    """Refuse to leave the choice of an instance to a client that does not make it."""
    if instance == AUTO_INSTANCE and not can_choose_instance():
        raise ConfigurationError(
            "instance='auto': needs qiskit-ibm-runtime 0.48 or newer. Leave instance out, which chooses in the same way, or "
            "upgrade with: pip install -U qiskit-ibm-runtime qiskit qiskit-aer. Nothing was sent.",
            argument="instance",
            value=instance,
        )


def _refuse_classic(settings: Settings) -> None:
    """Options of the classic stack."""
    for argument in ("provider", "run_options"):
        if getattr(settings, argument):
            raise ConfigurationError(
                f"{argument}: belongs to the classic stack, which this environment does not have. Nothing was sent.",
                argument=argument,
            )
