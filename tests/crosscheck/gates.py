"""Every gate of PennyLane's, as a source text with random numbers, and what can be wrapped around it."""

from __future__ import annotations

import re

import pennylane as qml

LEFT_OUT = {
    "Hermitian": "an observable",
    "Projector": "an observable",
    "SparseHamiltonian": "an observable",
    "QubitDensityMatrix": "a mixed state, which no circuit prepares",
    "Snapshot": "looks into a simulator",
    "WireCut": "for qml.cut_circuit, which takes it away",
    "X": "PauliX",
    "Y": "PauliY",
    "Z": "PauliZ",
    "H": "Hadamard",
    "ControlledOp": "what qml.ctrl makes",
    "SQISW": "SISWAP",
    "CPhase": "ControlledPhaseShift",
}
"""Operations that are not tried, and why, or under which other name they are."""


class Numbers:
    """Draws what a gate needs, as source texts.

    Args:
        rng: Where it is drawn from.
        wires: Labels of the gate's wires.
        batch: Length of a broadcast; ``None`` for none.
        single: Whether numbers are of single precision.
    """

    def __init__(self, rng, wires, batch=None, single=False):
        self.rng = rng
        self.wires = list(wires)
        self.batch = batch
        self.single = single

    def broadcast(self):
        """Whether the next number is one a batch entry."""
        return self.batch is not None and self.rng.random() < 0.5

    def angle(self, largest=6.5):
        """One angle, or an array of them, radians; now and then a special one."""
        if self.broadcast():
            drawn = [round(float(x), 3) for x in self.rng.uniform(-largest, largest, self.batch)]
            return "each(np.array({}{}))".format(drawn, ", dtype='float32'" if self.single else "")
        special = [0.0, 1.5707963267948966, 3.141592653589793, -3.141592653589793, 6.283185307179586]
        if self.rng.random() < 0.1 and largest > 4:
            return repr(special[self.rng.integers(len(special))])
        number = repr(round(float(self.rng.uniform(-largest, largest)), 3))
        return f"np.float32({number})" if self.single else number

    def seed(self):
        """A seed."""
        return int(self.rng.integers(1000))

    def bits(self, count):
        """A list of bits."""
        return self.rng.integers(0, 2, count).tolist()

    def array(self, name, *arguments, **options):
        """A call of one of the functions in ``values``; arrays of a batch where it is broadcast."""
        many = options.pop("batched", True) and self.broadcast()
        if many:
            options["batch"] = self.batch
        if self.single and name in {"unitary", "state"}:
            options["dtype"] = "complex64"
        given = [repr(a) for a in (*arguments, self.seed())]
        given += [f"{k}={v!r}" for k, v in options.items()]
        return ("each({}({}))" if many else "{}({})").format(name, ", ".join(given))

    def word(self):
        """Letters for all wires, not all of them I."""
        letters = ["IXYZ"[i] for i in self.rng.integers(0, 4, len(self.wires))]
        letters[self.rng.integers(len(letters))] = "XYZ"[self.rng.integers(3)]
        return "".join(letters)

    def hamiltonian(self):
        """A sum of Pauli words on the wires."""
        terms = []
        for _ in range(2):
            factors = [
                f"qml.Pauli{letter}({w!r})" for letter, w in zip(self.word(), self.wires) if letter != "I"
            ]
            terms.append("{:.2f} * ({})".format(self.rng.uniform(0.1, 1), " @ ".join(factors)))
        return " + ".join(terms)


def _named(names, count, angles=0):
    def made(name):
        return lambda n: "qml.{}({}wires={})".format(
            name, "".join(n.angle() + ", " for _ in range(angles)), n.wires
        )

    return [(count, made(name)) for name in names.split()]


