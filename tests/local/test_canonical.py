"""By what a job is recognised: one text for one value, in any process, and different texts for different values."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennylane_threaded_ibmq.simulators.canonical import NoCanonicalFormError, canonical

ROOT = Path(__file__).resolve().parents[2]


def learned(rate=0.1, name=None):
    """What IBM's noise learner gives for one layer."""
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import PauliList

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # newer clients have it elsewhere, older only there
        from qiskit_ibm_runtime.utils.noise_learner_result import (
            LayerError,
            NoiseLearnerResult,
            PauliLindbladError,
        )
    circuit = QuantumCircuit(2, name=name)
    circuit.cz(0, 1)
    error = PauliLindbladError(PauliList(["XX", "ZZ"]), [rate, 0.2])
    return NoiseLearnerResult([LayerError(circuit, [0, 1], error)])


def box(rate=0.1, gate="cz"):
    """What IBM's client-side primitives take as a layer and its noise."""
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import PauliLindbladMap

    samplomatic = pytest.importorskip("samplomatic")
    circuit = QuantumCircuit(2)
    with circuit.box([samplomatic.Twirl(), samplomatic.InjectNoise("r0")]):
        getattr(circuit, gate)(0, 1)
    return [(circuit.data[0], PauliLindbladMap.from_list([("XX", rate)]))]


def noise(rate=0.1):
    from qiskit_aer.noise import NoiseModel, depolarizing_error

    model = NoiseModel()
    for gate in ("x", "h", "sx", "rz", "y", "z", "s", "t"):
        model.add_all_qubit_quantum_error(depolarizing_error(rate, 1), [gate])
    model.add_all_qubit_quantum_error(depolarizing_error(rate, 2), ["cx", "cz", "ecr", "rzz", "swap"])
    return model


def test_objects_made_anew_have_the_same_form_and_others_have_another():
    assert repr(learned()) != repr(learned()), "an address, or this test says nothing"
    assert canonical(learned()) == canonical(learned(name="another"))
    assert canonical(learned()) != canonical(learned(0.3))
    assert repr(noise()) == repr(noise(0.3)), "names alone, or this test says nothing"
    assert canonical(noise()) == canonical(noise())
    assert canonical(noise()) != canonical(noise(0.3))


def test_boxes_are_told_apart_by_what_is_in_them():
    assert canonical(box()) == canonical(box())
    assert len({canonical(box()), canonical(box(0.2)), canonical(box(gate="cx"))}) == 3


def test_a_form_is_the_same_in_every_process():
    code = (
        "from tests.local.test_canonical import learned, noise, canonical; import numpy as np;"
        "print(canonical({'a': learned(), 'b': noise(), 'c': {'x', 'y', 'z', 'w'}, 'd': np.arange(5000.0)}))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_no_number_of_a_long_array_is_left_out():
    long = np.zeros(5000)
    other = long.copy()
    other[2500] = 1.0
    assert repr(long) == repr(other), "shortened, or this test says nothing"
    assert canonical(long) != canonical(other)


def test_neither_order_nor_the_kind_of_a_sequence_or_number_counts():
    assert canonical({"a": 1, "b": (1, 3, 5)}) == canonical({"b": [1, 3, np.int64(5)], "a": np.int32(1)})
    assert canonical(np.array([1.0, 2.0])) == canonical([1, 2.0])


def test_a_gate_of_the_users_own_is_what_it_is_made_of():
    from qiskit import QuantumCircuit

    def circuit(gate):
        inner = QuantumCircuit(1, name="mine")
        getattr(inner, gate)(0)
        outer = QuantumCircuit(1)
        outer.append(inner.to_gate(), [0])
        return outer

    assert canonical(circuit("x")) == canonical(circuit("x"))
    assert canonical(circuit("x")) != canonical(circuit("y"))


@pytest.mark.parametrize(
    "value", [object(), lambda: 1, type("Own", (), {})()], ids=["object", "function", "own"]
)
def test_what_nothing_tells_apart_is_refused_with_its_place(value):
    with pytest.raises(NoCanonicalFormError) as caught:
        canonical({"resilience": {"layer_noise_model": [value]}})
    assert caught.value.path == ("resilience", "layer_noise_model", 0)
    assert caught.value.kind == type(value).__name__


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain, plain)
def test_two_plain_values_have_one_form_only_if_they_are_equal(one, other):
    assert (canonical(one) == canonical(other)) <= (one == other)
    assert canonical(one) == canonical(one)
