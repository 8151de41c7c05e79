"""Estimates of the QPU time of a batch, before it is sent.

IBM's formula (https://quantum.cloud.ibm.com/docs/guides/estimate-job-run-time): about 2 seconds for a job, plus, for each
execution, the repetition delay and the length of the circuit with its initialisation. The length is that of the
transpiled template, from the durations of the backend's target. What error mitigation adds is counted by the defaults of
IBM's options: see :class:`Mitigation`. What IBM's execution engine adds when it cuts a large job is not known before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from .._quantity import quantity
from ..circuits.limits import Overhead
from ..circuits.plan import Block
from ..circuits.shards import Shard
from ..progress.tables import html_facts
from .durations import Durations

JOB_SECS = 2.0
REP_DELAY_SECS = 250e-6
"""IBM's usual default, for a backend that does not say."""

NOISE_FACTORS = (1.0, 3.0, 5.0)
"""Of IBM's zero-noise extrapolation, unless options say otherwise."""

PEC_OVERHEAD = 100.0
"""Most executions for one that probabilistic error cancellation makes, unless options say otherwise."""

LEARNED_LAYERS, LEARNED_DEPTHS, LEARNED_RANDOMIZATIONS, LEARNED_SHOTS = 4, 6, 32, 128
"""Noise learning, unless options say otherwise: layers, depths of each, randomizations of each, shots of each."""

LEARNED_BASES = 9
"""Bases in which the noise of a layer is learned. Source: https://arxiv.org/abs/2201.09866"""


@dataclass(frozen=True)
class Estimate:
    """Estimate of what a batch will take.

    Attributes:
        jobs: Jobs.
        circuits: Circuits with values: one for each row and basis.
        shots: Executions: circuits times shots, those of error mitigation included.
        qpu_secs: QPU seconds; 0 on this machine.
        left_secs: QPU seconds left on the instance; ``None`` if it has no limit or was not asked.
        formula: How ``qpu_secs`` came about.
        secs_by_job: QPU seconds of each job.
    """

    jobs: int
    circuits: int
    shots: int
    qpu_secs: float
    left_secs: float | None
    formula: str
    secs_by_job: tuple[float, ...] = ()

    def _repr_html_(self) -> str:
        left = [] if self.left_secs is None else [("left on the instance", f"{self.left_secs:.0f} s")]
        facts = [("jobs", self.jobs), ("circuits", self.circuits), ("shots", self.shots)]
        return html_facts(
            "What the batch will take",
            [*facts, ("QPU", f"{self.qpu_secs:.1f} s"), *left, ("because", self.formula)],
        )


@dataclass(frozen=True)
class Mitigation:
    """Executions that options of a primitive add to plain ones.

    Attributes:
        factors: Each circuit is run once for each, that many times as long.
        overhead: Executions for one, at most (probabilistic error cancellation).
        twirled: Shots are dealt out to randomizations, and rounded up.
        randomizations: How many; ``None`` for IBM's choice.
        shots_each: Shots of each; ``None`` for IBM's choice.
        learned: Executions by which the noise of layers is learned.
        calibrations: Randomizations by which readout errors are learned; 0 for none.
    """

    factors: tuple[float, ...] = (1.0,)
    overhead: float = 1.0
    twirled: bool = False
    randomizations: int | None = None
    shots_each: int | None = None
    learned: int = 0
    calibrations: int = 0

    def shots(self, number: int) -> int:
        """Executions of a circuit, without the factors and the overhead."""
        if not self.twirled or number <= 0:
            return number
        each, many = self.shots_each, self.randomizations
        if each is None:
            each = ceil(number / many) if many else max(64, ceil(number / 32))
        return each * (many if many is not None else ceil(number / each))


def mitigation(primitive: str, options: Mapping[str, Any]) -> Mitigation:
    """Read what a primitive's options add.

    Args:
        primitive: ``"sampler"`` or ``"estimator"``.
        options: Options of the primitive; what they leave out has IBM's defaults.
    """
    twirling = _part(options, "twirling")
    estimator = primitive == "estimator"
    level = options.get("resilience_level", 1) if estimator else 0
    level = 1 if level is None else level
    twirled = any(twirling.get(name, estimator and level > 0) for name in ("enable_gates", "enable_measure"))
    base = Mitigation(
        twirled=twirled,
        randomizations=_number(twirling.get("num_randomizations")),
        shots_each=_number(twirling.get("shots_per_randomization")),
    )
    return _resilient(base, _part(options, "resilience"), level) if estimator else base


def overheads(options: Mapping[str, Mapping[str, Any]]) -> dict[str, Overhead]:
    """Overhead of each primitive's options.

    Args:
        options: Options by primitive.
    """
    by_primitive = {}
    for primitive in ("estimator", "sampler"):
        chosen = _part(options, primitive)
        added = mitigation(primitive, chosen)
        # the other way to amplify noise adds no gates
        pea = _part(_part(chosen, "resilience"), "zne").get("amplifier") == "pea"
        by_primitive[primitive] = Overhead(added.shots, len(added.factors) if pea else sum(added.factors))
    return by_primitive