GATES = [
    *_named("Identity PauliX PauliY PauliZ Hadamard S T SX", 1),
    *_named("CNOT CY CZ CH SWAP ISWAP SISWAP ECR", 2),
    *_named("Toffoli CSWAP CCZ", 3),
    *_named("RX RY RZ PhaseShift U1 GlobalPhase", 1, 1),
    *_named("U2", 1, 2),
    *_named("Rot U3", 1, 3),
    *_named("CRX CRY CRZ ControlledPhaseShift CPhaseShift00 CPhaseShift01 CPhaseShift10", 2, 1),
    *_named("IsingXX IsingYY IsingZZ IsingXY PSWAP", 2, 1),
    *_named("SingleExcitation SingleExcitationPlus SingleExcitationMinus FermionicSWAP", 2, 1),
    *_named("CRot", 2, 3),
    *_named("DoubleExcitation DoubleExcitationPlus DoubleExcitationMinus OrbitalRotation", 4, 1),
    *_named("MultiRZ", 3, 1),
    (2, lambda n: f"qml.Barrier(wires={n.wires})"),
    (2, lambda n: f"qml.PauliRot({n.angle()}, {n.word()!r}, wires={n.wires})"),
    (3, lambda n: f"qml.PauliRot({n.angle()}, {n.word()!r}, wires={n.wires})"),
    (1, lambda n: "qml.QubitUnitary({}, wires={})".format(n.array("unitary", 1), n.wires)),
    (2, lambda n: "qml.QubitUnitary({}, wires={})".format(n.array("unitary", 2), n.wires)),
    (3, lambda n: "qml.QubitUnitary({}, wires={})".format(n.array("unitary", 3), n.wires)),
    (2, lambda n: "qml.DiagonalQubitUnitary({}, wires={})".format(n.array("phases", 4), n.wires)),
    (2, lambda n: "qml.SpecialUnitary({}, wires={})".format(n.array("angles", (15,)), n.wires)),
    (2, lambda n: f"qml.PCPhase({n.angle()}, dim={n.rng.integers(1, 4)}, wires={n.wires})"),
    (2, lambda n: f"qml.BlockEncode(np.array([[0.1, 0.2], [-0.3, 0.4]]), wires={n.wires})"),
    (
        3,
        lambda n: (
            f"qml.IntegerComparator({n.rng.integers(0, 4)}, geq={bool(n.rng.integers(2))}, wires={n.wires})"
        ),
    ),
    (3, lambda n: f"qml.MultiControlledX(wires={n.wires}, control_values={n.bits(2)})"),
    (4, lambda n: f"qml.MultiControlledX(wires={n.wires}, control_values={n.bits(3)})"),
    (2, lambda n: "qml.ControlledQubitUnitary({}, wires={})".format(n.array("unitary", 1), n.wires)),
    (3, lambda n: f"qml.QubitSum(wires={n.wires})"),
    (4, lambda n: f"qml.QubitCarry(wires={n.wires})"),
]
"""Gates: number of wires, source."""

PREPARATIONS = [
    (1, lambda n: "qml.StatePrep({}, wires={})".format(n.array("state", 1), n.wires)),
    (2, lambda n: "qml.StatePrep({}, wires={})".format(n.array("state", 2), n.wires)),
    (2, lambda n: "qml.StatePrep({}, wires={})".format(n.array("state", 2, real=True), n.wires)),
    (2, lambda n: "qml.AmplitudeEmbedding({}, wires={})".format(n.array("state", 2), n.wires)),
    (
        2,
        lambda n: f"qml.AmplitudeEmbedding([0.3, 0.4], wires={n.wires}, pad_with=0.1, normalize=True)",
    ),
    (2, lambda n: "qml.MottonenStatePreparation({}, wires={})".format(n.array("state", 2), n.wires)),
    (2, lambda n: f"qml.BasisState(np.array({n.bits(2)}), wires={n.wires})"),
    (2, lambda n: f"qml.BasisEmbedding({n.bits(2)}, wires={n.wires})"),
]
"""States: number of wires, source."""

