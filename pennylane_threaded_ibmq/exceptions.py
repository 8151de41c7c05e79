"""Everything this package raises on purpose.

The tree::

    ThreadedIBMQError
    ├── ConfigurationError (ValueError)      an argument is wrong; nothing was sent
    │   ├── BackendError                     no such backend, or it is retired or too small
    │   ├── CredentialsError                 no account, or one that IBM refuses
    │   ├── UsageLimitError                  a batch would use more QPU time than allowed
    │   ├── ConfigurationFileError           a configuration file is broken
    │   └── SelectorError                    a selector chose no executor of its list
    ├── StackError                           the installed packages do not go together
    ├── UnsupportedCircuitError              a tape holds something that cannot run (DeviceError)
    ├── ServiceError                         IBM's service answered with an error
    │   └── SubmissionError                  a shard was not accepted
    ├── JobError                             an accepted job did not give a result
    │   ├── JobFailedError                   IBM reports it as failed
    │   ├── JobCancelledError                somebody cancelled it
    │   ├── ResultError                      a result of the wrong type or length, impossible, or of another job
    │   └── ShardFailedError                 some jobs of a batch gave no result; carries the others'
    ├── JournalError                         the journal cannot be used, or has no such batch
    ├── WaitTimeoutError (TimeoutError)      our waiting ended; the jobs run on
    └── DeviceClosedError                    the device was closed

Warnings: ``ConfigurationWarning`` for a name that nothing reads and an option without effect, ``RecordsWarning`` when executed
circuits could not be written to the database. Both are ``UserWarning``.

Each error carries data next to its text, so that a program need not parse prose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._printable import printable
from ._secrets import covered

if TYPE_CHECKING:
    from ._circuit_errors import UnknownWireError, UnsupportedCircuitError

__all__ = [
    "BackendError",
    "ConfigurationError",
    "ConfigurationFileError",
    "ConfigurationWarning",
    "CredentialsError",
    "DeviceClosedError",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JournalError",
    "RecordsWarning",
    "ResultError",
    "SelectorError",
    "ServiceError",
    "ShardFailedError",
    "StackError",
    "SubmissionError",
    "ThreadedIBMQError",
    "UnknownWireError",
    "UnsupportedCircuitError",
    "UsageLimitError",
    "WaitTimeoutError",
]

_CIRCUIT_ERRORS = frozenset({"UnknownWireError", "UnsupportedCircuitError"})


def __getattr__(name: str) -> Any:
    """Import the errors that are PennyLane's too when they are asked for: they bring PennyLane with them."""
    if name in _CIRCUIT_ERRORS:
        return getattr(import_module("._circuit_errors", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All names, also of what is not imported yet."""
    return sorted({*globals(), *_CIRCUIT_ERRORS})


class ThreadedIBMQError(Exception):
    """Base of every error that this package raises on purpose.

    Its text can be printed anywhere: what a service says is part of many, and no terminal obeys it. An address in it has no user
    and no password.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*map(covered, arguments))

    def __str__(self) -> str:
        return printable(super().__str__(), lines=True)


class ConfigurationError(ThreadedIBMQError, ValueError):
    """An argument has a value that cannot work; nothing was sent.

    Attributes:
        argument: Name of the argument.
        value: The refused value, without the secrets that it holds; ``None`` for a secret.
    """

    def __init__(self, message: str, *, argument: str | None = None, value: object = None) -> None:
        super().__init__(message)
        self.argument = argument
        self.value = covered(value)


class BackendError(ConfigurationError):
    """The backend does not exist, is retired, or has too few qubits."""


class CredentialsError(ConfigurationError):
    """No account was given, or IBM refuses it. The token is never part of the text."""


class UsageLimitError(ConfigurationError):
    """A batch would use more QPU time than ``max_usage_secs`` allows, or than is left; nothing was sent."""


class ConfigurationFileError(ConfigurationError):
    """A configuration file cannot be read, is not TOML, or holds a value that cannot work.

    Attributes:
        path: The file.
        line: Line of the fault, counted from 1, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        path: Path,
        line: int | None = None,
        argument: str | None = None,
        value: object = None,
    ) -> None:
        super().__init__(message, argument=argument, value=value)
        self.path = path
        self.line = line


class StackError(ThreadedIBMQError):
    """The installed packages are neither the current nor the classic stack, or one of them is missing.

    Attributes:
        installed: Version of each package that was looked at and is there.
        problems: What is wrong, by package.
    """

    def __init__(self, message: str, *, installed: Mapping[str, str], problems: Mapping[str, str]) -> None:
        super().__init__(message)
        self.installed = dict(installed)
        self.problems = dict(problems)


class SelectorError(ConfigurationError):
    """A selector returned something that is not one of the executors it was given."""


class ConfigurationWarning(UserWarning):
    """A name that nothing reads, in a configuration file or among an executor's arguments, or an option without effect."""


class RecordsWarning(UserWarning):
    """Executed circuits could not be written to the database; the calls themselves are not affected."""


class ServiceError(ThreadedIBMQError):
    """IBM's service answered with an error.

    Attributes:
        status_code: HTTP status, if the service gave one.
    """

    def __init__(self, message: str, *, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class SubmissionError(ServiceError):
    """A shard was not accepted by the service."""


class JobError(ThreadedIBMQError):
    """An accepted job did not give a usable result.

    Attributes:
        job_ids: The jobs in question.
        tapes: Positions, in the batch, of the tapes without a result.
        code: The service's code for why a job failed or was cancelled; ``None`` if it gave none.
        reason: The service's words for it; empty if it gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        job_ids: Sequence[str] = (),
        tapes: Sequence[int] = (),
        code: int | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.job_ids = tuple(job_ids)
        self.tapes = tuple(tapes)
        self.code = code
        self.reason = reason


class JobFailedError(JobError):
    """IBM reports the job as failed."""


class JobCancelledError(JobError):
    """The job was cancelled, by this program or by somebody else."""


class ResultError(JobError):
    """The service delivered a result of the wrong type or length, with impossible numbers, or of another job."""


class ShardFailedError(JobError):
    """Some jobs of a batch gave no result, and the others did.

    The cause is the first error. Nothing that was paid for is lost: ``results`` has what there is, and running the same
    tapes again, or ``dev.resume(batch_id)``, runs only what is missing.

    Attributes:
        results: One entry a tape; ``None`` for those without a result.
        errors: The error of each tape without a result, by position.
        batch_id: Id of the batch in the journal; empty without a journal.
    """

    def __init__(
        self,
        message: str,
        *,
        results: Sequence[object],
        errors: Mapping[int, BaseException],
        job_ids: Sequence[str] = (),
        batch_id: str = "",
    ) -> None:
        super().__init__(message, job_ids=job_ids, tapes=sorted(errors))
        self.results = tuple(results)
        self.errors = dict(errors)
        self.batch_id = batch_id

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle, which would call the class with the text alone."""
        make = partial(type(self), results=self.results, errors=self.errors)
        return make, self.args, self.__dict__


class JournalError(ThreadedIBMQError):
    """The journal cannot be used, or has no such batch."""


class WaitTimeoutError(ThreadedIBMQError, TimeoutError):
    """Our waiting ended; the jobs run on and can still be collected.

    Attributes:
        job_ids: Jobs that were accepted and not finished yet.
        batch_id: Id of the batch in the journal, for ``dev.resume``; empty without a journal.
    """

    def __init__(self, message: str, *, job_ids: Sequence[str] = (), batch_id: str = "") -> None:
        super().__init__(message)
        self.job_ids = tuple(job_ids)
        self.batch_id = batch_id


class DeviceClosedError(ThreadedIBMQError, RuntimeError):
    """The device was closed and takes no more work."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name what the user may have meant.

    Args:
        name: What was written.
        known: All names that would have been right.

    Returns:
        Text such as ``" Did you mean 'shots'?"``, or an empty string.
    """
    close = get_close_matches(name, list(known), n=3, cutoff=0.6)
    if not close:
        return ""
    return f" Did you mean {' or '.join(repr(c) for c in close)}?"
