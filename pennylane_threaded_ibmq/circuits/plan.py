"""From tapes to blocks: everything that is known before a request is sent."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

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
    from qiskit import QuantumCircuit

_T = TypeVar("_T")


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


@dataclass(frozen=True, eq=False)
class Group:
    """Tapes of one structure and one number of shots, before they have a template.

    Attributes:
        structure: What makes their template; equal in any process.
        shots: Shots of each row.
        example: The first of them.
        members: The tapes.
    """

    structure: Hashable
    shots: Shots
    example: QuantumScript
    members: tuple[Member, ...]


def group(tapes: Sequence[QuantumScript], *, parametrise: bool = True) -> tuple[Group, ...]:
    """Read tapes, and group those that share a template.

    Args:
        tapes: Preprocessed tapes with finite shots.
        parametrise: ``False`` gives each distinct tape its own circuit.

    Raises:
        UnsupportedCircuitError: A tape has an angle that is not a finite number.
    """
    reader = StructureReader()
    members: dict[tuple[Hashable, Shots], list[Member]] = {}
    for position, tape in enumerate(tapes):
        data = of_tape(position, "cannot be read: {kind}: {error}", reader.read, tape, position)
        if not parametrise and (data.angles != data.angles[0]).any():
            # its circuit holds the angles of one row
            raise UnsupportedCircuitError(
                f"Tape {position} has {len(data.angles)} rows of angles, and with parametrise=False a circuit takes one. "
                "Submit it through a QNode, dev.submit or dev.batch_execute. Nothing was sent.",
                tape=position,
            )
        structure = data.key if parametrise else (data.key, data.angles.tobytes())
        alike = members.setdefault((structure, tape.shots), [])
        start = alike[-1].rows.stop if alike else 0
        alike.append(Member(position, slice(start, start + len(data.angles)), data))
    return tuple(
        Group(structure, shots, tapes[alike[0].position], tuple(alike))
        for (structure, shots), alike in members.items()
    )


def plan(
    groups: Sequence[Group],
    templates: Sequence[Template],
    *,
    estimator: bool,
    equal_shots: bool = False,
) -> tuple[Block, ...]:
    """Plan groups of tapes as blocks: each has the bindings of its tapes, and is run by one primitive.

    Args:
        groups: The batch.
        templates: Template of each group.
        estimator: Expectation values and variances of Pauli words go through the Estimator.
        equal_shots: A job takes one number of shots: random bases are blocks of their own.

    Returns:
        Blocks; each measurement of each tape is read from exactly one of them.
    """
    blocks: list[Block] = []
    for alike, template in zip_strict(groups, templates):
        values = template.values(np.concatenate([member.data.angles for member in alike.members]))
        routes = _routes(template, estimator=estimator, apart=equal_shots)
        for (primitive, single), readouts in routes.items():
            blocks.append(
                Block(
                    alike.structure,
                    template,
                    values,
                    alike.shots,
                    alike.members,
                    tuple(readouts),
                    primitive,
                    single,
                )
            )
    return tuple(blocks)


def compiled_circuits(block: Block) -> list[QuantumCircuit]:
    """The circuits of a block, compiled where that was not done before."""
    if block.primitive == "estimator":
        return [block.template.estimator_circuit()[0].circuit]
    return [block.template.sampler_circuit(setting).circuit for setting in block.settings]


def compile_blocks(blocks: Iterable[Block]) -> None:
    """Compile what blocks need, where that was not done before.

    Raises:
        UnsupportedCircuitError: One cannot be transpiled; it names the tape.
    """
    for block in blocks:
        position = block.members[0].position
        of_tape(position, "cannot be transpiled for the backend: {error}", compiled_circuits, block)


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


def of_tape(position: int, problem: str, function: Callable[..., _T], *args: Any) -> _T:
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
        raise UnsupportedCircuitError(
            f"Tape {position} {text.rstrip('.')}. Nothing was sent.", tape=position
        ) from error


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
