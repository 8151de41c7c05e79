"""Numbers that the sources of circuits name by a seed, so that a circuit is short and says all about itself."""

from __future__ import annotations

import numpy as np


def each(numbers):
    """Mark a broadcast, one number or array for each entry; for the exact value of an entry it becomes that one."""
    return np.asarray(numbers)


def unitary(wires, seed, batch=None, dtype="complex128"):
    """A random unitary, or ``batch`` of them."""
    rng = np.random.default_rng(seed)
    size = 2**wires
    shape = (size, size) if batch is None else (batch, size, size)
    matrix = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    q = np.linalg.qr(matrix)[0] if batch is None else np.stack([np.linalg.qr(m)[0] for m in matrix])
    return q.astype(dtype)


def state(wires, seed, batch=None, dtype="complex128", real=False):
    """A random normalised state, or ``batch`` of them."""
    rng = np.random.default_rng(seed)
    shape = (2**wires,) if batch is None else (batch, 2**wires)
    vector = rng.normal(size=shape) + (0 if real else 1j) * rng.normal(size=shape)
    return (vector / np.linalg.norm(vector, axis=-1, keepdims=True)).astype(dtype)


def phases(count, seed, batch=None):
    """Random complex numbers of modulus 1."""
    shape = (count,) if batch is None else (batch, count)
    return np.exp(1j * np.random.default_rng(seed).uniform(-3, 3, shape))


def hermitian(wires, seed):
    """A random Hermitian matrix with a norm about 1."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(2**wires, 2**wires)) + 1j * rng.normal(size=(2**wires, 2**wires))
    matrix = matrix + matrix.conj().T
    return np.round(matrix / np.linalg.norm(matrix, 2), 6)


def angles(shape, seed, batch=None):
    """Random angles, radians."""
    shape = tuple(shape) if batch is None else (batch, *shape)
    return np.round(np.random.default_rng(seed).uniform(-3, 3, shape), 3)
