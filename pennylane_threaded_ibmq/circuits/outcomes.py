"""Outcomes of a sampler, in two forms with one interface.

``ShotBits`` keeps every shot in order, packed eight bits to the byte, as IBM's service delivers it.
``ShotCounts`` keeps each distinct outcome once with its number, as simulators deliver it. Both answer the
questions that decoding asks without a Python loop over shots and without an array of shots times wires.

Bit ``i`` is classical bit ``i`` of the circuit, which is the ``i``-th measured wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._compat import zip_strict
from ..simulators.exact import CountTable
from ..simulators.local import RowCounts

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def _column(packed: NDArray[np.uint8], bit: int) -> NDArray[np.uint8]:
    """Bit ``bit`` of each outcome; the last byte holds bits 0 to 7."""
    byte = packed.shape[-1] - 1 - bit // 8
    return (packed[..., byte] >> np.uint8(bit % 8)) & np.uint8(1)


def _index(packed: NDArray[np.uint8], bits: Sequence[int]) -> IntArray:
    """The number that ``bits`` spell, first bit most significant, as PennyLane counts outcomes."""
    index = np.zeros(packed.shape[:-1], dtype=np.int64)
    for bit in bits:
        index <<= 1
        index |= _column(packed, bit)
    return index


def _agree(packed: NDArray[np.uint8], bits: Sequence[int], values: Sequence[int]) -> NDArray[np.bool_]:
    """Whether all ``bits`` read ``values``."""
    agree = np.ones(packed.shape[:-1], dtype=np.bool_)
    for bit, value in zip_strict(bits, values):
        agree &= _column(packed, bit) == value
    return agree


def _parity(packed: NDArray[np.uint8], mask: Sequence[int]) -> NDArray[np.uint8]:
    """Parity of some bits: 0 or 1."""
    parity = np.zeros(packed.shape[:-1], dtype=np.uint8)
    for bit in mask:
        parity ^= _column(packed, bit)
    return parity


@dataclass(frozen=True, eq=False)
class ShotBits:
    """Each shot in order: ``packed`` is uint8 of shape ``(rows, shots, bytes)``, highest bits first."""

    packed: NDArray[np.uint8]

    @property
    def rows(self) -> int:
        """Number of circuits."""
        return int(self.packed.shape[0])

    @property
    def shots(self) -> int:
        """Shots of each circuit."""
        return int(self.packed.shape[1])

    @property
    def totals(self) -> IntArray:
        """Shots of each row that count: shape ``(rows,)``."""
        return np.full(self.rows, self.shots)

    def word_sums(self, masks: Sequence[Sequence[int]]) -> FloatArray:
        """Sum of the product of signs over the shots for each mask: shape ``(rows, len(masks))``."""
        out = np.empty((self.rows, len(masks)))
        for j, mask in enumerate(masks):
            out[:, j] = self.shots - 2.0 * _parity(self.packed, mask).sum(axis=1, dtype=np.float64)
        return out

    def moment_sums(
        self, masks: Sequence[Sequence[int]], coeffs: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Sums over the shots of ``sum_j coeffs[row, j] * sign_j`` and of its square: two arrays of shape ``(rows,)``."""
        total = np.zeros(self.packed.shape[:-1])
        for j, mask in enumerate(masks):
            total += coeffs[:, j, None] * (1.0 - 2.0 * _parity(self.packed, mask))
        return total.sum(axis=1), (total**2).sum(axis=1)

    def histogram(self, bits: Sequence[int]) -> FloatArray:
        """Number of shots for each outcome of ``bits``: shape ``(rows, 2**len(bits))``."""
        size = 1 << len(bits)
        index = _index(self.packed, bits) + size * np.arange(self.rows)[:, None]
        counts = np.bincount(index.ravel(), minlength=size * self.rows)
        return counts.reshape(self.rows, size).astype(np.float64)

    def outcome_indices(self, row: int, bits: Sequence[int]) -> IntArray:
        """The outcome of each shot of one row as a number: shape ``(shots,)``."""
        return _index(self.packed[row], bits)

    def samples(self, row: int, bits: Sequence[int]) -> IntArray:
        """Bits of each shot of one row: int64 of shape ``(shots, len(bits))``."""
        out = np.empty((self.shots, len(bits)), dtype=np.int64)
        for j, bit in enumerate(bits):
            out[:, j] = _column(self.packed[row], bit)
        return out

    def shot_slice(self, start: int, stop: int) -> ShotBits:
        """The shots from ``start`` to ``stop`` of every row."""
        return ShotBits(self.packed[:, start:stop])

    def split(self, sizes: Sequence[int], rng: np.random.Generator) -> list[ShotBits]:  # noqa: ARG002 - same face
        """The shots of every row in several parts, in the order they were taken."""
        ends = np.cumsum(sizes)
        return [self.shot_slice(end - size, end) for size, end in zip_strict(sizes, ends.tolist())]

    def keep(self, bits: Sequence[int], values: Sequence[int]) -> ShotCounts:
        """Only the shots in which ``bits`` read ``values``."""
        rows, shots = np.nonzero(_agree(self.packed, bits, values))
        weights = np.ones(len(rows), dtype=np.int64)
        valid = np.bincount(rows, minlength=self.rows)
        return ShotCounts(rows, self.packed[rows, shots], weights, self.rows, self.shots, valid)

    def where(self, bits: Sequence[int], values: Sequence[int]) -> list[ShotBits]:
        """Per row, the shots in which ``bits`` read ``values`` (rows differ in their number of shots)."""
        keep = _agree(self.packed, bits, values)
        return [ShotBits(self.packed[r, keep[r]][None]) for r in range(self.rows)]

    def ordered(self, rng: np.random.Generator) -> ShotBits:  # noqa: ARG002 - same face as ShotCounts
        """Shots in the order they were taken: already so."""
        return self


