"""Outcomes as the classic service writes them, one hexadecimal number a shot, without a Python loop over shots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PREFIX = len("0x")


def _digits() -> NDArray[np.uint8]:
    table = np.zeros(256, dtype=np.uint8)
    for digit in "0123456789abcdefABCDEF":
        table[ord(digit)] = int(digit, 16)
    return table


def read_memory(memory: Sequence[str], num_clbits: int) -> NDArray[np.uint8]:
    """Read shots in order.

    Args:
        memory: One number a shot, such as ``"0x1f"``; leading zeros may be missing.
        num_clbits: Classical bits of the circuit.

    Returns:
        Packed bits: uint8 of shape ``(shots, bytes)``, highest bits first.
    """
    nbytes = max(1, (num_clbits + 7) // 8)
    text = np.array(memory, dtype=np.bytes_)
    letters = text.view(np.uint8).reshape(len(text), -1)[:, _PREFIX:]
    lengths = np.char.str_len(text) - _PREFIX
    # the last digit of each number goes into the last column; what is left of it reads as zero
    columns = np.arange(2 * nbytes) - (2 * nbytes - lengths)[:, None]
    inside = (columns >= 0) & (columns < letters.shape[1])
    digits = np.take_along_axis(letters, np.where(inside, columns, 0), axis=1)
    nibbles = np.where(inside, _digits()[digits], 0).astype(np.uint8)
    return (nibbles[:, 0::2] * np.uint8(16)) | nibbles[:, 1::2]


def read_counts(counts: Mapping[str, int], num_clbits: int) -> NDArray[np.uint8]:
    """Read outcomes of a backend that keeps no memory, in a random order: independent shots are exchangeable.

    Args:
        counts: Shots of each outcome.
        num_clbits: Classical bits of the circuit.

    Returns:
        Packed bits, as from :func:`read_memory`.
    """
    packed = np.repeat(read_memory(list(counts), num_clbits), list(counts.values()), axis=0)
    np.random.default_rng().shuffle(packed, axis=0)
    return packed
