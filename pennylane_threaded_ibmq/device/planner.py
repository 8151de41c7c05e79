"""Plan a batch: tapes made ready, templates and bindings, and the batch cut into shards. Nothing is sent."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pennylane.tape import QuantumScript

from .._compat import cached_property, without_prefix
from ..circuits.observables import is_own_measurement
from ..circuits.plan import Block, Group, compile_blocks, group, join, of_tape, plan
from ..circuits.shards import Limits, Shard, cut, cut_like, spread_size
from ..exceptions import BackendError, ConfigurationError, UnsupportedCircuitError
from ..execution.usage import Estimate
from ..service.pace import Pacer
from .checks import how_to_make, register
from .context import ExecutionContext
from .handle import Origin
from .templates import SharedTemplate, TemplateStore

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

    from ..circuits.template import Template
    from ..settings import Settings
    from ..store.records import BatchRecord

Preparation: TypeAlias = "Callable[[QuantumScript], tuple[Sequence[QuantumScript], Any]]"
"""Makes one tape ready: tapes that can run, and what makes its result from theirs; ``None`` for nothing."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A batch before anything of it is written down or sent.

    Attributes:
        tapes: Preprocessed tapes.
        origins: Which of them each of the user's became.
        blocks: The same, grouped and compiled.
        shards: The same, cut.
        context: Where it runs.
    """

    tapes: tuple[QuantumScript, ...]
    origins: tuple[Origin, ...]
    blocks: tuple[Block, ...]
    shards: tuple[Shard, ...]
    context: ExecutionContext

    @cached_property
    def estimate(self) -> Estimate:
        """Estimate of what it takes; nothing is asked for that."""
        return self.context.estimate(self.shards, ask=False)


def make_ready(
    tapes: Sequence[QuantumScript], prepare: Preparation
) -> tuple[tuple[QuantumScript, ...], list[Origin]]:
    """Make tapes of the user's ready.

    Returns:
        Tapes that can run, and which of them each of the user's became.

    Raises:
        UnsupportedCircuitError: One cannot run; it is named.
    """
    runnable: list[QuantumScript] = []
    origins: list[Origin] = []
    for position, tape in enumerate(tapes):
        if not isinstance(tape, QuantumScript):
            raise UnsupportedCircuitError(
                f"Tape {position} is of type {type(tape).__name__}, not a QuantumScript.{how_to_make(tape)} Nothing was sent.",
                tape=position,
            )
        try:
            ready, post = prepare(tape)
        except UnsupportedCircuitError as error:
            raise type(error)(f"Tape {position}: {error}", tape=position) from None
        unchanged = len(ready) == 1 and post is None
        origins.append(Origin(len(runnable), len(runnable) + len(ready), None if unchanged else post))
        runnable += ready
    return tuple(runnable), origins


class Planner:
    """Plans the batches of one device.

    Attributes:
        templates: Compiled templates, bounded.
    """

    def __init__(self, settings: Settings, wires: Any) -> None:
        self.templates = TemplateStore(settings.template_bytes)
        self._settings = settings
        self._wires = wires
        self._lock = threading.Lock()
        self._shots_warned = False

    def plan(
        self,
        context: ExecutionContext,
        tapes: Sequence[QuantumScript],
        prepare: Preparation,
        *,
        like: BatchRecord | None = None,
    ) -> Plan:
        """Plan tapes of the user's: made ready, grouped, compiled and cut.

        Args:
            context: Where they run.
            tapes: The user's.
            prepare: Makes one ready.
            like: A batch of the journal with the same tapes, which is cut as that one was.

        Raises:
            UnsupportedCircuitError: A tape cannot run there.
            ConfigurationError: More shots are asked for than the service runs.
        """
        return self.plan_ready(context, *make_ready(tapes, prepare), like=like)

    def plan_ready(
        self,
        context: ExecutionContext,
        tapes: tuple[QuantumScript, ...],
        origins: Sequence[Origin],
        *,
        like: BatchRecord | None = None,
    ) -> Plan:
        """Plan tapes that can run, as :meth:`plan` does.

        Args:
            context: Where they run.
            tapes: Preprocessed tapes.
            origins: Which of them each of the user's became.
            like: As for :meth:`plan`.
        """
        limits = context.limits
        try:
            groups = group(tapes, parametrise=self._settings.parametrise)
            blocks = plan(
                groups,
                [self._template(context, alike) for alike in groups],
                estimator=context.estimator,
                equal_shots=limits is not None and limits.equal_shots,
            )
            # what cannot be compiled has an error of its own, and what is compiled can be weighed
            compile_blocks(blocks)
        except UnsupportedCircuitError as error:
            raise _of_the_users_tape(error, origins) from error.__cause__
        if limits is not None:
            self._check_shots(blocks, limits, context.name)
        return Plan(tapes, tuple(origins), blocks, self._cut(context, blocks, len(tapes), like), context)

    def join(self, plans: Sequence[Plan]) -> Plan:
        """Join the plans of several calls: one batch, in which no tape is read twice."""
        if len(plans) == 1:
            return plans[0]
        tapes: list[QuantumScript] = []
        origins: list[Origin] = []
        for one in plans:
            origins += [origin.moved(len(tapes)) for origin in one.origins]
            tapes += one.tapes
        blocks = join([one.blocks for one in plans], [len(one.tapes) for one in plans])
        context = plans[0].context
        # they come one by one, and lanes that are free have taken others before
        shards = cut(blocks, self._settings.shard_size, context.limits)
        return Plan(tuple(tapes), tuple(origins), blocks, shards, context)

    def _cut(
        self,
        context: ExecutionContext,
        blocks: Sequence[Block],
        tapes: int,
        like: BatchRecord | None,
    ) -> tuple[Shard, ...]:
        """Cut a batch into shards: as an earlier one was, or over lanes where that is quicker, or into as few as fit."""
        size, limits = self._settings.shard_size, context.limits
        if like is not None:
            return cut_like(blocks, [shard.tapes for shard in like.shards], size, limits)
        if size == "auto" and context.pacer is not None:
            earlier = context.journal.earlier_cut(tapes, lambda size: cut(blocks, size, limits))
            if earlier is not None:
                return earlier
            size = _spread_size(blocks, context, context.pacer)
        return cut(blocks, size, limits)

    def _template(self, context: ExecutionContext, alike: Group) -> Template:
        """The template of a group, made if there is none."""
        problem = "cannot become a circuit of Qiskit: {error}"
        make = partial(of_tape, alike.members[0].position, problem, self.make_template, context, alike)
        return self.templates.get(alike.structure, make)

    def _check_shots(self, blocks: Sequence[Block], limits: Limits, backend: str) -> None:
        """Refuse more shots than the service runs; warn, once, of more than the backend speaks of."""
        shots = max((int(b.shots.total_shots or 0) for b in blocks if b.primitive == "sampler"), default=0)
        if limits.shots is not None and shots > limits.shots:
            raise ConfigurationError(
                f"shots={shots}: backend {backend!r} runs a circuit at most {limits.shots} times. Use fewer shots, or several "
                "tapes whose results you average. Nothing was sent.",
                argument="shots",
                value=shots,
            )
        if limits.stated_shots is None or shots <= limits.stated_shots:
            return
        with self._lock:
            is_first, self._shots_warned = not self._shots_warned, True
        if is_first:
            warnings.warn(
                f"shots={shots}: backend {backend!r} speaks of at most {limits.stated_shots}, which IBM no longer enforces. The "
                "job is sent; if it fails, use fewer shots, or several tapes whose results you average.",
                UserWarning,
                stacklevel=2,
            )

    def make_template(self, context: ExecutionContext, alike: Group) -> SharedTemplate:
        """A template of tapes that have one structure.

        Raises:
            BackendError: The backend has fewer qubits than a tape has wires.
        """
        tape = alike.example
        used = set(tape.wires)
        # a layout of the user's names all qubits of the register, so the register has all wires
        layout = self._settings.transpile_options.get("initial_layout")
        # circuits that stay as they are have wire i on qubit i, and a pass manager may say where each wire goes
        whole = self.places_wires
        known = self._wires or register(tape, layout, whole=whole)
        # a user's own measurement is given the samples of all wires of the device
        whole = whole or any(is_own_measurement(mp) for mp in tape.measurements)
        wires = [w for w in known if whole or w in used]
        wires += [w for w in tape.wires if w not in set(wires)]
        most = None if len(wires) <= context.least_qubits else context.count_qubits()
        if most is not None and len(wires) > most:
            raise BackendError(
                f"A tape uses {len(wires)} wires; backend {context.name!r} has {most} qubits. Nothing was sent.",
                argument="wires",
                value=len(wires),
            )
        return SharedTemplate(
            tape,
            alike.members[0].data,
            wires,
            context.compiler,
            parametrise=self._settings.parametrise,
            fuse=context.fuse,
            route=context.compiler.route,
        )

    @property
    def places_wires(self) -> bool:
        """Whether it matters which wire is which: wire i is qubit i of what a user's layout or pass manager gets."""
        return (
            self._settings.transpile_options.get("initial_layout") is not None
            or self._settings.compiles_otherwise
        )


def _spread_size(blocks: Sequence[Block], context: ExecutionContext, pacer: Pacer) -> int | Literal["auto"]:
    """Tapes in a shard with which a batch is done soonest on a simulator of a service."""
    assert context.limits is not None
    weigh = context.limits.weigh
    return spread_size(
        len({member.position for block in blocks for member in block.members}),
        sum(weigh(block).of(block.rows).circuits for block in blocks),
        int(min(context.lanes.most, pacer.slots)),
        pacer.speed.circuit_secs,
    )


def _of_the_users_tape(error: UnsupportedCircuitError, origins: Sequence[Origin]) -> UnsupportedCircuitError:
    """An error with the place of the tape that the user gave: an expanded broadcast moves those after it."""
    for position, origin in enumerate(origins):
        if error.tape is not None and origin.start <= error.tape < origin.stop:
            text = without_prefix(str(error), f"Tape {error.tape}")
            return type(error)(f"Tape {position}{text}", tape=position)
    return error