@dataclass(frozen=True, eq=False)
class ShotCounts:
    """Each distinct outcome once.

    Attributes:
        row_of: Row of each entry, ascending: int64 of shape ``(entries,)``.
        packed: Outcome of each entry: uint8 of shape ``(entries, bytes)``, highest bits first.
        weights: Shots of each entry: int64 of shape ``(entries,)``.
        rows: Number of circuits.
        shots: Shots of each circuit.
        valid: Shots of each row that count, where some do not: int64 of shape ``(rows,)``.
    """

    row_of: IntArray
    packed: NDArray[np.uint8]
    weights: IntArray
    rows: int
    shots: int
    valid: IntArray | None = None

    @property
    def totals(self) -> IntArray:
        """Shots of each row that count: shape ``(rows,)``."""
        return np.full(self.rows, self.shots) if self.valid is None else self.valid

    @classmethod
    def from_counts(cls, counts: RowCounts, num_bits: int, shots: int) -> ShotCounts:
        """Read simulator counts: a table, or one ``{"0x1f": n}`` a row."""
        nbytes = max(1, (num_bits + 7) // 8)
        if isinstance(counts, CountTable):
            packed = counts.outcomes.astype(">i8").view(np.uint8).reshape(-1, 8)[:, 8 - nbytes :]
            return cls(counts.row_of, packed, counts.counts, counts.rows, shots)
        row_of = np.repeat(np.arange(len(counts)), [len(c) for c in counts])
        weights = np.fromiter((n for c in counts for n in c.values()), dtype=np.int64, count=len(row_of))
        if nbytes <= 7:
            # one int64 an outcome, then its low bytes: an order of magnitude faster than bytes objects
            values = np.fromiter((int(k, 16) for c in counts for k in c), dtype=">i8", count=len(row_of))
            packed = values.view(np.uint8).reshape(-1, 8)[:, 8 - nbytes :]
        else:
            raw = b"".join(int(k, 16).to_bytes(nbytes, "big") for c in counts for k in c)
            packed = np.frombuffer(raw, dtype=np.uint8).reshape(-1, nbytes)
        return cls(row_of, packed, weights, len(counts), shots)

    def _per_row(self, values: NDArray[Any]) -> FloatArray:
        sums = np.bincount(self.row_of, weights=values, minlength=self.rows)
        return sums.astype(np.float64)

    def word_sums(self, masks: Sequence[Sequence[int]]) -> FloatArray:
        """Sum of the product of signs over the shots for each mask: shape ``(rows, len(masks))``."""
        out = np.empty((self.rows, len(masks)))
        for j, mask in enumerate(masks):
            out[:, j] = self.totals - 2.0 * self._per_row(self.weights * _parity(self.packed, mask))
        return out

    def moment_sums(
        self, masks: Sequence[Sequence[int]], coeffs: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Sums over the shots of ``sum_j coeffs[row, j] * sign_j`` and of its square: two arrays of shape ``(rows,)``."""
        total = np.zeros(len(self.weights))
        for j, mask in enumerate(masks):
            total += coeffs[self.row_of, j] * (1.0 - 2.0 * _parity(self.packed, mask))
        return self._per_row(self.weights * total), self._per_row(self.weights * total**2)

    def histogram(self, bits: Sequence[int]) -> FloatArray:
        """Number of shots for each outcome of ``bits``: shape ``(rows, 2**len(bits))``."""
        size = 1 << len(bits)
        index = _index(self.packed, bits) + size * self.row_of
        counts = np.bincount(index, weights=self.weights, minlength=size * self.rows)
        return counts.reshape(self.rows, size).astype(np.float64)

    def keep(self, bits: Sequence[int], values: Sequence[int]) -> ShotCounts:
        """Only the shots in which ``bits`` read ``values``."""
        agree = _agree(self.packed, bits, values)
        row_of, weights = self.row_of[agree], self.weights[agree]
        valid = np.bincount(row_of, weights=weights, minlength=self.rows).astype(np.int64)
        return ShotCounts(row_of, self.packed[agree], weights, self.rows, self.shots, valid)

    def ordered(self, rng: np.random.Generator) -> ShotBits:
        """Shots in an order: independent shots are exchangeable, so a random order is a faithful one."""
        table = self._sorted()
        entries = np.repeat(np.arange(len(table.weights)), table.weights).reshape(self.rows, self.shots)
        return ShotBits(table.packed[rng.permuted(entries, axis=1)])

    def split(self, sizes: Sequence[int], rng: np.random.Generator) -> list[ShotCounts]:
        """Each shot in one of several parts: any division of exchangeable shots is as good as the one in time.

        Args:
            sizes: Shots of each row in each part; their sum is ``shots``.
            rng: Draws who gets what.
        """
        table = self._sorted()
        left = table.weights.copy()
        ends = np.searchsorted(table.row_of, np.arange(self.rows + 1))
        parts = []
        for size in sizes[:-1]:
            part = np.empty_like(left)
            for lo, hi in zip(ends[:-1], ends[1:]):
                part[lo:hi] = rng.multivariate_hypergeometric(left[lo:hi], size, method="marginals")
            left -= part
            parts.append(part)
        some = [weights > 0 for weights in (*parts, left)]
        return [
            ShotCounts(table.row_of[entries], table.packed[entries], weights[entries], self.rows, size)
            for weights, entries, size in zip_strict([*parts, left], some, sizes)
        ]

    def _sorted(self) -> ShotCounts:
        """The same in one order; simulators with several threads list the same outcomes in any."""
        order = np.lexsort((*self.packed.T, self.row_of))
        return replace(
            self, row_of=self.row_of[order], packed=self.packed[order], weights=self.weights[order]
        )


Outcomes: TypeAlias = "ShotBits | ShotCounts"
"""Outcomes of some circuits, each run the same number of times."""
