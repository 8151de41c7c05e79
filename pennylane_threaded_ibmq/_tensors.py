"""Arrays inside tensors of other libraries."""

from __future__ import annotations

from typing import Any


def unwrapped(value: Any) -> Any:
    """The array inside a tensor that belongs to a gradient under way, which NumPy refuses to convert; or of a sparse matrix."""
    while type(value).__name__ == "ArrayBox":
        value = value._value  # noqa: SLF001 - autograd has no other way in
    if hasattr(value, "toarray"):
        # NumPy makes one number of it, which is its address
        return value.toarray()
    if not hasattr(value, "detach"):
        return value
    # a conjugate of Torch's is a mark on the original, which NumPy refuses too
    return value.detach().resolve_conj().resolve_neg()


def is_nested(result: Any) -> bool:
    """Whether a result is one of several measurements or copies; autograd has a box of its own for those of a gradient under way."""
    return isinstance(result, (tuple, list)) or type(result).__name__ == "SequenceBox"
