#!/usr/bin/env python3
"""Classify iris flowers with a quantum kernel, measured on a noisy and an ideal backend at the same time.

The kernel of two flowers is how likely the circuit of one, undone by that of the other, gives only zeros. All entries
are submitted with ``run_later`` before the first is read. Both backends run on this machine: the noisy one is a
snapshot of a system of IBM's. With an account, ``--noisy ibm_torino`` takes a real one.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pennylane as qml
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

from pennylane_threaded_ibmq import IBMQExecutor, QElectron, qelectron

WIRES = 4


def embed(features: np.ndarray) -> None:
    """Turn the four lengths of a flower, or of several, into a state."""
    for w in range(WIRES):
        qml.RY(features[..., w], wires=w)
    for w in range(WIRES - 1):
        qml.IsingZZ(features[..., w] * features[..., w + 1], wires=[w, w + 1])


def overlap(executor: IBMQExecutor, shots: int) -> QElectron:
    """Make the circuit that compares a flower with others, for one backend."""

    @qelectron(executors=executor)
    @qml.qnode(qml.device("default.qubit", wires=WIRES), shots=shots)
    def circuit(a: np.ndarray, b: np.ndarray) -> qml.measurements.ProbabilityMP:
        embed(a)
        qml.adjoint(embed, lazy=False)(b)
        return qml.probs(wires=range(WIRES))

    return circuit


def main() -> None:
    """Train and test a support vector machine on each backend's kernel."""
    args = parse_arguments()
    data, labels = load_iris(return_X_y=True)
    # the two kinds that are hard to tell apart
    data, labels = data[labels > 0], labels[labels > 0]
    train, test, train_labels, test_labels = train_test_split(
        data, labels, train_size=args.train, test_size=args.test, random_state=args.seed, stratify=labels
    )
    scaler = MinMaxScaler((0.1, 1.5), clip=True).fit(train)
    train, test = scaler.transform(train), scaler.transform(test)

    flowers = np.concatenate([train, test])
    circuits = {name: overlap(IBMQExecutor(backend=name), args.shots) for name in (args.ideal, args.noisy)}
    started = time.perf_counter()
    # each call compares one flower with all that are learned from
    futures = {name: [circuit.run_later(one, train) for one in flowers] for name, circuit in circuits.items()}
    submitted = time.perf_counter()
    print(
        f"{len(flowers) * len(train)} kernel entries for each of 2 backends, submitted in {submitted - started:.1f} s"
    )

    for name, entries in futures.items():
        kernel = np.array([future.result()[:, 0] for future in entries])
        square, rest = np.split(kernel, [len(train)])
        machine = SVC(kernel="precomputed").fit((square + square.T) / 2, train_labels)
        score = machine.score(rest, test_labels)
        error = np.sqrt(score * (1 - score) / len(test))
        diagonal = np.mean(np.diag(square))
        jobs = len({job_id for future in entries for job_id in future.job_ids})
        print(
            f"{name:22s} accuracy {score:.2f} +- {error:.2f}   kernel of a flower with itself {diagonal:.3f}   jobs of IBM's {jobs}"
        )
    print(f"{time.perf_counter() - started:.1f} s in all")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Quantum-kernel classifier on two backends")
    parser.add_argument("--ideal", default="ibmq_qasm_simulator", help="backend (default: %(default)s)")
    parser.add_argument("--noisy", default="fake_manila", help="backend (default: %(default)s)")
    parser.add_argument("--train", type=int, default=20, help="flowers to learn from (default: %(default)s)")
    parser.add_argument("--test", type=int, default=40, help="flowers to classify (default: %(default)s)")
    parser.add_argument("--shots", type=int, default=512, help="shots per entry (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of flowers (default: %(default)s)")
    args = parser.parse_args()
    for name in ("train", "test", "shots"):
        if getattr(args, name) < 2:
            parser.error(f"argument --{name}: at least 2, got {getattr(args, name)}")
    return args


if __name__ == "__main__":
    main()
