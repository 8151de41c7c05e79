"""The execution context of the classic stack: this machine, or a classic service."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

from ...circuits.limits import CLASSIC_MOST, weigh_plainly
from ...circuits.shards import Limits
from ...device.context import ExecutionContext, open_here, open_remote
from ...exceptions import ConfigurationError
from ...resources import RESOURCES, Resources
from ...service.address import check_classic_address
from ...service.backends import check_size
from ...service.clock import CLOCK, Clock
from ...service.outage import Outage
from ...settings import DEFAULT_BACKEND
from ...simulators.compile import check_transpile_options
from ...simulators.local import AER_NAMES, is_local_name, open_local
from ...simulators.own_compile import check_pass_manager
from .account import (
    SERVICE,
    ClassicAccounts,
    ClassicCredentials,
    ClassicLogin,
    is_classic_backend,
    open_provider,
)
from .jobs import ClassicJobs, SendingDevice
from .options import check_run_options

if TYPE_CHECKING:
    from ...settings import Settings


def is_local_here(settings: Settings) -> bool:
    """Whether a backend's name means a simulation on this machine.

    The classic service has an ``ibmq_qasm_simulator``: whoever brings credentials, or the address of a service, means that
    one.
    """
    name = settings.backend
    if not isinstance(name, str) or not is_local_name(name):
        return False
    service = (settings.ibmqx_token, settings.ibmqx_url, settings.provider)
    return name != DEFAULT_BACKEND or not any(service)


def open_classic(
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
        CredentialsError: A real backend was named, and there is no account or the service refuses it.
        BackendError: There is no such backend, or it has too few qubits.
    """
    check_transpile_options(settings.transpile_options)
    check_pass_manager(settings.pass_manager)
    if isinstance(settings.compile_backend, str):
        compiler = open_local(settings.compile_backend, "compile_backend")
        settings = settings.model_copy(update={"compile_backend": compiler})
    backend = settings.backend
    if is_local_here(settings):
        return open_here(backend if backend in AER_NAMES else open_local(backend), settings, wires)
    outage, secs = Outage(SERVICE, settings.timeout_secs, clock), settings.timeout_secs
    if not isinstance(backend, str):
        if not is_classic_backend(backend):
            return open_here(backend, settings, wires)
        login = outage.ask(lambda: open_provider(backend.provider, str(backend.name)), secs=secs)
    elif settings.provider is not None:
        login = outage.ask(lambda: open_provider(settings.provider, backend, _project(settings)), secs=secs)
    else:
        check_classic_address(settings.ibmqx_url)
        credentials = ClassicCredentials(settings.ibmqx_token, settings.ibmqx_url, _project(settings))
        login = resources.get(ClassicAccounts).connect(credentials, backend, outage, secs)
    return _remote(login, settings, wires, outage, resources)


def _remote(
    login: ClassicLogin, settings: Settings, wires: tuple[Any, ...], outage: Outage, resources: Resources
) -> ExecutionContext:
    backend = login.backend
    check_size(backend, len(wires))
    configuration = backend.configuration()
    options = dict(settings.run_options)
    check_run_options(options, backend)
    simulator = bool(getattr(configuration, "simulator", False))
    if settings.noise_model is not None:
        if not simulator:
            raise ConfigurationError(
                f"noise_model: backend {backend.name!r} has noise of its own and takes no noise model. Nothing was sent.",
                argument="noise_model",
            )
        options["noise_model"] = settings.noise_model
    if settings.seed_simulator is not None and simulator:
        options["seed_simulator"] = settings.seed_simulator
    return open_remote(
        ClassicJobs(login, options, outage),
        settings,
        resources,
        instance=login.project,
        estimator=False,
        limits=Limits(
            replace(CLASSIC_MOST, circuits=getattr(configuration, "max_experiments", None) or inf),
            weigh_plainly,
            shots=getattr(configuration, "max_shots", None),
            one_number_of_shots=True,
        ),
        without=frozenset(),
        simulates=simulator,
        open_inner=lambda: _open_lane(login, wires),
    )


def _open_lane(login: ClassicLogin, wires: tuple[Any, ...]) -> SendingDevice:
    """A ``qiskit.ibmq`` of a lane's own."""
    # simulations on this machine do without pennylane-qiskit
    from .lane import LaneDevice

    return LaneDevice(login.provider, login.backend, wires)


def _project(settings: Settings) -> str | None:
    """``hub/group/project``, where the user chose; the account's own first choice otherwise."""
    chosen = settings.model_fields_set
    if settings.instance and settings.instance.count("/") == 2:
        return settings.instance
    if chosen.isdisjoint({"hub", "group", "project"}):
        return None
    return f"{settings.hub}/{settings.group}/{settings.project}"


_OF_THE_PLATFORM = (
    "account_name",
    "account_file",
    "region",
    "plans_preference",
    "tags",
    "private_endpoint",
    "use_fractional_gates",
    "calibration_id",
    "dry_run",
    "primitive_api",
    "proxies",
    "verify",
)
"""Options that the client of IBM Quantum Platform takes."""


def check_options(settings: Settings) -> None:
    """Refuse options of the current stack.

    Raises:
        ConfigurationError: One was given.
    """
    wrong: list[tuple[str, str]] = []
    if settings.session is not None:
        wrong.append(("session", "the classic stack has no sessions"))
    if settings.primitive == "estimator":
        wrong.append(("primitive", "the classic stack has no Estimator; give 'auto' or 'sampler'"))
    if settings.primitive_options:
        wrong.append(
            ("primitive_options", "the classic stack has no primitives; options of a backend are run_options")
        )
    if settings.instance and settings.instance.count("/") != 2:
        wrong.append(("instance", "the classic stack has no instances; give hub=, group= and project="))
    wrong.extend(
        (argument, "the classic stack's client does not have it")
        for argument in _OF_THE_PLATFORM
        if getattr(settings, argument) not in (None, False, "auto")
    )
    if wrong:
        argument, reason = wrong[0]
        value = getattr(settings, argument)
        raise ConfigurationError(
            f"{argument}={value!r}: {reason}. Nothing was sent.",
            argument=argument,
            value=value,
        )
