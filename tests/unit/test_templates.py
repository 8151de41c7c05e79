"""Templates: each setting's circuit holds the tape's gates, its own ending, and the columns that it still needs."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector
from qiskit.transpiler import CouplingMap, generate_preset_pass_manager

from pennylane_threaded_ibmq.circuits.structure import StructureReader
from pennylane_threaded_ibmq.circuits.template import BASE_BYTES, INSTRUCTION_BYTES, WORD_BYTES, Template
from pennylane_threaded_ibmq.simulators.routed import Routed

WIRES = ["a", 3, "b"]


def template(operations, measurements, transpile=lambda circuit: circuit, wires=WIRES, **options):
    tape = qml.tape.QuantumScript(operations, measurements, shots=10)
    data = StructureReader().read(tape, 0)
    return Template(tape, data, wires, transpile, **options), data


OPS = [qml.RX(0.3, "a"), qml.CRY(0.7, ["a", "b"]), qml.Rot(0.1, 0.2, 0.4, 3), qml.CNOT([3, "b"])]


def final_state(compiled, values):
    """The state before the final measurements, axes in the order of the wires."""
    (row,) = compiled.values(values)
    circuit = compiled.circuit.assign_parameters(list(row)).remove_final_measurements(inplace=False)
    return Statevector(circuit).data.reshape((2,) * circuit.num_qubits).transpose()


def measured_bits(circuit):
    """Qubit of each classical bit that is measured."""
    return {
        circuit.find_bit(i.clbits[0]).index: circuit.find_bit(i.qubits[0]).index
        for i in circuit.data
        if i.operation.name == "measure"
    }


@pytest.mark.parametrize("letter", "XYZ")
def test_a_setting_ends_in_its_basis(letter):
    obs = getattr(qml, letter)
    made, data = template(OPS, [qml.expval(obs("b") @ obs(3))])
    compiled = made.sampler_circuit(0)
    assert compiled is made.sampler_circuit(0)
    state = final_state(compiled, made.values(data.angles))
    turn = {"X": qml.Hadamard, "Y": lambda w: qml.RX(np.pi / 2, w), "Z": qml.Identity}[letter]
    gates = [*OPS, turn("b"), turn(3)]
    wanted = qml.matrix(qml.tape.QuantumScript(gates), wire_order=WIRES)[:, 0].reshape(2, 2, 2)
    np.testing.assert_allclose(abs(np.vdot(state, wanted)), 1, atol=1e-10)
    qubit = {w: i for i, w in enumerate(WIRES)}
    assert measured_bits(compiled.circuit) == {bit: qubit[w] for bit, w in enumerate(made.settings[0].wires)}
    assert [(register.name, len(register)) for register in compiled.circuit.cregs] == [("c", 2)]
    assert not made.dynamic
    assert made.wires == tuple(WIRES)


def test_settings_have_circuits_of_their_own():
    compiled = []

    def transpile(circuit):
        compiled.append(circuit)
        return circuit

    made, _ = template(OPS, [qml.expval(qml.X("a")), qml.expval(qml.Z("a"))], transpile)
    assert compiled == []
    second, first = made.sampler_circuit(1), made.sampler_circuit(0)
    assert len(compiled) == 2
    assert first.circuit is not second.circuit
    assert [made.sampler_circuit(i) for i in (0, 1)] == [first, second]
    assert len(compiled) == 2
    names = [[i.operation.name for i in c.circuit.data] for c in (first, second)]
    assert sorted(names[0].count(n) + names[1].count(n) for n in ("measure",)) == [2]
    assert {n.count("h") for n in names} == {0, 1}


def test_angles_can_be_written_into_the_circuit():
    made, data = template(OPS, [qml.counts(wires=["a"])], parametrise=False)
    compiled = made.sampler_circuit(0)
    assert len(compiled.circuit.parameters) == 0
    assert made.values(data.angles).shape == (1, 0)
    wanted = qml.matrix(qml.tape.QuantumScript(OPS), wire_order=WIRES)[:, 0].reshape(2, 2, 2)
    state = final_state(compiled, made.values(data.angles))
    np.testing.assert_allclose(abs(np.vdot(state, wanted)), 1, atol=1e-10)


def test_columns_follow_the_parameters_that_are_left():
    def transpile(circuit):
        """Leave the rotations about X out, turn the others round, and add a phase."""
        other = QuantumCircuit(circuit.num_qubits, circuit.num_clbits)
        for i in list(circuit.data)[::-1]:
            if i.operation.name in {"ry", "rz"}:
                other.append(i.operation, [circuit.find_bit(q).index for q in i.qubits])
        other.global_phase = circuit.data[0].operation.params[0]
        return other

    ops = [qml.RX(1.0, "a"), qml.RZ(2.0, "a"), qml.RX(3.0, "a"), qml.RY(4.0, "a")]
    made, data = template(ops, [qml.counts(wires=["a"])], transpile, wires=["a"])
    compiled = made.sampler_circuit(0)
    assert compiled.circuit.global_phase == 0
    assert compiled.columns.tolist() == [1, 3]
    assert compiled.columns.dtype == np.int64
    assert compiled.values(made.values(data.angles)).tolist() == [[2.0, 4.0]]


def test_observables_stand_on_their_qubits():
    words = qml.Hamiltonian([2.0, 3.0], [qml.Y("b") @ qml.Z("a"), qml.Y(3)])
    made, data = template(OPS, [qml.expval(words), qml.expval(qml.Y(3))])
    assert made.words == ((("a", "Z"), ("b", "Y")), ((3, "Y"),))
    compiled, observables = made.estimator_circuit()
    assert made.estimator_circuit() is made.estimator_circuit()
    assert [o.to_list() for o in observables] == [[("YIZ", 1)], [("IYI", 1)]]
    assert measured_bits(compiled.circuit) == {}
    wanted = qml.matrix(qml.tape.QuantumScript(OPS), wire_order=WIRES)[:, 0].reshape(2, 2, 2)
    state = final_state(compiled, made.values(data.angles))
    np.testing.assert_allclose(abs(np.vdot(state, wanted)), 1, atol=1e-10)


def test_observables_follow_qubits_that_were_laid_out():
    manager = generate_preset_pass_manager(
        0,
        coupling_map=CouplingMap.from_full(5),
        initial_layout=[4, 0, 2],
        basis_gates=["cx", "rz", "ry", "rx", "h"],
    )
    made, _ = template(OPS, [qml.expval(qml.Y("b") @ qml.Z("a"))], manager.run)
    compiled, (observable,) = made.estimator_circuit()
    assert compiled.circuit.num_qubits == 5
    assert observable.to_list() == [("ZIYII", 1)]


def test_a_random_basis_is_bound_after_the_tape():
    made, data = template(OPS, [qml.classical_shadow(wires=["b", "a"]), qml.expval(qml.Z(3))])
    assert made.random_size == 6
    at = next(i for i, s in enumerate(made.settings) if s.random_basis)
    compiled = made.sampler_circuit(at)
    assert compiled.columns.tolist() == list(range(6 + 4))
    values = np.concatenate([made.values(data.angles), [[0.1, 0.2, 0.3, 0.4, 9, 9]]], axis=1)
    ends = [qml.RZ(0.1, "b"), qml.RY(0.2, "b"), qml.RZ(0.3, "a"), qml.RY(0.4, "a")]
    wanted = qml.matrix(qml.tape.QuantumScript([*OPS, *ends]), wire_order=WIRES)[:, 0].reshape(2, 2, 2)
    np.testing.assert_allclose(abs(np.vdot(final_state(compiled, values), wanted)), 1, atol=1e-10)
    plain = made.sampler_circuit(1 - at)
    assert plain.columns.tolist() == list(range(6))


def test_what_a_template_weighs():
    made, _ = template(OPS, [qml.expval(qml.X("a")), qml.expval(qml.Z("a"))])
    gates = 1 + 4 + 3 + 1
    assert made.size == BASE_BYTES + INSTRUCTION_BYTES * gates + 2 * WORD_BYTES
    first = len(made.sampler_circuit(0).circuit.data)
    assert made.size == BASE_BYTES + INSTRUCTION_BYTES * (gates + first) + 2 * WORD_BYTES
    base = len(made.estimator_circuit()[0].circuit.data)
    assert base == gates
    assert made.size == BASE_BYTES + INSTRUCTION_BYTES * (gates + first + base) + 2 * WORD_BYTES


# ------------------------------------------------------------------------------------------------------- dynamic


def recorded(record):
    with qml.queuing.AnnotatedQueue() as queue:
        record()
    return qml.tape.QuantumScript.from_queue(queue, shots=10)


def test_final_bits_come_after_those_in_the_middle():
    def record():
        first = qml.measure("a")
        second = qml.measure("a", postselect=1)
        qml.cond(first, qml.RX)(0.1, "b")
        qml.cond(~first, qml.RY)(0.2, "b")
        qml.cond(second, qml.X)("b")
        qml.cond(first, qml.Identity)("b")
        qml.expval(qml.Z("b"))
        qml.expval(qml.X("b") @ qml.Z("a"))

    tape = recorded(record)
    data = StructureReader().read(tape, 0)
    made = Template(tape, data, ["a", "b"], lambda c: c)
    assert made.dynamic
    assert made.postselection == ((1, 1),)
    widths = {len(s.wires) for s in made.settings}
    for index, setting in enumerate(made.settings):
        circuit = made.sampler_circuit(index).circuit
        assert circuit.num_clbits == 2 + max(widths)
        measured = measured_bits(circuit)
        assert measured[0] == measured[1] == 0
        assert {b - 2: ["a", "b"][q] for b, q in measured.items() if b > 1} == dict(enumerate(setting.wires))
        branches = [i.operation for i in circuit.data if i.operation.name == "if_else"]
        # the opposite of a condition is its else
        assert [[len(b.data) for b in op.blocks] for op in branches] == [[1, 1], [1]]
        assert [op.blocks[0].data[0].operation.name for op in branches] == ["rx", "x"]
        assert branches[0].blocks[1].data[0].operation.name == "ry"
        assert [op.condition[1] for op in branches] == [1, 1]
        assert [circuit.find_bit(op.condition[0]).index for op in branches] == [0, 1]
    assert made.values(np.array([[0.3, 0.4]])).tolist() == [[0.3, 0.4]]


# ------------------------------------------------------------------------------------------ without Qiskit, and routed


def test_what_runs_without_qiskit_is_not_transpiled():
    programs = []

    class Fused:
        pass

    def fuse(program):
        programs.append(program)
        return Fused()

    def transpile(circuit):
        raise AssertionError("transpiled")

    made, _ = template(OPS, [qml.expval(qml.X("b")), qml.classical_shadow(wires=[3])], transpile, fuse=fuse)
    plain, random = made.sampler_circuit(0), made.sampler_circuit(1)
    assert isinstance(plain.circuit, Fused)
    assert [p.num_qubits for p in programs] == [3, 3]
    assert [p.measured for p in programs] == [(2,), (1,)]
    assert programs[0].gates[-1] == ("HGate", (2,), None, None, None, None)
    assert len(programs[0].gates) == 1 + 4 + 3 + 1 + 1
    assert [g.column for g in programs[1].gates[-2:]] == [6, 7]
    assert plain.columns.tolist() == list(range(6))
    assert random.columns.tolist() == list(range(6 + 6))
    # a fused program has no instructions that are weighed
    assert made.size == BASE_BYTES + INSTRUCTION_BYTES * 9 + WORD_BYTES


def test_what_cannot_be_fused_is_transpiled():
    made, _ = template(OPS, [qml.counts(wires=["a"])], fuse=lambda program: None)
    assert isinstance(made.sampler_circuit(0).circuit, QuantumCircuit)

    def record():
        qml.measure("a")
        qml.counts(wires=["a"])

    tape = recorded(record)

    def fuse(program):
        raise AssertionError("asked of a dynamic circuit")

    dynamic = Template(tape, StructureReader().read(tape, 0), ["a"], lambda c: c, fuse=fuse)
    assert isinstance(dynamic.sampler_circuit(0).circuit, QuantumCircuit)


def routing(swapped=(1, 2, 0), trims=False, lose=()):
    """A router that moves qubits; some names are lost when a circuit is finished."""
    asked = []

    def route(circuit):
        asked.append(circuit)
        moved = QuantumCircuit(circuit.num_qubits)
        moved.compose(circuit, swapped, inplace=True)

        def finish(whole):
            out = whole.copy_empty_like()
            for i in whole.data:
                if i.operation.name not in lose:
                    out.append(i)
            return out

        return Routed(moved, swapped, trims, finish)

    return route, asked


def test_settings_share_what_is_routed():
    route, asked = routing()

    def transpile(circuit):
        raise AssertionError("compiled for itself")

    made, _ = template(
        OPS, [qml.expval(qml.X("a") @ qml.Z("b")), qml.expval(qml.Z("a"))], transpile, route=route
    )
    circuits = [made.sampler_circuit(i).circuit for i in range(2)]
    made.estimator_circuit()
    assert len(asked) == 1
    place = dict(zip(WIRES, (1, 2, 0), strict=True))
    for circuit, setting in zip(circuits, made.settings, strict=True):
        assert measured_bits(circuit) == {b: place[w] for b, w in enumerate(setting.wires)}
        hadamards = [circuit.find_bit(i.qubits[0]).index for i in circuit.data if i.operation.name == "h"]
        assert hadamards == [place[w] for w, letter in setting.basis if letter == "X"]
    gates = sum(len(c.data) for c in circuits) + 9 + 9 + 9
    assert made.size == BASE_BYTES + INSTRUCTION_BYTES * gates + 2 * WORD_BYTES


def test_what_is_not_shared_is_not_routed_apart():
    for measurements in ([qml.expval(qml.X("a"))], [qml.counts(wires=["a"]), qml.expval(qml.Z("a"))]):
        route, asked = routing()
        made, _ = template(OPS, measurements, route=route)
        made.sampler_circuit(0)
        made.estimator_circuit()
        assert asked == []


def test_a_setting_with_gates_on_two_wires_is_compiled_for_itself():
    pair = qml.Hermitian(np.diag([1.0, 2, 3, 4]) + 0.1, ["a", 3])
    route, asked = routing()
    whole = []
    made, _ = template(
        OPS,
        [qml.expval(pair), qml.expval(qml.X("a")), qml.expval(qml.Z("a"))],
        lambda c: whole.append(c) or c,
        route=route,
    )
    for index, setting in enumerate(made.settings):
        made.sampler_circuit(index)
        assert setting.is_local == (not setting.rotations)
    assert (len(asked), len(whole)) == (1, 1)


@pytest.mark.parametrize("trims", [False, True])
@pytest.mark.parametrize("shorter", [False, True])
def test_a_last_diagonal_gate_that_nothing_measures_need_not_be_routed(trims, shorter):
    """Where both wires of the last diagonal gate are measured in Z, the shorter of both circuits is taken."""
    ops = [qml.RX(0.1, "a"), qml.RX(0.2, "b"), qml.CZ(["a", "b"])]
    route, _ = routing(trims=trims)
    whole = []

    def transpile(circuit):
        whole.append(circuit)
        if not shorter:
            return circuit
        out = circuit.copy_empty_like()
        for i in circuit.data:
            if i.operation.name != "cz":
                out.append(i)
        return out

    made, _ = template(
        ops, [qml.expval(qml.Z("a") @ qml.Z("b")), qml.expval(qml.X("a"))], transpile, route=route
    )
    names = []
    for index, setting in enumerate(made.settings):
        circuit = made.sampler_circuit(index).circuit
        names.append(
            (all(letter == "Z" for _, letter in setting.basis), [i.operation.name for i in circuit.data])
        )
    assert len(whole) == (1 if trims else 0)
    for diagonal, gates in names:
        assert ("cz" in gates) == (not (diagonal and trims and shorter))


def test_a_diagonal_gate_beside_what_is_measured_is_routed():
    ops = [qml.RX(0.1, "a"), qml.RX(0.2, "b"), qml.CZ(["a", "b"])]
    route, _ = routing(trims=True)
    whole = []
    own = [qml.Hermitian(np.array([[1.0, 0.5], [0.5, 2.0]]), wire) for wire in ("a", "b")]
    made, _ = template(
        ops,
        [
            qml.expval(qml.Z("a")),
            qml.expval(qml.X("a")),
            qml.expval(own[0] @ own[1]),
            qml.classical_shadow(wires=["a", "b"]),
            qml.expval(qml.Hermitian(np.diag([1.0, 2]) + 0.1, "a")),
        ],
        lambda c: whole.append(c) or c,
        route=route,
    )
    for index in range(len(made.settings)):
        made.sampler_circuit(index)
    assert whole == []