TEMPLATES = [
    *_named("QFT GroverOperator", 3),
    (3, lambda n: f"qml.AQFT(1, wires={n.wires})"),
    (2, lambda n: "qml.AngleEmbedding({}, wires={})".format(n.array("angles", (2,)), n.wires)),
    (2, lambda n: "qml.IQPEmbedding({}, wires={})".format(n.array("angles", (2,)), n.wires)),
    (2, lambda n: "qml.StronglyEntanglingLayers({}, wires={})".format(n.array("angles", (1, 2, 3)), n.wires)),
    (3, lambda n: "qml.BasicEntanglerLayers({}, wires={})".format(n.array("angles", (2, 3)), n.wires)),
    (
        2,
        lambda n: "qml.SimplifiedTwoDesign({}, {}, wires={})".format(
            n.array("angles", (2,), batched=False), n.array("angles", (1, 1, 2), batched=False), n.wires
        ),
    ),
    (
        2,
        lambda n: "qml.RandomLayers({}, wires={}, seed=3)".format(
            n.array("angles", (1, 3), batched=False), n.wires
        ),
    ),
    (3, lambda n: f"qml.Permute({n.wires}[::-1], wires={n.wires})"),
    (2, lambda n: f"qml.FlipSign({n.bits(2)}, wires={n.wires})"),
    (
        2,
        lambda n: "qml.Reflection(qml.StatePrep({}, wires={}), {})".format(
            n.array("state", 2, batched=False), n.wires, n.angle()
        ),
    ),
    (
        2,
        lambda n: (
            f"qml.Reflection(qml.Hadamard({n.wires[0]!r}), {n.angle()}, reflection_wires={n.wires[:1]!r})"
        ),
    ),
    (
        2,
        lambda n: (
            "qml.AmplitudeAmplification(qml.StatePrep({0}, wires={1}), qml.FlipSign({2}, wires={1}), iters=1)".format(
                n.array("state", 2, batched=False), n.wires, n.bits(2)
            )
        ),
    ),
    (
        3,
        lambda n: f"qml.ControlledSequence(qml.RX({n.angle()}, wires={n.wires[0]!r}), control={n.wires[1:]})",
    ),
    (
        3,
        lambda n: (
            "qml.Select([qml.PauliX({0!r}), qml.RY({1}, {0!r}), qml.PauliZ({0!r})], control={2})".format(
                n.wires[0], n.angle(), n.wires[1:]
            )
        ),
    ),
    (
        3,
        lambda n: "qml.SelectPauliRot({}, control_wires={}, target_wire={!r})".format(
            n.array("angles", (4,), batched=False), n.wires[1:], n.wires[0]
        ),
    ),
    (
        2,
        lambda n: (
            f"qml.ApproxTimeEvolution(qml.Hamiltonian([0.4, 0.7], [qml.PauliX({n.wires[0]!r}), qml.PauliZ({n.wires[0]!r}) @ qml.PauliZ({n.wires[1]!r})]), {n.angle()}, 1)"
        ),
    ),
    (
        2,
        lambda n: (
            f"qml.CommutingEvolution(qml.Hamiltonian([0.4, 0.7], [qml.PauliX({n.wires[0]!r}), qml.PauliX({n.wires[1]!r})]), {n.angle()})"
        ),
    ),
    (2, lambda n: f"qml.TrotterProduct({n.hamiltonian()}, {n.angle(2)}, n=1, order=2)"),
    (2, lambda n: f"qml.QDrift({n.hamiltonian()}, {n.angle(2)}, n=2, seed=7)"),
    (
        2,
        lambda n: "qml.ArbitraryUnitary({}, wires={})".format(
            n.array("angles", (15,), batched=False), n.wires
        ),
    ),
    (
        2,
        lambda n: "qml.ArbitraryStatePreparation({}, wires={})".format(
            n.array("angles", (6,), batched=False), n.wires
        ),
    ),
    (2, lambda n: f"qml.CosineWindow(wires={n.wires})"),
    (2, lambda n: f"qml.FermionicSingleExcitation({n.angle()}, wires={n.wires})"),
    (
        4,
        lambda n: f"qml.FermionicDoubleExcitation({n.angle()}, wires1={n.wires[:2]}, wires2={n.wires[2:]})",
    ),
    (
        2,
        lambda n: "qml.BasisRotation(wires={}, unitary_matrix={})".format(
            n.wires, n.array("unitary", 1, batched=False)
        ),
    ),
    (
        4,
        lambda n: "qml.GateFabric({}, wires={}, init_state=np.array([1, 1, 0, 0]))".format(
            n.array("angles", (1, 1, 2), batched=False), n.wires
        ),
    ),
    (
        3,
        lambda n: (
            f"qml.QuantumPhaseEstimation(qml.RZ({n.angle(3)}, wires={n.wires[0]!r}), estimation_wires={n.wires[1:]})"
        ),
    ),
    (
        3,
        lambda n: f"qml.PrepSelPrep({n.__class__(n.rng, n.wires[:2]).hamiltonian()}, control={n.wires[2:]})",
    ),
    (
        3,
        lambda n: f"qml.Qubitization({n.__class__(n.rng, n.wires[:2]).hamiltonian()}, control={n.wires[2:]})",
    ),
    (3, lambda n: f"qml.TemporaryAND(wires={n.wires}, control_values={n.bits(2)})"),
    (3, lambda n: f"qml.Adder({n.rng.integers(1, 7)}, x_wires={n.wires})"),
    (3, lambda n: f"qml.PhaseAdder({n.rng.integers(1, 7)}, x_wires={n.wires})"),
    (
        3,
        lambda n: (
            f"qml.QROM([[0], [1], [1], [0]], control_wires={n.wires[:2]}, target_wires={n.wires[2:]}, work_wires=None)"
        ),
    ),
    (
        1,
        lambda n: f"qml.exp(qml.Pauli{n.word()}({n.wires[0]!r}), 0.7j)".replace("PauliI", "PauliX"),
    ),
    (
        2,
        lambda n: f"qml.exp(qml.PauliX({n.wires[0]!r}) @ qml.PauliZ({n.wires[1]!r}), 1j * {n.angle()})",
    ),
    (2, lambda n: f"qml.evolve(qml.PauliX({n.wires[0]!r}) @ qml.PauliY({n.wires[1]!r}), {n.angle()})"),
    (2, lambda n: f"qml.evolve({n.hamiltonian()}, 0.6)"),
    (1, lambda n: f"qml.s_prod(1j, qml.RX({n.angle()}, {n.wires[0]!r}))"),
]
"""Templates and operators from arithmetic: number of wires, source."""


