"""The options of a device as types, so that editors complete them and type checkers refuse wrong ones.

What they mean and allow is checked by :mod:`~pennylane_threaded_ibmq.settings`, whose fields these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .loose_options import PrimitiveOptions, TranspileOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path
    from typing import Literal

    from pydantic import SecretStr

    from .progress.progress import Progress


class DeviceOptions(TranspileOptions, PrimitiveOptions, total=False):
    """Keyword arguments of the device; classes of Qiskit, which has no types, are ``Any``."""

    backend: Any
    ibmqx_token: str | SecretStr | None
    ibmqx_url: str | None
    hub: str
    group: str
    project: str
    instance: str | None
    account_name: str | None
    account_file: str | Path | None
    region: str | None
    plans_preference: list[str] | None
    tags: list[str] | None
    proxies: dict[str, Any] | None
    verify: bool | None
    private_endpoint: bool | None
    use_fractional_gates: bool
    calibration_id: str | None
    dry_run: bool
    job_tags: list[str] | tuple[str, ...] | None
    max_jobs: int
    shard_size: int | Literal["auto"]
    timeout_secs: float | None
    primitive: Literal["auto", "estimator", "sampler"]
    parametrise: bool
    transpile_options: Mapping[str, Any]
    primitive_options: Any
    primitive_api: Literal["auto", "client", "service"]
    noise_model: Any
    # IBM's primitives have options of this name too
    simulator: Literal["auto", "aer", "lightning"] | Mapping[str, Any]
    simulator_options: Mapping[str, Any]
    seed_simulator: int | None
    journal: bool | str | Path
    max_retries: int
    template_bytes: int
    on_interrupt: Literal["cancel", "detach"]
    on_usage_limit: Literal["refuse", "wait"]
    max_usage_secs: float | None
    budget_secs: float | None
    max_overrun: float | None
    progress: bool | Literal["auto"] | Callable[[Progress], None]
    engine: str | Executor | Any
    provider: Any
    run_options: Mapping[str, Any]
    session: Any
    compile_backend: Any
    pass_manager: Any
    skip_transpilation: bool

    # options of the primitives, as qiskit.remote takes them
    options: Mapping[str, Any]
