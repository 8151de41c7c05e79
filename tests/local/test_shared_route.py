"""All settings of a template end one routed circuit: the same distributions, circuits no worse, and two transpiles at most."""

from __future__ import annotations

from itertools import product

import numpy as np
import pennylane as qml
import pytest
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Statevector
from qiskit.transpiler import CouplingMap, generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime.fake_provider import FakeBrisbane, FakeTorino
from routes import WIRES, check, only_active, random_tape, template

from pennylane_threaded_ibmq.simulators.canonical import canonical
from pennylane_threaded_ibmq.simulators.compile import Compiler
from pennylane_threaded_ibmq.simulators.own_compile import OwnCompiler

BACKENDS = {
    "line": lambda: GenericBackendV2(
        6, basis_gates=["id", "rz", "sx", "x", "cx"], coupling_map=CouplingMap.from_line(6), seed=1
    ),
    "cz": FakeTorino,
    "ecr": FakeBrisbane,
}


def line_compiler(level=2, **options):
    return Compiler(BACKENDS["line"](), {"optimization_level": level, "seed_transpiler": 3, **options})


def cycle(measurements, entangle=qml.CNOT, *, shots=10):
    """Rotations and a ring of gates, which a line of qubits cannot have without swaps."""
    turns = [qml.RY(0.3 + 0.2 * wire, wire) for wire in range(WIRES)]
    ring = [entangle([wire, (wire + 1) % WIRES]) for wire in range(WIRES)]
    return qml.tape.QuantumScript([*turns, *ring], measurements, shots=shots)


def words(*letters):
    """Expectation values of words of all wires, such as ``"XXYZX"``."""
    return [qml.expval(qml.pauli.string_to_pauli_word(word)) for word in letters]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("name", BACKENDS)
def test_settings_have_the_distributions_that_they_have_by_themselves(name, level):
    """Of the eight or so settings one has a rotation of two wires, and is compiled by itself; one may end diagonally."""
    backend = BACKENDS[name]()
    compiler = Compiler(backend, {"optimization_level": level, "seed_transpiler": 7})
    for seed in range(5):
        with_one, alone = check(seed, compiler, backend.target)
        assert with_one <= 3
        assert alone >= 6


def test_125_settings_of_a_qpu_cost_one_transpile():
    letters = ["".join(letters) for letters in product("XYZ", repeat=WIRES)][:125]
    with qml.device("threaded.ibmq", wires=WIRES, compile_backend=FakeTorino(), seed_simulator=3) as dev:
        values = dev.batch_execute([cycle(words(*letters), shots=1000)])[0]
        assert dev.transpiles == 1
    exact = qml.execute([cycle(words(*letters), shots=None)], qml.device("default.qubit"))[0]
    np.testing.assert_allclose(values, exact, atol=0.2)


def test_an_estimator_and_samplers_share_the_circuit_too():
    compiler = line_compiler()
    made, values = template(cycle([*words("XXXXX", "YZYZY"), qml.probs(wires=[0, 2])]), compiler)
    compiled, observables = made.estimator_circuit()
    for index in range(3):
        made.sampler_circuit(index)
    assert compiler.transpiles == 1
    exact = qml.execute([cycle(words("XXXXX", "YZYZY"), shots=None)], qml.device("default.qubit"))[0]
    state = Statevector(compiled.circuit.assign_parameters(compiled.values(values)[0]))
    found = [state.expectation_value(one).real for one in observables]
    np.testing.assert_allclose(found, exact, atol=1e-9)


def test_all_settings_are_measured_on_the_same_qubits():
    compiler = Compiler(FakeTorino(), {"optimization_level": 2, "seed_transpiler": 1})
    made, _ = template(cycle(words("XXXXX", "YZYZY", "ZZZZZ")), compiler)
    measured = []
    for index in range(3):
        circuit = made.sampler_circuit(index).circuit
        steps = [one for one in circuit.data if one.operation.name == "measure"]
        measured.append([circuit.find_bit(one.qubits[0]).index for one in steps])
    assert measured[0] == measured[1] == measured[2]
    assert compiler.transpiles == 1


def pairs(compiled):
    return compiled.size.two_qubit_gates


