"""Mid-circuit measurements: on the backend itself and deferred, against PennyLane's own simulator."""

import io
import warnings

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from pennylane_threaded_ibmq.exceptions import ConfigurationError, UnsupportedCircuitError

SHOTS = 8_000
METHODS = ["device", "deferred"]


@pytest.fixture
def dev():
    return qml.device("threaded.ibmq", wires=3, seed_simulator=11)


def exact(circuit, *args):
    """What the circuit gives without sampling noise, and with wires to spare."""
    return qml.QNode(circuit, qml.device("default.qubit", wires=10), mcm_method="deferred")(*args)


def sampled(circuit, dev, *args, shots=SHOTS, **options):
    return qml.set_shots(qml.QNode(circuit, dev, **options), shots)(*args)


def _branches(kind):
    """Reset or postselection, both branches, arithmetic of three values, gates that must be decomposed."""
    qml.RX(1.1, 0)
    qml.CNOT([0, 1])
    qml.RY(0.4, 1)
    m0 = qml.measure(0, reset=kind == "reset", postselect=1 if kind == "postselect" else None)
    qml.cond(m0, qml.RY, qml.RX)(0.9, 1)
    qml.Hadamard(0)
    m1 = qml.measure(1)
    qml.cond(m0 + m1 == 1, lambda: (qml.QFT([0, 2]), qml.RZ(0.3, 2)), lambda: qml.Rot(0.1, 0.8, 0.3, 2))()
    qml.RX(0.3, 1)
    m2 = qml.measure(2, reset=True)
    qml.cond(2 * m0 + m1 - m2 >= 1, qml.CRY)(0.5, [0, 2])
    qml.cond(m0 & ~m1 | m2, qml.QubitUnitary)(qml.RY.compute_matrix(0.6), 0)
    return m0, m1, m2


