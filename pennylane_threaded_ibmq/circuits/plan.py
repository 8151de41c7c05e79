"""From tapes to blocks: everything that is known before a request is sent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from .._compat import zip_strict
from ..exceptions import ThreadedIBMQError, UnsupportedCircuitError
from .readout import Kind
from .structure import StructureReader, TapeData
from .template import Template

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pennylane.measurements import Shots
    from pennylane.tape import QuantumScript
    from typing_extensions import TypeAlias

_T = TypeVar("_T")

MakeTemplate: TypeAlias = "Callable[[QuantumScript, TapeData], Template]"


class Templates(Protocol):
    """Keeps templates across calls."""

    def get(self, key: Hashable, make: Callable[[], Template]) -> Template:
        """The template of a key, made if it is not there."""


@dataclass(frozen=True, eq=False)
class Member:
    """A tape's place in a block.

    Attributes:
        position: Place of the tape in the batch.
        rows: Its rows in the block.
        data: The tape, read.
    """

    position: int
    rows: slice
    data: TapeData

    def move(self, rows: int, positions: int = 0) -> Member:
        """The same so many rows and tapes later."""
        place = slice(self.rows.start + rows, self.rows.stop + rows)
        return replace(self, position=self.position + positions, rows=place)


@dataclass(frozen=True, eq=False)
class Block:
    """Tapes of one structure and one number of shots.

    Attributes:
        structure: What makes their template; equal in any process.
        template: Their common template.
        values: Parameter values: shape ``(rows, parameters)``.
        shots: Shots of each row, as PennyLane counts them (a vector has several copies).
        members: The tapes.
        readouts: Positions of the measurements that are read from this block.
        primitive: ``"sampler"`` or ``"estimator"``.
        copies: Which copies of a shot vector are run here; ``None`` for all of them.
        single_shots: Each shot of a random basis is a row of its own, as all rows of a job run equally often.
    """

    structure: Hashable
    template: Template
    values: NDArray[np.float64]
    shots: Shots
    members: tuple[Member, ...]
    readouts: tuple[int, ...]
    primitive: str
    single_shots: bool = False
    copies: tuple[int, ...] | None = None

    @property
    def copy_shots(self) -> tuple[int, ...]:
        """Shots of each copy that is run here."""
        every = tuple(self.shots)
        return every if self.copies is None else tuple(every[i] for i in self.copies)

    @property
    def row_shots(self) -> int:
        """Shots of a row, all its copies that are run here together."""
        return sum(self.copy_shots)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    @property
    def settings(self) -> tuple[int, ...]:
        """Settings that must be measured."""
        return tuple(dict.fromkeys(s for i in self.readouts for s in self.template.readouts[i].settings))

    def take(self, members: Sequence[Member]) -> Block:
        """A block of some consecutive members."""
        first, last = members[0].rows.start, members[-1].rows.stop
        return replace(self, values=self.values[first:last], members=tuple(m.move(-first) for m in members))


def plan(
    tapes: Sequence[QuantumScript],
    store: Templates,
    make_template: MakeTemplate,
    *,
    estimator: bool,
    parametrise: bool = True,
    equal_shots: bool = False,
) -> tuple[Block, ...]:
    """Group tapes into blocks.

    Args:
        tapes: Preprocessed tapes with finite shots.
        store: Where templates are kept.
        make_template: Makes the template of a structure.
        estimator: Expectation values and variances of Pauli words go through the Estimator.
        parametrise: ``False`` gives each distinct tape its own circuit.
        equal_shots: A job takes one number of shots: random bases are blocks of their own.

    Returns:
        Blocks; each measurement of each tape is read from exactly one of them.

    Raises:
        UnsupportedCircuitError: A tape has an angle that is not a finite number.
    """
    reader = StructureReader()
    groups: dict[tuple[Hashable, Shots], list[tuple[int, TapeData]]] = {}
    for position, tape in enumerate(tapes):
        data = _of_tape(position, "cannot be read: {kind}: {error}", reader.read, tape, position)
        if not parametrise and (data.angles != data.angles[0]).any():
            # its circuit holds the angles of one row
            raise UnsupportedCircuitError(
                f"Tape {position} has {len(data.angles)} rows of angles, and with parametrise=False a circuit takes one. "
                "Submit it through a QNode, dev.submit or dev.batch_execute. Nothing was sent.",
                tape=position,
            )
        structure = data.key if parametrise else (data.key, data.angles.tobytes())
        groups.setdefault((structure, tape.shots), []).append((position, data))
    blocks: list[Block] = []
    for (structure, shots), group in groups.items():
        position, data = group[0]
        problem = "cannot become a circuit of Qiskit: {error}"
        template = store.get(
            structure, partial(_of_tape, position, problem, make_template, tapes[position], data)
        )
        members, start = [], 0
        for position, data in group:
            rows = slice(start, start + len(data.angles))
            members.append(Member(position, rows, data))
            start = rows.stop
        angles = np.concatenate([data.angles for _, data in group])
        values = template.values(angles)
        routes = _routes(template, estimator=estimator, apart=equal_shots)
        for (primitive, single), readouts in routes.items():
            blocks.append(
                Block(structure, template, values, shots, tuple(members), tuple(readouts), primitive, single)
            )
    return tuple(blocks)


def join(plans: Sequence[Sequence[Block]], tapes: Sequence[int]) -> tuple[Block, ...]:
    """The blocks of several batches as those of one: rows of one template, and one number of shots, become one block.

    Args:
        plans: Blocks of each batch.
        tapes: Number of tapes of each batch; they come after those of the batches before.
    """
    groups: dict[Hashable, list[tuple[int, Block]]] = {}
    before = 0
    for blocks, count in zip_strict(plans, tapes):
        for block in blocks:
            kind = (id(block.template), block.shots, block.primitive, block.single_shots)
            groups.setdefault(kind, []).append((before, block))
        before += count
    return tuple(map(_join, groups.values()))


def _join(group: Sequence[tuple[int, Block]]) -> Block:
    members: list[Member] = []
    row = 0
    for before, block in group:
        members += [member.move(row, before) for member in block.members]
        row += block.rows
    values = np.concatenate([block.values for _, block in group])
    return replace(group[0][1], values=values, members=tuple(members))


def _of_tape(position: int, problem: str, function: Callable[..., _T], *args: Any) -> _T:
    """Make something of a tape, or one clear error of it: ``problem`` has places for its ``kind`` and for the ``error`` itself."""
    try:
        return function(*args)
    except UnsupportedCircuitError as error:
        text = str(error)
        place = "" if text.startswith("Tape ") else f"Tape {position}: "
        raise type(error)(place + text, tape=position) from None
    except ThreadedIBMQError:
        raise
    except Exception as error:
        text = problem.format(kind=type(error).__name__, error=error)
        raise UnsupportedCircuitError(f"Tape {position} {text} Nothing was sent.", tape=position) from error


def _routes(template: Template, *, estimator: bool, apart: bool) -> dict[tuple[str, bool], list[int]]:
    """Measurements by primitive, as an Estimator runs no dynamic circuit; and whether they run shot by shot."""
    routes: dict[tuple[str, bool], list[int]] = {}
    for index, readout in enumerate(template.readouts):
        by_estimator = (
            estimator and not template.dynamic and readout.kind is Kind.WORDS and bool(readout.words)
        )
        route = ("estimator" if by_estimator else "sampler", apart and readout.kind is Kind.SHADOW)
        routes.setdefault(route, []).append(index)
    return routes