def available(table):
    """Those entries whose operations this PennyLane has."""
    import numpy as np

    found = []
    for count, source in table:
        text = source(Numbers(np.random.default_rng(0), range(count)))
        if all(hasattr(qml, name) for name in re.findall(r"qml\.(\w+)", text)):
            found.append((count, source))
    return found


def names(table):
    """Names of the operations in a table."""
    import numpy as np

    texts = [source(Numbers(np.random.default_rng(0), range(count))) for count, source in table]
    return {re.match(r"qml\.(\w+)", text).group(1) for text in texts}


NO_ROOTS = r"3\.141592653589793|6\.283185307179586|QFT|State|Basis|Embedding"
"""Of what no roots are drawn: eigenvalues of -1 leave it to rounding which root PennyLane computes, and states have none."""


def wrapped(numbers, source, free):
    """A wrapper around a gate, or the gate as it is.

    Args:
        numbers: Draws what the wrapper needs; its wires are those of the gate.
        source: The gate.
        free: Labels of the wires that the gate leaves free.
    """
    rng = numbers.rng
    kind = rng.choice(["", "", "", "adjoint", "ctrl", "pow", "root", "prod"])
    if kind == "adjoint":
        return f"qml.adjoint({source})", []
    if kind == "ctrl" and free:
        controls = free[: rng.integers(1, min(3, len(free)) + 1)]
        text = f"qml.ctrl({source}, control={controls}, control_values={numbers.bits(len(controls))})"
        return text, controls
    if kind == "pow":
        return f"qml.pow({source}, {rng.choice([2, 3, -1, -2])})", []
    if kind == "root" and not re.search(NO_ROOTS, source):
        return f"qml.pow({source}, {rng.choice([0.5, -0.5, 1.7])})", []
    if kind == "prod" and free:
        return f"qml.prod({source}, qml.RX({numbers.angle()}, wires={free[0]!r}))", free[:1]
    return source, []