MEASUREMENTS = {
    "expval": lambda m: qml.expval(m[0] + 2 * m[1] - m[2]),
    "var": lambda m: qml.var(m[0] * m[1] - m[2]),
    "probs": lambda m: qml.probs(op=m[1]),
    "probs of a list": lambda m: qml.probs(op=[m[2], m[0], m[1]]),
    "expval of a word": lambda m: qml.expval(qml.Z(0) @ qml.X(2)),
    "expval of a sum": lambda m: qml.expval(qml.X(0) + 0.3 * qml.Y(1) @ qml.Z(2)),
    "var of a sum": lambda m: qml.var(qml.Y(0) + qml.Z(1)),
    "expval Hermitian": lambda m: qml.expval(qml.Hermitian(np.array([[1, 1j], [-1j, -0.5]]), 2)),
    "final probs": lambda m: qml.probs(wires=[2, 0]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["plain", "reset", "postselect"])
def test_all_measurements_of_one_tape_agree_with_exact_values(dev, kind, method):
    """Values and terminal measurements in several bases, mixed in one tape."""

    def circuit():
        m = _branches(kind)
        return [make(m) for make in MEASUREMENTS.values()]

    # postselection keeps a fourth of the shots
    shots = SHOTS * (3 if kind == "postselect" else 1)
    results = sampled(circuit, dev, shots=shots, mcm_method=method)
    for name, got, want in zip(MEASUREMENTS, results, exact(circuit), strict=True):
        assert np.shape(got) == np.shape(want), name
        assert np.allclose(got, want, atol=0.07), name


@pytest.mark.parametrize("method", METHODS)
def test_counts_and_samples_of_values(dev, method):
    """The forms that PennyLane's simulators give: floats, texts for lists, one entry a shot."""

    def circuit():
        qml.X(0)
        m0 = qml.measure(0, reset=True)
        m1 = qml.measure(0)
        return (
            qml.counts(m0),
            qml.counts(3 * m0 + m1, all_outcomes=True),
            qml.counts([m1, m0]),
            qml.counts([m1, m0], all_outcomes=True),
            qml.sample(m0),
            qml.sample(0.5 * m0 - m1),
            qml.sample([m0, m1]),
            qml.sample(m0 == 1),
        )

    results = sampled(circuit, dev, shots=3, mcm_method=method)
    assert results[:4] == (
        {1.0: 3},
        {0.0: 0, 1.0: 0, 3.0: 3, 4.0: 0},
        {"01": 3},
        {"00": 0, "01": 3, "10": 0, "11": 0},
    )
    for got, want in zip(results[4:], ([1, 1, 1], [0.5, 0.5, 0.5], [[1, 0]] * 3, [True] * 3), strict=True):
        assert got.dtype == np.asarray(want).dtype
        assert np.array_equal(got, want)


@pytest.mark.parametrize("method", METHODS)
def test_samples_of_one_tape_belong_to_the_same_shots(dev, method):
    """A value and what is measured afterwards agree shot by shot, also in another basis and in each copy."""

    def circuit():
        qml.Hadamard(0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.X)(1)
        qml.Hadamard(2)
        return qml.sample(m0), qml.sample(wires=1), qml.expval(qml.X(2)), qml.sample(qml.Z(1))

    for value, wire, _, eigenvalue in sampled(circuit, dev, shots=[50, 70], mcm_method=method):
        assert 0 < value.sum() < len(value)
        assert np.array_equal(value, wire[:, 0])
        assert np.array_equal(1 - 2 * value, eigenvalue)


def test_terminal_samples_belong_to_the_same_shots(dev):
    """The halves of a Bell pair agree shot by shot without any mid-circuit measurement."""

    def circuit():
        qml.Hadamard(0)
        qml.CNOT([0, 1])
        return qml.sample(wires=0), qml.sample(wires=1)

    left, right = sampled(circuit, dev, shots=100)
    assert np.array_equal(left, right)


def test_postselection_drops_shots(dev):
    """Fewer samples come back, all of them valid; a shot vector filters each copy by itself."""

    def circuit():
        qml.Hadamard(0)
        m0 = qml.measure(0, postselect=1)
        qml.cond(m0, qml.X)(1)
        return qml.sample(wires=[0, 1]), qml.counts(m0), qml.expval(qml.Z(1))

    copies = sampled(circuit, dev, shots=[100, 60])
    for (samples, counts, mean), shots in zip(copies, [100, 60], strict=True):
        assert 0 < len(samples) < shots
        assert (samples == 1).all()
        assert counts == {1.0: len(samples)}
        assert mean == -1


def test_nothing_left_after_postselection_is_nan_or_empty(dev):
    """No valid shot: NaN for numbers, nothing for samples and counts, and no warning."""

    def circuit():
        m0 = qml.measure(0, postselect=1)
        return qml.expval(qml.Z(1)), qml.probs(wires=0), qml.sample(wires=[0, 1]), qml.counts(m0), qml.var(m0)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, probs, samples, counts, variance = sampled(circuit, dev, shots=10)
    assert np.isnan([mean, variance, *probs]).all()
    assert samples.shape == (0, 2)
    assert counts == {}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [1, 3])
def test_broadcasting_through_conditions(dev, method, batch):
    """A batch of conditional angles keeps its leading axis, also if it has one entry."""
    angles = np.linspace(0.3, 2.5, batch)

    def circuit(x, samples):
        qml.RX(1.2, 0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.RY)(x, 1)
        qml.cond(~m0, qml.QubitUnitary)(qml.RX.compute_matrix(x), 2)
        results = [qml.expval(qml.Z(1)), qml.probs(wires=[1, 2]), qml.expval(m0)]
        return [*results, qml.sample(m0)] if samples else results

    got = sampled(circuit, dev, angles, True, mcm_method=method)
    each = [exact(circuit, x, False) for x in angles]
    for i in range(3):
        want = np.stack([e[i] for e in each])
        assert np.shape(got[i]) == want.shape
        assert np.allclose(got[i], want, atol=0.05)
    assert got[3].shape == (batch, SHOTS)


def test_angles_under_conditions_are_parameters_of_one_template(dev):
    """Other angles, and the new identifiers that each recording draws, transpile nothing."""

    def circuit(x, scale):
        ms = [qml.measure(w) for w in range(3)]
        qml.cond(ms[0] + ms[1] + ms[2] > 1, qml.RX)(x, 0)
        qml.cond(ms[0] - ms[2] == 0, qml.RY, qml.RZ)(x + 1, 1)
        return qml.expval(scale * ms[1] + ms[0]), qml.probs(wires=[0, 1])

    for x in range(8):
        sampled(circuit, dev, float(x), 0.1 * x, shots=5)
    assert dev.transpiles == 1
    assert len(dev._planner.templates) == 1


