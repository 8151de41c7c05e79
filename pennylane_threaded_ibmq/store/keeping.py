"""A batch's tapes in the journal: as data; what older versions kept as pickles is read where that is safe."""

from __future__ import annotations

import logging
import pickle
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._private import who_else_can_write
from ..exceptions import JournalError

if TYPE_CHECKING:
    from pennylane.tape import QuantumScript

logger = logging.getLogger(__name__)

PICKLE_FORMAT = 0
TAPE_FORMAT = 1


def pack(tapes: Sequence[QuantumScript], batch: str) -> bytes | None:
    """Write the tapes of a batch; ``None``, and a word in the log, if they hold what cannot be written as data."""
    from .tapes import UnwritableError, write_tapes

    try:
        return write_tapes(tapes)
    except UnwritableError as error:
        logger.warning(
            "Batch %s cannot be resumed by its id, only by running the program again: %s.",
            batch,
            error,
            extra={"batch_id": batch},
        )
        return None


def unpack(content: object, tape_format: object, path: Path, batch: str) -> tuple[QuantumScript, ...]:
    """Read what the journal holds of a batch's tapes.

    Args:
        content: The bytes.
        tape_format: How they are written.
        path: File of the journal, for errors, and to see whether others can write it.
        batch: Id of the batch, for errors.

    Raises:
        JournalError: They are damaged, or pickles in a place where somebody else can have put them.
    """
    from .tapes import read_tapes

    try:
        if isinstance(content, bytes) and tape_format == TAPE_FORMAT:
            return read_tapes(content)
        if isinstance(content, bytes) and tape_format == PICKLE_FORMAT:
            return _unpickle(content, path, batch)
        reason = f"a {type(content).__name__} of format {tape_format!r}"
    except ValueError as error:
        reason = str(error)
    raise JournalError(
        f"The journal {path} is damaged: the tapes of batch {batch!r} cannot be read ({reason}). Run the program again: "
        "shards with the same content are found by themselves."
    )


def _unpickle(content: bytes, path: Path, batch: str) -> tuple[QuantumScript, ...]:
    """Tapes of an older version. A pickle runs what it names, so nobody else may have written it."""
    try:
        reason = who_else_can_write(path)
    except OSError as error:
        reason = str(error)
    if reason:
        raise JournalError(
            f"batch {batch!r} was written by an older version, as a pickle, and {reason}: what somebody else puts there would "
            "be run. Take the right to write from others (chmod go-w), or run the program again: shards with the same content "
            "are found by themselves."
        )
    try:
        tapes: tuple[QuantumScript, ...] = pickle.loads(zlib.decompress(content))  # noqa: S301 - nobody else can write there
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return tapes
