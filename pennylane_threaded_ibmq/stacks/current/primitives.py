"""IBM's two kinds of primitives: which there are in the installed client, their options, and how one is opened.

The service-side ones hand PUBs to the service, and are deprecated since qiskit-ibm-runtime 0.50. The client-side ones write a
quantum program here. That is as cheap for one PUB with many rows, and expensive for an Estimator with many PUBs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .client import has_client_side, has_service_side

API_NAMES = ("auto", "client", "service")

FEW_PUBS = 12
"""PUBs of an Estimator that the client side is taken for where there is a choice. Measured on 133 qubits: 0.1 s and 25 kB a PUB
on the client side, 7 ms and 2 kB on the service side."""

MOVED = {
    "seed_estimator": "the client-side primitives have no seed",
    "measure_noise_learning.shots_per_randomization": "it is twirling.shots_per_randomization",
    "layer_noise_learning": "run NoiseLearnerV3 and give its result as resilience.layer_noise_model",
    "simulator.noise_model": "simulate with backend='aer_simulator' and noise_model=",
    "simulator.coupling_map": "the backend has its own",
    "simulator.basis_gates": "the backend has its own",
    "environment.max_execution_time": "it is max_execution_time",
}
"""Options of the service side that the client side has elsewhere or not at all, and what to do."""


def option_models(api: str) -> dict[str, Any]:
    """IBM's models of the options of each primitive.

    Args:
        api: ``"client"`` or ``"service"``.
    """
    if api == "client":
        from qiskit_ibm_runtime import options_models as models
    else:
        from qiskit_ibm_runtime import options as models
    return {"estimator": models.EstimatorOptions, "sampler": models.SamplerOptions}


def option_names(model: Any) -> set[str]:
    """Names of a model's options; the client-side models are pydantic's, the others dataclasses."""
    fields = getattr(model, "model_fields", None) or model.__dataclass_fields__
    return {name for name in fields if name[0] != "_"}


def choose_api(api: str, primitive: str, pubs: int, *, only: str | None = None) -> str:
    """Choose the kind of primitive that runs a job.

    Args:
        api: ``"auto"``, ``"client"`` or ``"service"``.
        primitive: ``"sampler"`` or ``"estimator"``.
        pubs: PUBs of the job.
        only: The kind whose model the options fit, if it is one alone.
    """
    if api != "auto":
        return api
    if only is not None:
        return only
    if not has_client_side():
        return "service"
    many = primitive == "estimator" and pubs > FEW_PUBS
    return "service" if many and has_service_side() else "client"


def in_dialect(options: Mapping[str, Any], api: str) -> dict[str, Any]:
    """Options of a primitive as one kind of them says what both can.

    Args:
        options: Options in either dialect; they stay as they are.
        api: ``"client"`` or ``"service"``.
    """
    out = _copied(options)
    environment = out.get("environment")
    if isinstance(environment, dict):
        seconds = environment.pop("max_execution_time", None)
        if seconds is not None:
            out.setdefault("max_execution_time", seconds)
        if environment.get("job_tags", ()) is None:
            del environment["job_tags"]
    if api == "service":
        _leave_to_level(out)
    return out


def _leave_to_level(options: dict[str, Any]) -> None:
    """Leave out what says "as the level has it" in the newer dialect, where the older one says nothing."""
    for group, name, default in (
        ("twirling", "enable_gates", None),
        ("twirling", "enable_measure", None),
        ("twirling", "group", "pauli"),
        ("resilience", "measure_mitigation", None),
        ("resilience", "zne_mitigation", None),
    ):
        part = options.get(group)
        if isinstance(part, dict) and name in part and part[name] == default:
            del part[name]
    resilience = options.get("resilience")
    zne = resilience.get("zne") if isinstance(resilience, dict) else None
    if isinstance(zne, dict):
        for name in ("noise_factors", "extrapolated_noise_factors"):
            if isinstance(zne.get(name), str):
                del zne[name]


def _copied(options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested dictionaries; what else is in them is shared."""
    return {name: _copied(one) if isinstance(one, Mapping) else one for name, one in options.items()}


def open_primitive(api: str, primitive: str, mode: Any, options: Mapping[str, Any]) -> Any:
    """Open one.

    Args:
        api: ``"client"`` or ``"service"``.
        primitive: ``"sampler"`` or ``"estimator"``.
        mode: A backend, Session or Batch of the client's.
        options: Its options.
    """
    return _class(api, primitive)(mode=mode, options=in_dialect(options, api))


def job_mode(mode: Any) -> Any:
    """A mode for single jobs that keeps its backend.

    Given a backend alone, the client looks it up again by its name: one more request, which may find the backend of that name
    in another instance.

    Args:
        mode: A backend, Session or Batch of the client's; the latter two are kept.
    """
    from qiskit_ibm_runtime import IBMBackend, Session

    return Session(backend=mode, create_new=False) if isinstance(mode, IBMBackend) else mode


def _class(api: str, primitive: str) -> Any:
    if api == "client":
        from qiskit_ibm_runtime.executor_estimator import EstimatorV2
        from qiskit_ibm_runtime.executor_sampler import SamplerV2
    else:
        from qiskit_ibm_runtime import EstimatorV2, SamplerV2
    return SamplerV2 if primitive == "sampler" else EstimatorV2


def check_circuits(pubs: Sequence[Any], backend: Any) -> None:
    """Refuse circuits that a backend cannot run; client-side primitives do not look, and the job would fail.

    Raises:
        ValueError: One holds an instruction that the backend does not have.
    """
    from qiskit_ibm_runtime.utils.utils import is_isa_circuit

    target = getattr(backend, "target", None)
    if target is None:
        return
    for circuit in {id(circuit): circuit for circuit, *_ in pubs}.values():
        problem = is_isa_circuit(circuit, target)
        if problem:
            raise ValueError(f"{problem} Transpile for the backend itself: leave compile_backend= out.")