@pytest.mark.parametrize("change", ["reset", "postselect", "condition"])
def test_what_differs_has_its_own_template(dev, change):
    """Reset, postselection and the condition's table are part of the structure."""

    def circuit(option):
        m0 = qml.measure(
            0, reset=change == "reset" and option, postselect=0 if change == "postselect" and option else None
        )
        qml.cond(m0 == (1 if change == "condition" and option else 0), qml.X)(1)
        return qml.probs(wires=1)

    for option in (False, True):
        sampled(circuit, dev, option, shots=5)
    assert len(dev._planner.templates) == 2


def test_one_wire_is_enough(dev):
    """Deferring takes wires that the device does not have; the backend's qubits are what counts."""
    dev = qml.device("threaded.ibmq", wires=1, seed_simulator=3)

    def circuit():
        qml.X(0)
        m0 = qml.measure(0, reset=True)
        m1 = qml.measure(0)
        return qml.counts([m0, m1])

    for method in [*METHODS, "one-shot", None]:
        assert sampled(circuit, dev, shots=7, mcm_method=method) == {"10": 7}


@pytest.mark.parametrize("backend", ["fake_torino", "fake_quito"])
def test_snapshots_of_real_backends(backend):
    """With branches in the target the circuit runs as it is, without them it is deferred; noise stays small."""
    dev = qml.device("threaded.ibmq", wires=2, backend=backend, seed_simulator=3)

    def circuit(x):
        qml.RX(2.0, 0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.RY)(x, 1)
        return qml.expval(qml.Z(1)), qml.expval(m0)

    assert np.allclose(sampled(circuit, dev, 0.8, shots=4000), exact(circuit, 0.8), atol=0.15)
    ((_, template),) = dev._planner.templates._templates.values()
    native = template.sampler_circuit(0).circuit
    assert native.has_control_flow_op() is (backend == "fake_torino")
    from qiskit import qpy

    file = io.BytesIO()
    qpy.dump(native, file)
    file.seek(0)
    assert qpy.load(file)[0] == native
    assert [r.name for r in native.cregs] == ["c"]


def test_postselection_without_branches_needs_no_dynamic_backend():
    """Every backend measures in the middle; only branches must be in the target."""
    dev = qml.device("threaded.ibmq", wires=2, backend="fake_quito", seed_simulator=3)

    def circuit():
        qml.Hadamard(0)
        qml.CNOT([0, 1])
        qml.measure(0, postselect=1)
        return qml.expval(qml.Z(1))

    assert sampled(circuit, dev, shots=2000, mcm_method="device") < -0.8


def test_the_estimator_is_never_asked():
    """Words of a dynamic circuit are sampled, also where the user prefers the Estimator."""
    dev = qml.device("threaded.ibmq", wires=2, primitive="estimator", seed_simulator=5)

    def circuit():
        qml.RX(1.0, 0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.X)(1)
        return qml.expval(qml.Z(0) @ qml.Z(1) + qml.X(1)), qml.expval(qml.Z(1))

    assert np.allclose(sampled(circuit, dev), exact(circuit), atol=0.05)


@pytest.mark.parametrize("method", ["tree-traversal", "single-branch-statistics"])
def test_methods_of_simulators_are_refused(dev, method):
    """One clear error with the methods there are."""
    config = qml.devices.ExecutionConfig(mcm_config=qml.devices.MCMConfig(mcm_method=method))
    with pytest.raises(ConfigurationError, match=rf"mcm_method='{method}'.*'deferred'.*Nothing was sent\."):
        dev.setup_execution_config(config)


def _postselecting(*measurements):
    qml.RX(np.array([0.1, 0.2]) if measurements == ("batch",) else 0.1, 0)
    qml.measure(0, postselect=1)
    if measurements == ("shadow",):
        return qml.classical_shadow(wires=[0, 1])
    return qml.sample(wires=0)


@pytest.mark.parametrize(
    ("case", "options", "text"),
    [
        ("fill", {"postselect_mode": "fill-shots"}, "fill-shots.*'hw-like'"),
        ("batch", {}, "broadcasting"),
        ("shadow", {}, "shadow needs every shot"),
    ],
)
def test_postselection_that_cannot_be_done_is_refused(dev, case, options, text):
    """The error names the measurement, and nothing runs."""
    with pytest.raises(UnsupportedCircuitError, match=rf"wires=0, postselect=1.*{text}.*Nothing was sent\."):
        sampled(_postselecting, dev, case, shots=10, **options)


