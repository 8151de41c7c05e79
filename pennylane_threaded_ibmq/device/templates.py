"""The templates of a device, which its threads share: each circuit is compiled by the one that asks first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..circuits.template import Compiled, Template
from ..settings import DEFAULT_TEMPLATE_BYTES

if TYPE_CHECKING:
    from qiskit.quantum_info import SparsePauliOp

RECENT_SHARE = 0.2
QUESTIONS_EACH, LEAST_TEMPLATES = 10, 100
"""Counts of a store are halved after so many questions for each template that it holds."""


class SharedTemplate(Template):
    """A template for several threads, which compiles once for all that ask. Takes what ``Template`` takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lock = threading.Lock()

    def sampler_circuit(self, setting: int) -> Compiled:
        """The circuit that ends in a setting."""
        with self._lock:
            return super().sampler_circuit(setting)

    def estimator_circuit(self) -> tuple[Compiled, tuple[SparsePauliOp, ...]]:
        """The circuit without measurements, and the words as observables on its qubits."""
        with self._lock:
            return super().estimator_circuit()


class TemplateStore:
    """Keeps templates across calls. Safe for several threads.

    Those used last are kept, a fifth of the room, and of the others those asked for most often, whether they were there or
    not. So a long series of structures drives out nothing that is used again and again, and where it is itself repeated
    and too long to be kept, a part of it stays.

    Args:
        room: Bytes that all templates may take, about; what was asked for last is kept in any case.
    """

    def __init__(self, room: int = DEFAULT_TEMPLATE_BYTES) -> None:
        self._room = room
        self._lock = threading.Lock()
        # by the hashes of keys, least recently used first: a key is long, and to hash it takes time
        self._templates: OrderedDict[int, tuple[Hashable, Template]] = OrderedDict()
        self._counts: dict[int, int] = {}
        self._questions = 0

    def get(self, key: Hashable, make: Callable[[], Template]) -> Template:
        """The template of a key, made if it is not there."""
        short = hash(key)
        with self._lock:
            self._count(short)
            known = self._templates.get(short)
            if known is not None and known[0] == key:
                self._templates.move_to_end(short)
                return known[1]
            template = make()
            self._templates.pop(short, None)
            self._templates[short] = (key, template)
            self._make_room()
            return template

    def _count(self, short: int) -> None:
        self._counts[short] = self._counts.get(short, 0) + 1
        self._questions += 1
        if self._questions > QUESTIONS_EACH * max(LEAST_TEMPLATES, len(self._templates)):
            # what was asked for long ago must not hold its place for ever
            self._counts = {k: n // 2 for k, n in self._counts.items() if n > 1}
            self._questions = sum(self._counts.values())

    def _make_room(self) -> None:
        # templates grow when their circuits are made, so they are weighed anew
        sizes = {short: template.size for short, (_, template) in self._templates.items()}
        total = sum(sizes.values())
        while total > self._room and len(sizes) > 1:
            short = min(self._rivals(sizes), key=lambda k: self._counts.get(k, 0))
            total -= sizes.pop(short)
            del self._templates[short]

    def _rivals(self, sizes: Mapping[int, int]) -> list[int]:
        """All but those used last, the latest first: of equals the one that came last goes."""
        latest_first = list(sizes)[::-1]
        ends = np.cumsum([sizes[short] for short in latest_first])
        recent = int(np.searchsorted(ends, RECENT_SHARE * self._room, side="right"))
        return latest_first[min(max(1, recent), len(latest_first) - 1) :]

    def __len__(self) -> int:
        return len(self._templates)
