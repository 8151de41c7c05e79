"""Reading a large result: 127 qubits, 100 000 shots, ``probs`` on 2 wires and ``expval`` on 3."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import numpy as np
import pennylane as qml

from .contenders import remote_device
from .report import REMOTE, THIS, Target, Work
from .timing import Effort, best, peak_bytes, seconds, take_turns

READ, READ_ALL, PEAK, PEAK_ALL = (
    "5 wires measured s",
    "all wires measured s",
    "5 wires, peak MB",
    "all wires, peak MB",
)


def run(effort: Effort) -> Work:
    """Time and memory, with the wires that this device measures and with a full register."""
    wires, shots = effort.size(127, 6), effort.size(100_000, 100)
    packed = np.random.default_rng(1).integers(0, 256, (1, shots, (wires + 7) // 8), dtype=np.uint8)
    packed[..., 0] &= (1 << (wires - 8 * (packed.shape[-1] - 1))) - 1
    samples = take_turns(
        {THIS: lambda: ours(wires, packed), REMOTE: lambda: theirs(wires, packed)},
        effort.rounds,
        slow={REMOTE: 1},
    )
    whole = wires * shots * 8 / 1e6
    worst = {name: max(best(samples, THIS, q) for q in pair) for name, pair in PAIRS.items()}
    return Work(
        f"Decode: {wires} qubits, {shots} shots, probs on 2 wires and expval on 3",
        samples,
        (
            Target("decode", 1.0, worst["s"], unit="s"),
            Target(
                f"peak, of the {whole:.3g} MB that an array of shots x wires takes", 0.1, worst["MB"] / whole
            ),
        ),
        ("qiskit.remote measures all wires and makes an array of shots x wires",),
    )


PAIRS = {"s": (READ, READ_ALL), "MB": (PEAK, PEAK_ALL)}


def make_tape(wires: int, shots: int) -> qml.tape.QuantumScript:
    """Wires from both ends and the middle."""
    a, b, c = 0, wires // 2, wires - 1
    return qml.tape.QuantumScript(
        [qml.Hadamard(w) for w in range(wires)],
        [qml.probs(wires=[c, a]), qml.expval(qml.Z(a) @ qml.Z(b) @ qml.Z(c))],
        shots=shots,
    )


def ours(wires: int, packed: np.ndarray) -> dict[str, float]:
    """Decode a block as the device does; then the same questions to a register of all wires."""
    from pennylane_threaded_ibmq.circuits.decode import BlockResult, decode_block
    from pennylane_threaded_ibmq.circuits.outcomes import ShotBits
    from pennylane_threaded_ibmq.circuits.plan import group, plan
    from pennylane_threaded_ibmq.circuits.template import Template

    tape = make_tape(wires, packed.shape[1])
    groups = group([tape])
    template = Template(tape, groups[0].members[0].data, range(wires), lambda circuit: circuit)
    (block,) = plan(groups, [template], estimator=False)
    (setting,) = block.settings
    few = BlockResult({setting: ShotBits(np.ascontiguousarray(packed[..., -1:]) & np.uint8(0b111))})
    rng = np.random.default_rng(0)
    everything = ShotBits(packed)

    def read_few() -> Any:
        return decode_block(block, few, rng)

    def read_all() -> Any:
        return everything.histogram([wires - 1, 0]), everything.word_sums([[0, wires // 2, wires - 1]])

    return {
        READ: seconds(read_few),
        READ_ALL: seconds(read_all),
        PEAK: peak_bytes(read_few) / 1e6,
        PEAK_ALL: peak_bytes(read_all) / 1e6,
    }


def theirs(wires: int, packed: np.ndarray) -> dict[str, float]:
    """What ``qiskit.remote`` does with a Sampler's result."""
    from qiskit.primitives import BitArray

    backend = Mock(num_qubits=wires, options=Mock(shots=packed.shape[1]))
    device = remote_device(wires, backend)
    tape = make_tape(wires, packed.shape[1])
    device._current_job = BitArray(packed[0], wires)

    def read() -> Any:
        measured = device.generate_samples(0)
        return [mp.process_samples(measured, wire_order=device.wires) for mp in tape.measurements]

    return {READ_ALL: seconds(read), PEAK_ALL: peak_bytes(read) / 1e6}