def test_a_method_that_the_backend_lacks_is_refused():
    """Asked for by name, branches are not silently deferred."""
    dev = qml.device("threaded.ibmq", wires=2, backend="fake_quito")

    def circuit():
        qml.cond(qml.measure(0), qml.X)(1)
        return qml.probs(wires=1)

    with pytest.raises(UnsupportedCircuitError, match=r"'fake_quito' lacks 'if_else'.*Nothing was sent\."):
        sampled(circuit, dev, shots=10, mcm_method="device")


def test_padding_for_jax_keeps_the_number_of_shots(dev):
    """PennyLane asks for it by itself where JAX must know lengths."""
    tape = qml.tape.make_qscript(_postselecting)()
    tape = tape.copy(shots=6, measurements=[*tape.measurements, qml.expval(qml.Z(1))])
    config = qml.devices.ExecutionConfig(
        mcm_config=qml.devices.MCMConfig(postselect_mode="pad-invalid-samples")
    )
    tapes, post = dev.preprocess_transforms(config)((tape,))
    ((samples, _),) = post(dev.execute(tapes, config))
    assert samples.shape == (6, 1)
    assert (samples[samples != 1] == np.iinfo(np.int32).min).all()


def test_conditions_are_minimal_formulas():
    """Each table of three bits becomes a formula that is true where the table is."""
    from qiskit.circuit import Clbit
    from qiskit.circuit.classical import expr

    from pennylane_threaded_ibmq.circuits.dynamic import Condition, qiskit_condition

    bits = [Clbit() for _ in range(3)]

    def evaluate(node, values):
        if isinstance(node, tuple):
            return values[bits.index(node[0])] == node[1]
        if isinstance(node, expr.Var):
            return bool(values[bits.index(node.var)])
        if isinstance(node, expr.Unary):
            return not evaluate(node.operand, values)
        left, right = evaluate(node.left, values), evaluate(node.right, values)
        return {"LOGIC_AND": left and right, "LOGIC_OR": left or right, "BIT_XOR": left != right}[
            node.op.name
        ]

    for number in range(1, 255):
        table = tuple(bool(number >> i & 1) for i in range(8))
        formula = qiskit_condition(Condition((0, 1, 2), table), bits)
        for i, want in enumerate(table):
            assert evaluate(formula, [i >> 2 & 1, i >> 1 & 1, i & 1]) == want


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("broadcast", [False, True])
def test_gradients_go_through_conditions(dev, method, broadcast):
    """PennyLane itself falls back to finite differences here, which finite shots turn into noise."""

    def circuit(x, y, z):
        qml.RX(x, 0)
        m0 = qml.measure(0)
        qml.cond(m0, qml.RY, qml.RX)(y, 1)
        qml.cond(~m0, qml.CRX)(z, [1, 2])
        qml.cond(m0, qml.Rot)(z, y, 0.3, 2)
        qml.RY(0.4, 2)
        return qml.expval(qml.Z(1) @ qml.X(2))

    angles = [pnp.array(v, requires_grad=True) for v in (0.7, 0.4, 1.3)]
    options = {"gradient_kwargs": {"broadcast": True}} if broadcast else {}
    mine = qml.QNode(circuit, dev, diff_method="parameter-shift", mcm_method=method, **options)
    reference = qml.QNode(circuit, qml.device("default.qubit", wires=10), mcm_method="deferred")
    got = qml.grad(qml.set_shots(mine, SHOTS))(*angles)
    assert np.allclose(got, qml.grad(reference)(*angles), atol=0.05)
    if method == "device" or not broadcast:
        # PennyLane writes doubly controlled rotations of a batch as matrices, which no template can share
        before = dev.transpiles
        qml.grad(qml.set_shots(mine, 10))(*[a + 0.1 for a in angles])
        assert dev.transpiles == before


def test_a_shadow_beside_a_mid_circuit_value_draws_bases_for_its_own_wires(dev):
    @qml.qnode(dev, shots=4000)
    def circuit():
        qml.RY(0.8, 0)
        m0 = qml.measure(2)
        return qml.expval(m0), qml.shadow_expval(qml.Z(0)), qml.classical_shadow(wires=[0, 1])

    value, mean, (bits, recipes) = circuit()
    assert value == 0
    assert mean == pytest.approx(np.cos(0.8), abs=0.2)
    assert bits.shape == recipes.shape == (4000, 2)
    assert set(np.unique(recipes)) == {0, 1, 2}