def _resilient(base: Mitigation, resilience: Mapping[str, Any], level: int) -> Mitigation:
    zne, pec = _part(resilience, "zne"), _part(resilience, "pec")
    with_zne = resilience.get("zne_mitigation", level == 2)
    with_pec = resilience.get("pec_mitigation", False)
    factors = zne.get("noise_factors")
    pea = with_zne and zne.get("amplifier") == "pea"
    measured = _part(resilience, "measure_noise_learning")
    return Mitigation(
        factors=tuple(map(float, factors if isinstance(factors, (list, tuple)) else NOISE_FACTORS))
        if with_zne
        else (1.0,),
        overhead=float(pec.get("max_overhead") or PEC_OVERHEAD) if with_pec else 1.0,
        twirled=base.twirled,
        randomizations=base.randomizations,
        shots_each=base.shots_each,
        learned=_learned(_part(resilience, "layer_noise_learning")) if with_pec or pea else 0,
        calibrations=(_number(measured.get("num_randomizations")) or 32)
        if resilience.get("measure_mitigation", level > 0)
        else 0,
    )


def _learned(options: Mapping[str, Any]) -> int:
    layers = options.get("max_layers_to_learn", LEARNED_LAYERS)
    depths = options.get("layer_pair_depths")
    return (
        (LEARNED_LAYERS if layers is None else int(layers))
        * (len(depths) if isinstance(depths, (list, tuple)) else LEARNED_DEPTHS)
        * (_number(options.get("num_randomizations")) or LEARNED_RANDOMIZATIONS)
        * (_number(options.get("shots_per_randomization")) or LEARNED_SHOTS)
        * LEARNED_BASES
    )


@dataclass(frozen=True)
class Machine:
    """The properties of a backend that decide how long a job takes.

    Attributes:
        durations: How long circuits take.
        rep_delay_secs: The backend's repetition delay.
        options: Options of each primitive, or those of a classic backend's ``run``.
    """

    durations: Durations
    rep_delay_secs: float = REP_DELAY_SECS
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Cost:
    """Executions, and seconds for them."""

    shots: float = 0.0
    secs: float = 0.0

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(self.shots + other.shots, self.secs + other.secs)


def estimate(shards: Sequence[Shard], *, machine: Machine | None, left_secs: float | None = None) -> Estimate:
    """Estimate a batch.

    Args:
        shards: The batch, cut.
        machine: The QPU; ``None`` for a simulator of this machine.
        left_secs: What is left on the instance.
    """
    circuits = sum(_circuits(block) for shard in shards for block in shard.blocks)
    if machine is None:
        shots = sum(_circuits(block) * block.row_shots for shard in shards for block in shard.blocks)
        text = "simulated on this machine: no QPU time"
        return Estimate(len(shards), circuits, shots, 0.0, None, text)
    costs = [_shard_cost(shard, machine) for shard in shards]
    total = sum(costs, _Cost())
    each = total.secs / total.shots if total.shots else 0.0
    formula = (
        f"{quantity(len(shards), 'job')} x {JOB_SECS:g} s + {quantity(round(total.shots), 'execution')} x {each * 1e6:.0f} us (repetition delay, "
        "initialisation and circuit)"
    )
    by_job = tuple(JOB_SECS + cost.secs for cost in costs)
    return Estimate(len(shards), circuits, round(total.shots), sum(by_job), left_secs, formula, by_job)


def _shard_cost(shard: Shard, machine: Machine) -> _Cost:
    return sum((_block_cost(block, machine) for block in shard.blocks), _Cost())


def _block_cost(block: Block, machine: Machine) -> _Cost:
    options = _part(machine.options, block.primitive)
    execution = _part(options, "execution")
    added = mitigation(block.primitive, options)
    start = machine.durations.reset_secs if execution.get("init_qubits", True) is not False else 0.0
    delay = _secs(execution.get("rep_delay", machine.options.get("rep_delay")), machine.rep_delay_secs)
    measured = machine.durations.measure_secs if block.primitive == "estimator" else 0.0
    shots = added.shots(block.row_shots)
    cost = _Cost()
    for length, circuits in _lengths(block, machine.durations):
        for factor in added.factors:
            number = circuits * shots * added.overhead
            cost += _Cost(number, number * (delay + start + factor * length + measured))
    longest = max((length for length, _ in _lengths(block, machine.durations)), default=0.0)
    cost += _Cost(added.learned, added.learned * (delay + start + longest + measured))
    if added.calibrations:
        number = added.calibrations * ceil(shots / added.calibrations)
        cost += _Cost(number, number * (delay + start + measured))
    return cost


def _lengths(block: Block, durations: Durations) -> list[tuple[float, int]]:
    """The length of each circuit of a block, and how many rows or bases it is run for."""
    template = block.template
    if block.primitive == "estimator":
        return [(durations.circuit_secs(template.estimator_circuit()[0].circuit), _circuits(block))]
    return [
        (durations.circuit_secs(template.sampler_circuit(setting).circuit), block.rows)
        for setting in block.settings
    ]


def _circuits(block: Block) -> int:
    return block.rows * max(1, len(block.settings))


def _part(options: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = options.get(name)
    return part if isinstance(part, Mapping) else {}


def _number(value: Any) -> int | None:
    """A number among options; ``None`` for ``"auto"`` and the like."""
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _secs(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default
