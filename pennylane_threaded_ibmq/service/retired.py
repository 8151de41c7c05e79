"""Systems that IBM has retired, and what runs the same circuits on this machine.

Source: https://quantum.cloud.ibm.com/docs/guides/retired-qpus, and for the simulators of IBM's cloud
https://quantum.cloud.ibm.com/docs/guides/local-simulators. What was retired since is not in the table; IBM's list of the
account's backends decides, and this table only says why a name is not in it.
"""

from __future__ import annotations

from .._compat import without_prefix
from ..simulators.snapshots import fake_names

_RETIRED = {
    "ibm_strasbourg": (127, "2026-04-27"),
    "ibm_kyiv": (127, "2025-04-18"),
    "ibm_nazca": (127, "2024-12-04"),
    "ibm_kyoto": (127, "2024-09-05"),
    "ibm_osaka": (127, "2024-08-13"),
    "ibm_cusco": (127, "2024-08-13"),
    "ibm_algiers": (27, "2024-04-30"),
    "ibm_cairo": (27, "2024-04-30"),
    "ibm_hanoi": (27, "2024-04-30"),
    "ibmq_kolkata": (27, "2024-04-01"),
    "ibmq_mumbai": (27, "2024-04-01"),
    "ibm_ithaca": (65, "2024-01-24"),
    "ibm_nairobi": (7, "2023-11-28"),
    "ibm_lagos": (7, "2023-11-28"),
    "ibm_perth": (7, "2023-11-28"),
    "ibm_auckland": (27, "2023-11-09"),
    "ibmq_guadalupe": (16, "2023-10-27"),
    "ibmq_lima": (5, "2023-09-26"),
    "ibmq_belem": (5, "2023-09-26"),
    "ibmq_quito": (5, "2023-09-26"),
    "ibmq_manila": (5, "2023-09-26"),
    "ibmq_jakarta": (7, "2023-09-26"),
    "ibm_seattle": (433, "2023-09-07"),
    "ibm_washington": (127, "2023-06-03"),
    "ibmq_oslo": (7, "2023-05-04"),
    "ibmq_geneva": (27, "2023-05-04"),
    "ibmq_montreal": (27, "2023-04-11"),
    "ibmq_toronto": (27, "2023-04-11"),
    "ibmq_armonk": (1, "2022-07-07"),
    "ibmq_brooklyn": (65, "2022-06-28"),
    "ibmq_bogota": (5, "2022-06-17"),
    "ibmq_santiago": (5, "2022-06-17"),
    "ibmq_casablanca": (7, "2022-03-02"),
    "ibmq_sydney": (27, "2022-01-11"),
    "ibmq_dublin": (27, "2021-11-16"),
    "ibmq_manhattan": (65, "2021-09-22"),
    "ibmq_5_yorktown": (5, "2021-08-09"),
    "ibmq_16_melbourne": (15, "2021-08-09"),
    "ibmq_paris": (27, "2021-06-30"),
    "ibmq_rome": (5, "2021-06-30"),
    "ibmq_athens": (5, "2021-06-30"),
    "ibmq_boeblingen": (20, "2021-01-31"),
    "ibmq_ourense": (5, "2021-01-15"),
    "ibmq_vigo": (5, "2021-01-15"),
    "ibmq_valencia": (5, "2021-01-15"),
    "ibmq_berlin": (27, "2020-12-31"),
    "ibmq_rochester": (53, "2020-10-31"),
    "ibmq_cambridge": (28, "2020-10-31"),
    "ibmq_almaden": (20, "2020-08-31"),
    "ibmq_singapore": (20, "2020-08-31"),
    "ibmq_johannesburg": (20, "2020-08-31"),
    "ibmq_essex": (5, "2020-08-31"),
    "ibmq_burlington": (5, "2020-08-31"),
    "ibmq_london": (5, "2020-08-31"),
}
"""Qubits of each system, and the day of its end."""

_SIMULATORS = {
    "simulator_statevector": "aer_simulator_statevector",
    "simulator_mps": "aer_simulator_matrix_product_state",
    "simulator_stabilizer": "aer_simulator_stabilizer",
    "simulator_extended_stabilizer": "aer_simulator_extended_stabilizer",
}
"""Simulators of IBM's cloud, all retired on 2024-05-15, and what simulates in the same way here."""

_OF_THE_SAME_SIZE = {
    "strasbourg": "fake_sherbrooke",
    "nazca": "fake_sherbrooke",
    "ithaca": "fake_brooklyn",
    "dublin": "fake_paris",
    "berlin": "fake_paris",
}
"""Snapshots of like systems, where there is none of a system itself."""


def retired_name(name: str) -> str | None:
    """The name of a retired system, also where it is written with the prefix of other systems; ``None`` if it is none."""
    others = (name.replace("ibm_", "ibmq_"), name.replace("ibmq_", "ibm_"))
    return next((one for one in (name, *others) if one in _RETIRED or one in _SIMULATORS), None)


def retirement(name: str) -> str:
    """The end of a system, such as ``"IBM retired ibmq_lima on 2023-09-26"``; empty if it is not known to be retired."""
    system = retired_name(name)
    if system is None:
        return ""
    if system in _SIMULATORS:
        return f"IBM retired {system}, with all simulators of its cloud, on 2024-05-15"
    qubits, day = _RETIRED[system]
    return f"IBM retired {system}, with its {qubits} qubits, on {day}"


def local_alternative(name: str) -> str:
    """Advice on running here what was meant to run at IBM."""
    if name in _SIMULATORS:
        return f"backend={_SIMULATORS[name]!r} simulates in the same way on this machine"
    city = _city(name)
    for snapshot, what in (
        (f"fake_{city}", "simulates it on this machine with its noise"),
        (_OF_THE_SAME_SIZE.get(city, ""), "simulates a system of its size on this machine, with noise"),
    ):
        if snapshot in fake_names():
            return f"backend={snapshot!r} {what}"
    return "backend='ibmq_qasm_simulator' simulates on this machine without an account"


def _city(name: str) -> str:
    """The name of a system without its prefix and, in the oldest names, its number of qubits."""
    name = without_prefix(without_prefix(name, "ibmq_"), "ibm_")
    number, _, rest = name.partition("_")
    return rest if number.isdigit() else name
