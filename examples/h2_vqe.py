"""Find the ground state energy of the hydrogen molecule with a variational circuit.

    python3 examples/h2_vqe.py
    python3 examples/h2_vqe.py --backend fake_torino --steps 8
    python3 examples/h2_vqe.py --backend ibm_torino --shots 4096    # your IBM account; uses QPU time

The Hamiltonian comes from PennyLane's own Hartree-Fock solver (STO-3G basis, four qubits). The circuit starts in
the Hartree-Fock state and has one parameter, the angle of a double excitation. Each step of gradient descent
measures the energy, with its standard error, and the gradient by the parameter-shift rule. The result is
compared with the exact value, the lowest eigenvalue of the same Hamiltonian.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pennylane as qml
from pennylane import numpy as pnp

mpl.use("Agg")
import matplotlib.pyplot as plt  # after the choice of a backend that needs no display

BOND_LENGTH = 0.7414  # angstrom, the equilibrium distance
CHEMICAL_ACCURACY = 1.6e-3  # hartree, 1 kcal/mol
ENERGY_SPLITS = 16  # the shots of an energy are split into so many parts; their spread gives the error


@dataclass(frozen=True)
class Point:
    """One step: the angle, and the energy measured there."""

    step: int
    angle: float
    energy: float
    error: float


def main() -> None:
    """Run the optimisation, print each step, and save the plot."""
    args = parse_arguments()
    hamiltonian, hartree_fock = hydrogen_molecule()
    exact = float(np.linalg.eigvalsh(qml.matrix(hamiltonian, wire_order=range(4)))[0])

    options = {} if args.seed is None else {"seed_simulator": args.seed}
    dev = qml.device("threaded.ibmq", wires=4, backend=args.backend, **options)

    @qml.qnode(dev, diff_method="parameter-shift")
    def energy(angle: float) -> object:
        qml.BasisState(hartree_fock, wires=range(4))
        qml.DoubleExcitation(angle, wires=range(4))
        return qml.expval(hamiltonian)

    print(f"H2 at {BOND_LENGTH} angstrom, {len(hamiltonian.operands)} terms, backend {args.backend}")
    print(f"exact energy {exact:.6f} Ha\n")
    print(" step     angle   energy (Ha)   +-        error")
    with qml.Tracker(dev) as tracker:
        points = descend(energy, args, exact)
    report(points, exact, tracker.totals)
    plot(points, exact, args)
    print(f"plot saved as {args.output}")


def hydrogen_molecule() -> tuple[qml.operation.Operator, np.ndarray]:
    """Return the Hamiltonian and the occupation of the Hartree-Fock state."""
    molecule = qml.qchem.Molecule(
        ["H", "H"], pnp.array([[0.0, 0.0, 0.0], [0.0, 0.0, BOND_LENGTH]]), unit="angstrom"
    )
    hamiltonian, wires = qml.qchem.molecular_hamiltonian(molecule, method="dhf")
    return hamiltonian, qml.qchem.hf_state(electrons=2, orbitals=wires)


def descend(energy: qml.QNode, args: argparse.Namespace, exact: float) -> list[Point]:
    """Follow the gradient from the Hartree-Fock state; one batch for the energy, one for the gradient."""
    with_error = qml.set_shots(energy, [args.shots // ENERGY_SPLITS] * ENERGY_SPLITS)
    gradient = qml.gradients.param_shift(qml.set_shots(energy, args.shots))
    points = []
    angle = pnp.array(0.0, requires_grad=True)
    for step in range(args.steps + 1):
        parts = np.array(with_error(angle), dtype=float)
        point = Point(step, float(angle), parts.mean(), parts.std(ddof=1) / np.sqrt(ENERGY_SPLITS))
        points.append(point)
        print(
            f"{step:5d}  {point.angle:8.4f}   {point.energy:11.6f}   {point.error:.6f}"
            f"  {point.energy - exact:+.6f}",
            flush=True,
        )
        if step < args.steps:
            angle = angle - args.stepsize * gradient(angle)
    return points


def report(points: list[Point], exact: float, totals: dict[str, float]) -> None:
    """Print how far the result is from the exact value, and what it took."""
    last = points[-1]
    distance = 1e3 * (last.energy - exact)
    print(f"\nfinal energy {last.energy:.6f} +- {last.error:.6f} Ha, exact {exact:.6f} Ha")
    print(f"off by {distance:+.1f} +- {1e3 * last.error:.1f} mHa; chemical accuracy is 1.6 mHa")
    print(f"used {totals.get('jobs', 0):.0f} jobs for {totals.get('executions', 0):.0f} circuits")


def plot(points: list[Point], exact: float, args: argparse.Namespace) -> None:
    """Save the energy and its distance from the exact value, step by step."""
    steps = [point.step for point in points]
    energies = np.array([point.energy for point in points])
    errors = np.array([point.error for point in points])
    blue, green, grey = "#1f5fa8", "#2b8a3e", "#555555"

    plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, (top, bottom) = plt.subplots(
        2, 1, sharex=True, figsize=(7.5, 6.5), height_ratios=(3, 2), layout="constrained", facecolor="white"
    )
    figure.suptitle(f"VQE of H$_2$ at {BOND_LENGTH} Å on {args.backend}, {args.shots} shots", fontsize=12)

    top.axhspan(
        exact - CHEMICAL_ACCURACY,
        exact + CHEMICAL_ACCURACY,
        color=green,
        alpha=0.18,
        lw=0,
        label="chemical accuracy (±1.6 mHa)",
    )
    top.axhline(exact, color=green, lw=1.5, label=f"exact, {exact:.5f} Ha")
    top.errorbar(
        steps,
        energies,
        yerr=errors,
        fmt="o-",
        ms=5,
        lw=1.2,
        capsize=3,
        color=blue,
        label="measured, ±1 std. error",
    )
    top.set_ylabel("energy (Ha)")
    top.legend(frameon=False, loc="upper right")

    distances = np.abs(energies - exact)
    bottom.axhspan(1e-9, CHEMICAL_ACCURACY * 1e3, color=green, alpha=0.18, lw=0)
    bottom.errorbar(steps, distances * 1e3, yerr=errors * 1e3, fmt="o-", ms=5, lw=1.2, capsize=3, color=blue)
    bottom.set_yscale("log")
    bottom.set_ylim(max(1e-2, 0.4e3 * distances.min()), 2.5e3 * (distances + errors).max())
    bottom.set_ylabel("|error| (mHa)")
    bottom.set_xlabel("step of gradient descent")
    bottom.xaxis.get_major_locator().set_params(integer=True)
    for axes in (top, bottom):
        axes.grid(color=grey, alpha=0.15)

    figure.savefig(args.output, dpi=150)
    plt.close(figure)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="VQE of H2 with the device threaded.ibmq")
    parser.add_argument(
        "--backend", default="aer_simulator", help="any backend of the device (default: %(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, default=10, help="steps of gradient descent (default: %(default)s)"
    )
    parser.add_argument("--shots", type=int, default=16384, help="shots per circuit (default: %(default)s)")
    parser.add_argument(
        "--stepsize", type=float, default=0.5, help="of gradient descent (default: %(default)s)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("h2_vqe.png"), help="the plot (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, help="of the simulator, for a repeatable run; not for a real system"
    )
    args = parser.parse_args()
    if args.steps < 0:
        parser.error(f"argument --steps: at least 0, got {args.steps}")
    if args.shots < 2 * ENERGY_SPLITS:
        parser.error(f"argument --shots: at least {2 * ENERGY_SPLITS}, got {args.shots}")
    return args


if __name__ == "__main__":
    main()