def test_what_no_measurement_sees_goes_where_that_leaves_less_to_route():
    """CZ gates right before a measurement of all wires are nothing; after any other basis they have to be routed."""
    compiler = line_compiler()
    turns = [qml.RY(0.3 + 0.2 * wire, wire) for wire in range(WIRES)]
    tape = qml.tape.QuantumScript(
        [*turns, qml.CNOT([0, 1]), qml.CNOT([1, 2]), qml.CZ([0, 3]), qml.CZ([2, 4])],
        words("ZZZZZ", "XXXXX", "YYYYY"),
        shots=1,
    )
    made, _ = template(tape, compiler)
    found = {s.basis[0][1]: pairs(made.sampler_circuit(i)) for i, s in enumerate(made.settings)}
    assert found["Z"] == 2
    assert found["X"] == found["Y"] >= 4
    assert compiler.transpiles == 2


@pytest.mark.parametrize(("level", "left"), [(1, True), (2, False)])
def test_below_level_2_every_gate_stays_that_a_noise_model_may_belong_to(level, left):
    compiler = Compiler(FakeTorino(), {"optimization_level": level, "seed_transpiler": 1})
    operations = [qml.Hadamard(0), qml.RX(0.4, 1), qml.CZ([0, 1])]
    made, _ = template(
        qml.tape.QuantumScript(operations, words("ZZIII", "XXIII", "YXIII"), shots=1), compiler
    )
    index = next(i for i, s in enumerate(made.settings) if s.basis[0][1] == "Z")
    assert bool(pairs(made.sampler_circuit(index))) == left


def test_circuits_are_scheduled_with_their_endings():
    compiler = line_compiler(scheduling_method="alap")
    made, _ = template(cycle(words("XXXXX", "YZYZY", "ZXXZZ")), compiler)
    whole, _ = template(cycle(words("XXXXX", "YZYZY", "ZXXZZ")), compiler, shared=False)
    for index in range(3):
        operations = made.sampler_circuit(index).circuit.count_ops()
        assert operations["delay"] > 0
        # a circuit that was scheduled before its ending would have twice as many
        assert operations["delay"] < 1.5 * whole.sampler_circuit(index).circuit.count_ops()["delay"]


def test_the_same_seed_gives_the_same_circuits_in_any_order():
    forms = []
    for order in (range(3), reversed(range(3))):
        made, _ = template(random_tape(4), line_compiler())
        forms.append({index: canonical(made.sampler_circuit(index).circuit) for index in order})
    assert forms[0] == forms[1]


def test_the_level_may_be_left_to_qiskit():
    try:
        generate_preset_pass_manager(None, FakeTorino())
    except ValueError:
        pytest.skip("this Qiskit asks for a level")
    options = {"optimization_level": None}
    with qml.device(
        "threaded.ibmq", wires=WIRES, compile_backend=FakeTorino(), transpile_options=options
    ) as dev:
        values = dev.batch_execute([cycle(words("XXXXX", "YZYZY"), shots=1000)])[0]
        assert dev.transpiles == 2
    exact = qml.execute([cycle(words("XXXXX", "YZYZY"), shots=None)], qml.device("default.qubit"))[0]
    np.testing.assert_allclose(values, exact, atol=0.2)


def test_measurements_in_the_middle_are_compiled_with_each_ending():
    """A reset or a measurement that comes last would be taken out before the ending is there."""
    from pennylane_threaded_ibmq.circuits.structure import StructureReader
    from pennylane_threaded_ibmq.circuits.template import Template

    compiler = Compiler(GenericBackendV2(3, control_flow=True, seed=1), {"optimization_level": 2})
    operations = [qml.Hadamard(0), qml.ops.MidMeasure(0, reset=True)]
    tape = qml.tape.QuantumScript(operations, words("ZZ", "XX", "YY"), shots=1)
    made = Template(tape, StructureReader().read(tape, 0), [0, 1], compiler, route=compiler.route)
    circuits = [made.sampler_circuit(index).circuit for index in range(3)]
    assert compiler.transpiles == 3
    assert all(circuit.count_ops()["reset"] == 1 for circuit in circuits)


@pytest.mark.parametrize(
    "compiler",
    [
        OwnCompiler(BACKENDS["line"](), generate_preset_pass_manager(2, backend=BACKENDS["line"]())),
        Compiler(AerSimulator(), {"optimization_level": 1}),
    ],
    ids=["a pass manager of the user's", "nothing to route"],
)
def test_each_setting_is_compiled_by_itself(compiler):
    made, _ = template(cycle(words("XXXXX", "YZYZY", "ZZZZZ")), compiler)
    for index in range(3):
        assert only_active(made.sampler_circuit(index).circuit)[0].num_qubits == WIRES
    assert compiler.transpiles == 3
