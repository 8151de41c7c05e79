"""Engines of the user's: a Dask cluster, a pool of processes, MPI. They are used, and never shut down.

PennyLane's own executors are not used: their ``submit`` waits for the result, and the one for Dask shuts down the
cluster when it is forgotten.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..exceptions import ConfigurationError
from ..simulators.cores import count_cores

UNKNOWN_WORKERS = 8
"""Workers that a cluster is taken to get which has none yet."""

START_SECS = 120
"""Seconds that a process may take to start before it counts as one that starts."""


@dataclass(frozen=True, eq=False)
class Engine:
    """An engine that runs functions elsewhere.

    Attributes:
        name: What it is, for messages.
        executor: Runs the functions.
        workers: How many run at once, now.
        close: Ends what we opened ourselves: the connection to a cluster, never the cluster.
        check: Raises a ConfigurationError if no worker can start. It is asked once workers are lost.
    """

    name: str
    executor: Executor
    workers: Callable[[], int]
    close: Callable[[], None]
    check: Callable[[], None]

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function there."""
        return self.executor.submit(function, *arguments)


def open_engine(given: Any) -> Engine:
    """Make use of what the user gave.

    Args:
        given: The address of a Dask scheduler, a Dask client, or any ``concurrent.futures.Executor``.

    Raises:
        ConfigurationError: It is none of these, or the cluster cannot be reached.
    """
    if isinstance(given, str):
        return _connected(given)
    if isinstance(given, Executor):
        _warn_of_fork(given)
        return Engine(
            type(given).__name__, given, lambda: _workers_of(given), _nothing, lambda: _check_start(given)
        )
    if hasattr(given, "get_executor") and hasattr(given, "nthreads"):
        return _of_client(given, _nothing)
    raise ConfigurationError(
        f"engine={given!r}: a Dask client or its address, or a concurrent.futures.Executor is needed, not "
        f"{type(given).__name__}. Nothing was sent.",
        argument="engine",
        value=given,
    )


def _connected(address: str) -> Engine:
    try:
        connect: Any = import_module("distributed").Client
    except ImportError:
        raise ConfigurationError(
            f"engine={address!r}: a Dask cluster needs dask.distributed: pip install 'pennylane-threaded-ibmq[dask]'.",
            argument="engine",
            value=address,
        ) from None
    try:
        client = connect(address, set_as_default=False, timeout="20s")
    except (OSError, ValueError, TimeoutError) as error:
        raise ConfigurationError(
            f"engine={address!r}: no Dask scheduler answers there: {error} Nothing was sent.",
            argument="engine",
            value=address,
        ) from error
    return _of_client(client, client.close)


def _of_client(client: Any, close: Callable[[], None]) -> Engine:
    if getattr(client, "asynchronous", False):
        raise ConfigurationError(
            "engine: this Dask client is asynchronous; make one with Client(address). Nothing was sent.",
            argument="engine",
            value=client,
        )
    return Engine(
        "Dask", client.get_executor(), lambda: len(client.nthreads()) or UNKNOWN_WORKERS, close, _nothing
    )


def _workers_of(executor: Executor) -> int:
    """Number of functions that an executor runs at once: the standard library's and mpi4py's say it in different words."""
    for word in ("_max_workers", "num_workers", "max_workers"):
        number = getattr(executor, word, None)
        if isinstance(number, int) and number > 0:
            return number
    return count_cores()


def _warn_of_fork(executor: Executor) -> None:
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        warnings.warn(
            "engine: the processes of this pool are forked, and a simulator that already ran with several threads may "
            "then stand still. Make the pool with mp_context=multiprocessing.get_context('spawn').",
            UserWarning,
            stacklevel=2,
        )


def _check_start(executor: Executor) -> None:
    """Start a process as this pool does: one that ends at once was not lost, it never began.

    Each process of such a pool reads the program again, and one whose pool is made outside of ``if __name__ == "__main__"``
    ends there.
    """
    context = getattr(executor, "_mp_context", None)
    if context is None or context.get_start_method() == "fork":
        return
    first = getattr(executor, "_initializer", None) or _nothing
    process = context.Process(target=first, args=getattr(executor, "_initargs", ()), daemon=True)
    process.start()
    process.join(START_SECS)
    if not process.exitcode:
        process.kill()
        return
    raise ConfigurationError(
        f"engine={type(executor).__name__}: its processes end as they start (exit code {process.exitcode}); what they say is "
        "on the error output. Each of them reads the program again, so what makes the pool, and what uses it, belongs under "
        "if __name__ == '__main__': in a file. No result of this batch was delivered.",
        argument="engine",
        value=executor,
    )


def _nothing() -> None:
    """The user's engine is the user's."""
