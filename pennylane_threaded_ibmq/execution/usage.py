"""How much QPU time a batch will take, before it is sent.

IBM's own rule of thumb for a Sampler job: an overhead of about 2 seconds, plus, for each execution, the repetition
delay and the length of the circuit (https://quantum.cloud.ibm.com/docs/guides/estimate-job-run-time). An Estimator
job runs each circuit once for each basis that its observables need; zero-noise extrapolation multiplies that by the
number of noise factors. Calibration circuits of readout mitigation are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .plan import Block
from .shards import Shard

JOB_SECS = 2.0
CIRCUIT_SECS = 100e-6
REP_DELAY_SECS = 250e-6
"""IBM's usual default, for a backend that does not say."""

NOISE_FACTORS = 3
"""Of IBM's zero-noise extrapolation, unless options say otherwise."""


@dataclass(frozen=True)
class Estimate:
    """What a batch will take.

    Attributes:
        jobs: Jobs.
        circuits: Circuits with values: one for each row and basis.
        shots: Executions: circuits times shots, noise factors included.
        qpu_secs: QPU seconds; 0 on this machine.
        left_secs: QPU seconds left on the instance; ``None`` if it has no limit or was not asked.
        formula: How ``qpu_secs`` came about.
    """

    jobs: int
    circuits: int
    shots: int
    qpu_secs: float
    left_secs: float | None
    formula: str


def estimate(
    shards: Sequence[Shard],
    *,
    remote: bool,
    rep_delay_secs: float = REP_DELAY_SECS,
    primitive_options: Mapping[str, Mapping[str, Any]] | None = None,
    left_secs: float | None = None,
) -> Estimate:
    """Estimate a batch.

    Args:
        shards: The batch, cut.
        remote: It runs on a QPU.
        rep_delay_secs: The backend's repetition delay.
        primitive_options: Options of each primitive.
        left_secs: What is left on the instance.
    """
    blocks = [block for shard in shards for block in shard.blocks]
    factor = noise_factors((primitive_options or {}).get("estimator", {}))
    circuits = sum(_circuits(block) for block in blocks)
    shots = sum(
        _circuits(block)
        * int(block.shots.total_shots or 0)
        * (factor if block.primitive == "estimator" else 1)
        for block in blocks
    )
    if not remote:
        return Estimate(len(shards), circuits, shots, 0.0, None, "simulated on this machine: no QPU time")
    each = rep_delay_secs + CIRCUIT_SECS
    formula = (
        f"{len(shards)} jobs x {JOB_SECS:g} s + {shots} executions x "
        f"({rep_delay_secs * 1e6:g} us repetition delay + {CIRCUIT_SECS * 1e6:g} us circuit)"
    )
    return Estimate(len(shards), circuits, shots, JOB_SECS * len(shards) + each * shots, left_secs, formula)


def noise_factors(options: Mapping[str, Any]) -> int:
    """How often the Estimator runs each circuit for zero-noise extrapolation."""
    resilience = options.get("resilience") or {}
    on = resilience.get("zne_mitigation", options.get("resilience_level") == 2)
    if not on:
        return 1
    factors = (resilience.get("zne") or {}).get("noise_factors")
    return len(factors) if factors else NOISE_FACTORS


def _circuits(block: Block) -> int:
    return block.rows * max(1, len(block.settings))
