"""Results of the classic service: outcomes as hexadecimal numbers, one a shot, to packed bits.

A circuit that failed has no outcomes, though its job may count as completed. What cannot be an outcome is no zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._printable import printable
from ..._quantity import quantity
from ...service.job import PubData
from ...service.metadata import read_mark

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEX_PREFIX = len("0x")
_NO_DIGIT = 255


class UnreadableResultError(Exception):
    """A result is not that of the circuits that were sent; the text is a sentence about it."""


def rows_of(values: Any) -> Sequence[Any]:
    """Rows of a PUB; one without parameters has one."""
    return [()] if values is None else values


def read_results(answer: Mapping[str, Any], pubs: Sequence[Any], tag: str) -> list[PubData]:
    """Read the result of a job, which has one entry a circuit.

    Args:
        answer: The service's result.
        pubs: PUBs as they were sent.
        tag: The job's own tag.

    Raises:
        UnreadableResultError: It is not that of these circuits.
    """
    results = answer.get("results", [])
    number = sum(len(rows_of(values)) for _, values, _ in pubs)
    if len(results) != number:
        raise UnreadableResultError(f"{quantity(len(results), 'result')} instead of {number}.")
    out, start = [], 0
    for circuit, values, shots in pubs:
        stop = start + len(rows_of(values))
        rows = [_bits(results[place], place, circuit.num_clbits, shots) for place in range(start, stop)]
        if any(len(row) < shots for row in rows):
            fewest = min(len(row) for row in rows)
            raise UnreadableResultError(f"{quantity(fewest, 'shot')} instead of {shots}.")
        # all circuits of a job run equally often; one that needs fewer shots takes the first ones
        marks = {_mark(r) for r in results[start:stop]} - {"", tag}
        out.append(PubData(bits=np.stack([row[:shots] for row in rows]), mark=min(marks, default=tag)))
        start = stop
    return out


def _bits(result: Mapping[str, Any], place: int, num_clbits: int, shots: int) -> NDArray[np.uint8]:
    """Outcomes of one circuit: shape ``(shots, bytes)``, highest bits first."""
    if result.get("success") is False:
        status = printable(str(result.get("status") or "the service gives no reason"))
        raise UnreadableResultError(f"circuit {place} of the job failed: {status.rstrip('.')}.")
    data = result["data"]
    if "memory" in data:
        return _read_memory(data["memory"], num_clbits)
    if "counts" in data:
        return _read_counts(data["counts"], num_clbits)
    if num_clbits:
        raise UnreadableResultError(f"circuit {place} of the job has no outcomes.")
    return np.zeros((shots, 1), dtype=np.uint8)


def _hex_digits() -> NDArray[np.uint8]:
    table = np.full(256, _NO_DIGIT, dtype=np.uint8)
    for digit in "0123456789abcdefABCDEF":
        table[ord(digit)] = int(digit, 16)
    return table


def _read_memory(memory: Sequence[str], num_clbits: int) -> NDArray[np.uint8]:
    """Read shots in order, without a Python loop over them.

    Args:
        memory: One number a shot, such as ``"0x1f"``; leading zeros may be missing.
        num_clbits: Classical bits of the circuit.

    Returns:
        Packed bits: uint8 of shape ``(shots, bytes)``, highest bits first.

    Raises:
        UnreadableResultError: One is no such number, or has more bits.
    """
    nbytes = max(1, (num_clbits + 7) // 8)
    text = np.array(memory, dtype=np.bytes_)
    lengths = np.char.str_len(text) - _HEX_PREFIX
    wrong = (lengths < 1) | ~np.char.startswith(text, b"0x")
    if wrong.any():
        raise _no_outcome(text[wrong][0], num_clbits)
    letters = text.view(np.uint8).reshape(len(text), -1)[:, _HEX_PREFIX:]
    # the last digit of each number goes into the last column; what is left of it reads as zero
    width = max(2 * nbytes, letters.shape[1])
    columns = np.arange(width) - (width - lengths)[:, None]
    inside = (columns >= 0) & (columns < letters.shape[1])
    found = np.take_along_axis(letters, np.where(inside, columns, 0), axis=1)
    nibbles = np.where(inside, _hex_digits()[found], 0).astype(np.uint8)
    wrong = (nibbles == _NO_DIGIT).any(axis=1) | nibbles[:, : width - 2 * nbytes].any(axis=1)
    if wrong.any():
        raise _no_outcome(text[wrong][0], num_clbits)
    nibbles = nibbles[:, width - 2 * nbytes :]
    return (nibbles[:, 0::2] * np.uint8(16)) | nibbles[:, 1::2]


def _no_outcome(text: bytes, num_clbits: int) -> UnreadableResultError:
    return UnreadableResultError(f"{text.decode()[:60]!r} is no outcome of {quantity(num_clbits, 'bit')}.")


def _read_counts(counts: Mapping[str, int], num_clbits: int) -> NDArray[np.uint8]:
    """Read outcomes of a backend that keeps no memory, in a random order: independent shots are exchangeable.

    Args:
        counts: Shots of each outcome.
        num_clbits: Classical bits of the circuit.

    Returns:
        Packed bits, as from :func:`_read_memory`.
    """
    packed = np.repeat(_read_memory(list(counts), num_clbits), list(counts.values()), axis=0)
    np.random.default_rng().shuffle(packed, axis=0)
    return packed


def _mark(result: Mapping[str, Any]) -> str:
    return read_mark((result.get("header") or {}).get("metadata"))
