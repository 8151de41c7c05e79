"""Whether a sampled result can be what the exact state gives, with a stated rate of false alarms.

Every check has a chance of at most ``FALSE_ALARM`` to fail for a right device. Counted outcomes are judged by the
binomial distribution itself. Mean values are judged by Bernstein's inequality, which holds for any number of shots
and any bounded observable; for many shots it is a limit of 6.6 standard errors.
"""

from __future__ import annotations

import numpy as np
import pennylane as qml
from scipy.stats import binom

from .reference import pauli_terms

FALSE_ALARM = 1e-9
ROUNDING = 1e-6
"""Largest difference that rounding makes in an exact value."""


class Comparison:
    """Compares the results of one tape.

    Args:
        tape: The tape that was run.
        spec: The case's own description of it.
        states: Exact states, one for each entry of a broadcast.
        estimated: Whether expectation values of Pauli words come from an Estimator.
        single: Whether numbers were of single precision.
    """

    def __init__(self, tape, spec, states, *, estimated=False, single=False):
        self.tape = tape
        self.spec = spec
        self.states = states
        self.estimated = estimated
        self.impossible = 1e-10 if single else 1e-13
        self.checks = 0
        self.differences = []

    def run(self, result):
        """Look at the result of the tape; returns differences as texts."""
        shots = self.spec.shots
        copies = shots if isinstance(shots, tuple) else (shots,)
        parts = result if isinstance(shots, tuple) else (result,)
        if len(parts) != len(copies):
            return [f"{len(parts)} parts for {len(copies)} entries of the shot vector"]
        for count, part in zip(copies, parts):
            values = part if len(self.spec.returns) > 1 else (part,)
            if len(values) != len(self.spec.returns):
                return [f"{len(values)} results for {len(self.spec.returns)} measurements"]
            rows = [self._rows(v) for v in values]
            for entry, exact in enumerate(self.states):
                for index, asked in enumerate(self.spec.returns):
                    if rows[index] is None or len(rows[index]) != len(self.states):
                        return [f"{asked.source}: not one result for each of {len(self.states)} entries"]
                    self._where = f"{asked.source}, entry {entry}, {count} shots"
                    self._one(asked, self.tape.measurements[index], exact, rows[index][entry], count)
                self._same_shots([r[entry] for r in rows], exact)
        return self.differences

    def _rows(self, value):
        """The results of the entries of a broadcast."""
        if self.spec.entries == [None]:
            return [value]
        if isinstance(value, dict) or (np.ndim(value) == 0 and not isinstance(value, (list, tuple))):
            return None
        return list(value)

    def _fail(self, text):
        self.differences.append(f"{self._where}: {text}")

    def _one(self, asked, mp, exact, found, shots):
        if exact.valid < 1:
            kept = shots * exact.valid - deviation(exact.valid * (1 - exact.valid), 1, shots) * shots
            if kept < 1:
                return
            if asked.kind in {"expval", "var", "probs"}:
                shots = int(kept)
        if asked.target == "value":
            self._value(asked, exact, found, shots)
        elif asked.kind in {"expval", "var"}:
            self._moment(asked, mp.obs, exact, found, shots)
        elif asked.kind == "shadow_expval":
            self._shadow_value(mp, exact, found, shots)
        elif asked.kind == "classical_shadow":
            self._shadow(mp, exact, found, shots)
        elif asked.target == "op" and asked.kind != "probs":
            self._eigenvalues(mp, exact, found, exact.valid)
        else:
            wires = list(mp.wires) or list(self.device_wires)
            chances = exact.probabilities(wires) if asked.target == "wires" else self._rotated(mp, exact)
            self._outcomes(asked, chances, found, shots, exact.valid)

    device_wires = ()

    # ------------------------------------------------------------------------------------------------- counted outcomes

    def _frequencies(self, counts, chances, total):
        """Judge numbers of shots by the binomial distribution."""
        self.checks += len(chances)
        counts = np.asarray(counts)
        chances = np.clip(np.asarray(chances, dtype=float), self.impossible, 1 - self.impossible)
        low, high = binom.cdf(counts, total, chances), binom.sf(counts - 1, total, chances)
        if (np.minimum(low, high) < FALSE_ALARM / 2).any():
            self._fail(
                f"got {np.round(counts / total, 4).tolist()}, expected {np.round(chances, 4).tolist()}"
            )

    def _outcomes(self, asked, chances, found, shots, valid):
        width = int(np.log2(len(chances)))
        if asked.kind == "probs":
            found = np.asarray(found, dtype=float)
            if found.shape != chances.shape:
                self._fail(f"shape {found.shape}, expected {chances.shape}")
            elif valid < 1:
                # the number of valid shots is not told: a lower limit of it is taken
                for share, chance in zip(found, chances):
                    self._mean(share, chance, deviation(chance * (1 - chance), 1, shots))
            else:
                self._frequencies(np.round(found * shots).astype(int), chances, shots)
            return
        if asked.kind == "sample":
            samples = np.asarray(found)
            samples = samples.reshape(-1, width) if width else samples
            total = len(samples)
            index = samples.astype(int) @ (1 << np.arange(width)[::-1])
            counts = np.bincount(index, minlength=len(chances))
        else:
            total = sum(found.values())
            counts = np.zeros(len(chances), dtype=int)
            for key, number in found.items():
                counts[int(key, 2)] += number
            if "all_outcomes" in asked.options and len(found) != len(chances):
                self._fail(f"{len(found)} outcomes of {len(chances)} with all_outcomes")
        self._number(total, shots, valid)
        if total:
            self._frequencies(counts, chances, total)

    def _number(self, total, shots, valid):
        """Judge how many shots came back."""
        if valid >= 1 - 1e-9:
            if total != shots:
                self._fail(f"{total} shots came back")
        else:
            self._frequencies([total], [valid], shots)

    def _eigenvalues(self, mp, exact, found, valid):
        wires = list(mp.obs.wires)
        matrix = qml.matrix(mp.obs, wire_order=wires)
        values, vectors = np.linalg.eigh(matrix)
        chances = np.real(np.einsum("ij,ik,kj->j", vectors.conj(), exact.density(wires), vectors))
        known = []
        for value in values:
            if not known or abs(value - known[-1]) > 1e-6:
                known.append(value)
        chances = [chances[np.abs(values - k) <= 1e-6].sum() for k in known]
        if isinstance(found, dict):
            pairs = [(float(k), n) for k, n in found.items()]
        else:
            found = np.asarray(found).ravel()
            pairs = [(float(k), int(n)) for k, n in zip(*np.unique(found, return_counts=True))]
        counts = np.zeros(len(known), dtype=int)
        for value, number in pairs:
            nearest = int(np.argmin(np.abs(np.array(known) - value)))
            if abs(known[nearest] - value) > 1e-5:
                self._fail(f"{value} is no eigenvalue; they are {known}")
                return
            counts[nearest] += number
        total = int(counts.sum())
        if total:
            self._frequencies(counts, chances, total)
        elif valid >= 1:
            self._fail("no shots came back")

    def _rotated(self, mp, exact):
        """Probabilities in the basis of an observable, in PennyLane's order."""
        gates = mp.obs.diagonalizing_gates()
        wires = list(mp.obs.wires)
        change = np.eye(2 ** len(wires))
        for gate in gates:
            change = qml.matrix(gate, wire_order=wires) @ change
        return np.real(np.diag(change @ exact.density(wires) @ change.conj().T))

    # ----------------------------------------------------------------------------------------------------- mean values

    def _mean(self, found, expected, allowed):
        self.checks += 1
        if np.shape(found) != () or not abs(float(found) - expected) <= allowed + ROUNDING:
            self._fail(f"got {found}, expected {expected:.5f} within {allowed:.5f}")

    def _moment(self, asked, obs, exact, found, shots):
        wires = list(obs.wires)
        matrix = qml.matrix(obs, wire_order=wires) if wires else np.eye(1)
        density = exact.density(wires)
        mean = float(np.real(np.trace(density @ matrix)))
        first = self._of_words(matrix, density, shots)
        if asked.kind == "expval":
            self._mean(found, mean, first)
            return
        square = float(np.real(np.trace(density @ matrix @ matrix)))
        second = self._of_words(matrix @ matrix, density, shots)
        self._mean(found, square - mean**2, second + first * (2 * abs(mean) + first))

    def _of_words(self, matrix, density, shots):
        """Largest error of a sum of Pauli words, each from as many shots; the words may share them or not."""
        terms = {w: t for w, t in pauli_terms(matrix).items() if set(w) != {"I"}}
        allowed = 0.0
        for coefficient, word in terms.values():
            value = float(np.real(np.trace(density @ word)))
            variance = 1.0 if self.estimated else max(1 - value**2, 0.0)
            allowed += abs(coefficient) * deviation(variance, 2, shots, len(terms))
        return allowed

    def _value(self, asked, exact, found, shots):
        """Values of mid-circuit measurements: the same expression, of numbers."""
        numbers = range(len(exact.outcomes))
        chances = exact.probabilities([exact.outcomes[i] for i in numbers])
        table = {}
        names = self.spec.outcomes
        code = compile(asked.what, "value", "eval")
        for outcome, chance in enumerate(chances):
            bits = {names[i]: (outcome >> (len(numbers) - 1 - i)) & 1 for i in numbers}
            value = eval(code, bits)
            key = tuple(value) if isinstance(value, list) else float(value)
            table[key] = table.get(key, 0.0) + chance
        if asked.kind in {"expval", "var"}:
            values, weights = np.array(list(table)), np.array(list(table.values()))
            mean = float(values @ weights)
            variance = float((values - mean) ** 2 @ weights)
            span = float(np.abs(values - mean).max())
            first = deviation(variance, span, shots)
            if asked.kind == "expval":
                self._mean(found, mean, first)
                return
            spread = float(((values - mean) ** 4) @ weights) - variance**2
            self._mean(found, variance, deviation(max(spread, 0.0), span**2, shots) + first**2)
            return
        listed = asked.what.startswith("[")
        if asked.kind == "probs":
            keys = [
                tuple((i >> s) & 1 for s in range(width))[::-1]
                for width in [asked.what.count("m")]
                for i in range(2**width)
            ]
            keys = keys if listed else [float(i) for i in range(2)]
            self._outcomes(asked, np.array([table.get(k, 0.0) for k in keys]), found, shots, exact.valid)
            return
        if isinstance(found, dict):
            pairs = [(tuple(int(c) for c in k) if listed else float(k), n) for k, n in found.items()]
        else:
            rows = np.asarray(found)
            rows = rows.reshape(len(rows), -1) if listed else rows.reshape(-1, 1)
            unique, numbers_of = np.unique(rows, axis=0, return_counts=True)
            pairs = [
                (tuple(int(x) for x in u) if listed else float(u[0]), int(n))
                for u, n in zip(unique, numbers_of)
            ]
        if listed and pairs and len(pairs[0][0]) != asked.what.count("m"):
            self._fail(f"{len(pairs[0][0])} values for each shot")
            return
        counted = dict(pairs)
        if set(counted) - set(table):
            self._fail(f"got values {set(counted) - set(table)}, which the expression does not have")
            return
        total = sum(counted.values())
        self._number(total, shots, exact.valid)
        if total:
            self._frequencies([counted.get(k, 0) for k in table], list(table.values()), total)

    # --------------------------------------------------------------------------------------------------------- shadows

    def _shadow_value(self, mp, exact, found, shots):
        matrix = qml.matrix(mp.H, wire_order=list(mp.H.wires))
        density = exact.density(list(mp.H.wires))
        allowed = 0.0
        for word, (coefficient, _) in pauli_terms(matrix).items():
            size = 3.0 ** sum(letter != "I" for letter in word)
            allowed += abs(coefficient) * deviation(size, 2 * size, shots)
        self._mean(np.asarray(found).reshape(()), float(np.real(np.trace(density @ matrix))), allowed)

    def _shadow(self, mp, exact, found, shots):
        bits, recipes = np.asarray(found)
        wires = list(mp.wires)
        if bits.shape != (shots, len(wires)):
            self._fail(f"shape {bits.shape}")
            return
        for basis in range(3):
            for i, wire in enumerate(wires):
                mine = recipes[:, i] == basis
                if mp.seed is None:
                    self._frequencies([mine.sum()], [1 / 3], shots)
                matrix = qml.matrix([qml.PauliX, qml.PauliY, qml.PauliZ][basis](0))
                up = (1 + np.real(np.trace(exact.density([wire]) @ matrix))) / 2
                if mine.sum():
                    self._frequencies([(bits[mine, i] == 0).sum()], [up], mine.sum())

    def _same_shots(self, values, exact):
        """Samples of one circuit belong to the same shots: judge what they are together."""
        columns, wires = [], []
        for asked, mp, value in zip(self.spec.returns, self.tape.measurements, values):
            if asked.kind != "sample" or asked.target == "op" or len(wires) > 4:
                continue
            samples = np.asarray(value)
            if asked.target == "wires":
                mine = list(mp.wires) or list(self.device_wires)
            elif asked.what in self.spec.outcomes:
                mine = [exact.outcomes[self.spec.outcomes.index(asked.what)]]
            else:
                continue
            columns.append(samples.reshape(-1, len(mine)))
            wires += mine
        if len(columns) < 2 or len({len(c) for c in columns}) > 1 or not len(columns[0]):
            return
        table = np.concatenate(columns, axis=1).astype(int)
        unique = list(dict.fromkeys(wires))
        first = [wires.index(w) for w in unique]
        self._where = f"samples of {wires} together"
        if any((table[:, i] != table[:, wires.index(w)]).any() for i, w in enumerate(wires)):
            self._fail("the same wire reads differently in two samples")
            return
        index = table[:, first] @ (1 << np.arange(len(unique))[::-1])
        chances = exact.probabilities(unique)
        self._frequencies(np.bincount(index, minlength=len(chances)), chances, len(table))


def form(value):
    """What a result is made of: containers, shapes, kinds of numbers and of keys; numbers themselves left out."""
    if isinstance(value, dict):
        kinds = {"text" if isinstance(k, str) else np.asarray(k).dtype.kind for k in value}
        return f"dict of {sorted(kinds)} to {sorted({np.asarray(v).dtype.kind for v in value.values()})}"
    if isinstance(value, (tuple, list)):
        return "{} of [{}]".format(type(value).__name__, ", ".join(form(v) for v in value))
    array = np.asarray(value)
    if array.dtype == object:
        # default.qubit has counts of a broadcast as a list, but beside a shadow or a mid-circuit value as an array
        return form(list(array))
    return f"array {array.shape} of {array.dtype.kind}"


def deviation(variance, span, shots, checks=1):
    """Bernstein: what the mean of ``shots`` values exceeds with a chance of ``FALSE_ALARM / checks`` at most.

    Args:
        variance: Of one value.
        span: Largest distance of a value from the mean.
        shots: Number of values.
        checks: Among how many checks the chance is shared.
    """
    logarithm = np.log(2 * checks / FALSE_ALARM)
    return np.sqrt(2 * max(variance, 0.0) * logarithm / shots) + 2 * span * logarithm / (3 * shots)
