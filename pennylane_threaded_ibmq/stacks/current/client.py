"""Abilities of the installed release of IBM's client, and how long IBM will talk to it."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib import metadata, util

SUNSET = "2027-01-01"
"""From then on IBM may refuse the versions of its API that clients before 0.48 speak; its ``/v1/versions`` says so."""

AUTO_INSTANCE = "auto"
"""The instance that stands for whichever the client finds the backend in, without a word of warning."""

_FIRST_AFTER = (0, 48)


@lru_cache(maxsize=None)
def client_version() -> tuple[int, int]:
    """Release of the installed client: ``(0, 51)``."""
    major, minor = metadata.version("qiskit-ibm-runtime").split(".")[:2]
    return int(major), int(minor)


def warn_of_sunset() -> None:
    """Warn, once in a program, that the installed client is about to be refused."""
    if client_version() >= _FIRST_AFTER:
        return
    beside = ""
    if util.find_spec("pennylane_qiskit") is not None:
        beside = (
            " pennylane-qiskit, which this package does not need, may hold the client back: take a fresh environment, "
            "or remove it first."
        )
    warnings.warn(
        f"qiskit-ibm-runtime {metadata.version('qiskit-ibm-runtime')} speaks a version of IBM's API that IBM may refuse "
        f"from {SUNSET} on. Upgrade with: pip install -U qiskit-ibm-runtime qiskit qiskit-aer.{beside}",
        UserWarning,
        stacklevel=2,
    )


@lru_cache(maxsize=None)
def has_client_side() -> bool:
    """Whether the client has primitives that prepare their jobs themselves, for the program ``executor``."""
    if client_version() < (0, 49):  # before, their options were no pydantic models
        return False
    names = ("executor_sampler", "executor_estimator", "options_models")
    return all(util.find_spec(f"qiskit_ibm_runtime.{name}") is not None for name in names)


def has_service_side() -> bool:
    """Whether the client still has primitives whose jobs the service prepares."""
    import qiskit_ibm_runtime

    return util.find_spec("qiskit_ibm_runtime.estimator") is not None and hasattr(
        qiskit_ibm_runtime, "EstimatorV2"
    )


def one_number_of_shots() -> bool:
    """Whether all PUBs of a job must have the same shots or precision; others are deprecated since 0.48, or refused."""
    return client_version() >= _FIRST_AFTER


def can_run_dry() -> bool:
    """Whether the client can send a job to the mock of a backend."""
    return client_version() >= (0, 49)


def can_list_mocks() -> bool:
    """Whether the client can list the jobs of mocks, which it leaves out otherwise."""
    from inspect import signature

    from qiskit_ibm_runtime import QiskitRuntimeService

    return "include_mocks" in signature(QiskitRuntimeService.jobs).parameters


def can_choose_fractional() -> bool:
    """Whether the client can choose the least busy of the backends with fractional gates."""
    return client_version() >= _FIRST_AFTER


def can_choose_instance() -> bool:
    """Whether the client takes ``instance="auto"``."""
    return client_version() >= _FIRST_AFTER
