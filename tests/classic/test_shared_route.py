"""All settings of a template end one routed circuit on this stack too, where Qiskit tells where qubits end."""

from __future__ import annotations

import pytest
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap, passes
from routes import check

from pennylane_threaded_ibmq.simulators.compile import Compiler


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_settings_have_the_distributions_that_they_have_by_themselves(level):
    """Qiskit before 1.1 takes swaps out at level 3 that nothing follows, and does not say so."""
    backend = GenericBackendV2(
        6, basis_gates=["id", "rz", "sx", "x", "cx"], coupling_map=CouplingMap.from_line(6), seed=1
    )
    compiler = Compiler(backend, {"optimization_level": level, "seed_transpiler": 7})
    for seed in range(6):
        shared, alone = check(seed, compiler, backend.target)
        assert alone > 3
        assert shared <= 3 or (level == 3 and not hasattr(passes, "ElidePermutations"))
