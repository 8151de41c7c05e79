"""Random circuits as source texts: gates, what is measured, shots.

A circuit is text, so that a failing one can be made smaller by leaving lines out, and printed as a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .gates import GATES, PREPARATIONS, TEMPLATES, Numbers, available, wrapped


@dataclass(frozen=True)
class Measurement:
    """One measurement.

    Attributes:
        kind: Name of PennyLane's function.
        target: What is measured: ``"op"``, ``"wires"`` or ``"value"`` of mid-circuit measurements.
        what: Source of it; empty for all wires.
        options: Further arguments.
    """

    kind: str
    target: str
    what: str = ""
    options: str = ""

    @property
    def source(self):
        """The call."""
        name = {"wires": "wires=", "op": "op=", "value": "op="}[self.target]
        plain = self.kind in {"expval", "var", "shadow_expval"}
        first = "" if not self.what else self.what if plain else name + self.what
        return "qml.{}({})".format(self.kind, ", ".join(x for x in (first, self.options) if x))


@dataclass(frozen=True)
class Tape:
    """One circuit.

    Attributes:
        lines: Statements.
        returns: Measurements.
        shots: Shots, or a shot vector.
        batch: Length of its broadcast; ``None`` for none.
        broken: Whether an observable is not Hermitian, so that it must be refused.
    """

    lines: tuple
    returns: tuple
    shots: object
    batch: object = None
    broken: bool = False

    @property
    def source(self):
        """The quantum function."""
        body = [*self.lines, "return {}".format(", ".join(m.source for m in self.returns))]
        return "def circuit():\n" + "".join(f"    {line}\n" for line in body)

    @property
    def entries(self):
        """Numbers of the entries of the broadcast; one ``None`` without broadcasting."""
        return range(self.batch) if any("each(" in line for line in self.lines) else [None]

    @property
    def outcomes(self):
        """Names of the outcomes of its mid-circuit measurements."""
        return [line.split(" = ")[0] for line in self.lines if " = qml.measure(" in line]

    @property
    def postselects(self):
        """Whether it drops shots."""
        return any("postselect=" in line for line in self.lines)


LABELS = (
    (0, 1, 2, 3, 4, 5),
    (3, 0, 5, 1, 4, 2),
    ("a", "b", "c", "d", "e", "f"),
    ("q1", -2, 7, "a", 0, "z"),
    (-1, -5, 10, 4, 100, 2),
)


@lru_cache(maxsize=None)
def _tables():
    return available(GATES), available(PREPARATIONS), available(TEMPLATES)


@dataclass(frozen=True)
class Shape:
    """What a circuit may hold.

    Attributes:
        gates: Most gates.
        preparations: Share of state preparations among them.
        templates: Share of templates.
        batch: Chance of broadcasting.
        entries: Fewest entries of a broadcast.
        dynamic: Chance of mid-circuit measurements.
        single: Whether numbers are of single precision.
        wires: Most wires.
        vector: Chance of a shot vector.
        kinds: Kinds of measurements.
        plain: Only gates without a wrapper.
        shots: Numbers of shots to choose from.
    """

    gates: int = 8
    preparations: float = 0.1
    templates: float = 0.15
    batch: float = 0.25
    entries: int = 1
    dynamic: float = 0.0
    single: bool = False
    wires: int = 6
    vector: float = 0.15
    kinds: tuple = ("expval", "expval", "var", "probs", "counts", "sample", "shadow")
    plain: bool = False
    shots: tuple = (1000, 4000, 4000)


class Circuit:
    """A circuit in the making.

    Args:
        rng: Where everything is drawn from.
        wires: Labels of the device.
        shape: What the circuit may hold.
    """

    def __init__(self, rng, wires, shape):
        self.rng = rng
        self.all_wires = list(wires)
        count = int(rng.integers(1, min(len(wires), shape.wires) + 1))
        self.wires = [self.all_wires[i] for i in rng.permutation(len(wires))[:count]]
        self.shape = shape
        self.batch = int(rng.integers(shape.entries, 4)) if rng.random() < shape.batch else None
        self.measured = 0
        self.lines = []

    def make(self):
        """The finished circuit."""
        rng, shape = self.rng, self.shape
        dynamic = rng.random() < shape.dynamic
        for _ in range(int(rng.integers(1, shape.gates + 1))):
            if dynamic and self.measured < 4 and rng.random() < 0.25:
                self._measure()
            gate = self._gate()
            if self.measured and rng.random() < 0.4:
                other = f", lambda: {self._gate()}" if rng.random() < 0.3 else ""
                gate = f"qml.cond({self._condition()}, lambda: {gate}{other})()"
            self.lines.append(gate)
        if dynamic and not self.measured:
            self._measure()
        shots = int(rng.choice(shape.shots))
        if self.measured:
            shots = min(shots, 2000)
        if rng.random() < shape.vector:
            shots = [(shots, shots // 2), (shots, shots, shots // 2), (1, shots)][rng.integers(3)]
        returns = tuple(self._measurement() for _ in range(int(rng.integers(1, 4))))
        return Tape(tuple(self.lines), returns, shots, self.batch)

    def some(self, count):
        """Some of the circuit's wires in any order."""
        return [self.wires[i] for i in self.rng.permutation(len(self.wires))[:count]]

    def _gate(self):
        rng = self.rng
        gates, preparations, templates = _tables()
        kind = rng.random()
        table = gates
        if kind < self.shape.preparations:
            table = preparations
        elif kind < self.shape.preparations + self.shape.templates:
            table = templates
        while True:
            count, source = table[rng.integers(len(table))]
            if count <= len(self.wires):
                break
            table = gates
        wires = self.some(count)
        numbers = Numbers(rng, wires, self.batch, self.shape.single)
        text = source(numbers)
        if self.shape.plain:
            return text
        free = [w for w in self.wires if w not in wires]
        text, used = wrapped(numbers, text, free)
        if rng.random() < 0.25:
            text, _ = wrapped(numbers, text, [w for w in free if w not in used])
        return text

    def _measure(self):
        rng = self.rng
        extra = ", reset=True" if rng.random() < 0.3 else ""
        if rng.random() < 0.15:
            extra += f", postselect={rng.integers(2)}"
        self.lines.append(f"m{self.measured} = qml.measure({self.some(1)[0]!r}{extra})")
        self.measured += 1

    def _outcome(self):
        return f"m{self.rng.integers(self.measured)}"

    def _condition(self):
        form = self.rng.choice(
            ["{0}", "{0} == 0", "{0} & {1}", "{0} | {1}", "{0} + {1} == 1", "{0} != {1}", "2 * {0} + {1} > 1"]
        )
        return str(form).format(self._outcome(), self._outcome())

    def _measurement(self):
        rng = self.rng
        kind = str(rng.choice(self.shape.kinds))
        if self.measured and rng.random() < 0.4 and kind != "shadow":
            return self._of_values(kind)
        if kind == "shadow":
            return self._shadow()
        if kind in {"expval", "var"}:
            return Measurement(kind, "op", self.observable())
        options = "all_outcomes=True" if kind == "counts" and rng.random() < 0.3 else ""
        if rng.random() < 0.3:
            return Measurement(kind, "op", self.observable(sums=False), options)
        if rng.random() < 0.1:
            return Measurement(kind, "wires", "", options)
        count = int(rng.integers(1, min(4, len(self.wires)) + 1))
        return Measurement(kind, "wires", repr(self.some(count)), options)

    def _of_values(self, kind):
        rng = self.rng
        if kind in {"counts", "sample", "probs"} and rng.random() < 0.4:
            chosen = sorted({self._outcome(), self._outcome()})
            return Measurement(kind, "value", "[{}]".format(", ".join(chosen)))
        if kind == "probs":
            return Measurement(kind, "value", self._outcome())
        form = rng.choice(["{0}", "{0} + {1}", "2 * {0} - {1}", "{0} == 0", "{0} & {1}", "3 * {0} * {1} + 1"])
        options = "all_outcomes=True" if kind == "counts" and rng.random() < 0.3 else ""
        return Measurement(kind, "value", str(form).format(self._outcome(), self._outcome()), options)

    def _shadow(self):
        wires = self.some(int(self.rng.integers(1, min(3, len(self.wires)) + 1)))
        if self.rng.random() < 0.5:
            seed = f"seed={self.rng.integers(99)}" if self.rng.random() < 0.5 else ""
            return Measurement("classical_shadow", "wires", repr(wires), seed)
        # PennyLane's estimate from a shadow is for wires that a word of X, Y and Z covers
        word = " @ ".join("qml.Pauli{}({!r})".format("XYZ"[self.rng.integers(3)], w) for w in wires)
        return Measurement("shadow_expval", "op", word)

    def observable(self, *, sums=True):
        """Source of an observable on at most three of the wires."""
        rng = self.rng
        wires = self.some(int(rng.integers(1, min(3, len(self.wires)) + 1)))
        numbers = Numbers(rng, wires)
        kind = rng.random()
        if sums and kind < 0.4:
            return self._sum()
        if kind < 0.7:
            return " @ ".join("qml.Pauli{}({!r})".format("XYZ"[rng.integers(3)], w) for w in wires)
        if kind < 0.8:
            few = wires[:2]
            return f"qml.Hermitian(hermitian({len(few)}, {numbers.seed()}), wires={few})"
        if kind < 0.87:
            return f"qml.Projector({numbers.bits(len(wires))}, wires={wires})"
        if kind < 0.9:
            return f"qml.Projector(state(1, {numbers.seed()}), wires={wires[:1]})"
        if kind < 0.95 or len(wires) == 1:
            return f"qml.Hadamard({wires[0]!r})"
        return f"qml.PauliZ({wires[0]!r}) @ qml.Hermitian(hermitian(1, {numbers.seed()}), wires={wires[1:2]})"

    def _sum(self):
        rng = self.rng
        terms = []
        for _ in range(int(rng.integers(2, 5))):
            wires = self.some(int(rng.integers(1, min(2, len(self.wires)) + 1)))
            factors = ["qml.Pauli{}({!r})".format("XYZ"[rng.integers(3)], w) for w in wires]
            terms.append((round(float(rng.uniform(-1, 1)), 2), " @ ".join(factors)))
        if rng.random() < 0.5:
            coeffs, words = [c for c, _ in terms], ", ".join(w for _, w in terms)
            return f"qml.Hamiltonian({coeffs}, [{words}])"
        return " + ".join(f"{c} * ({w})" for c, w in terms)
