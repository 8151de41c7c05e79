"""Runs cases, compares them, and makes a program of what fails."""

from __future__ import annotations

import inspect
import re
import time
import traceback
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pennylane as qml

from pennylane_threaded_ibmq.exceptions import ThreadedIBMQError

from . import values
from .cases import make_case
from .compare import Comparison, form
from .reference import exact_state

REFUSALS = (
    (
        r"does not provide a decomposition",
        "PennyLane has no decomposition, only a matrix, inside of others or too large",
    ),
    (
        r"takes no postselection together with parameter broadcasting",
        "entries keep different numbers of shots",
    ),
    (r"takes no postselection, since a shadow needs every shot", "a shadow needs every shot"),
    (
        r"phases, which this PennyLane takes for no broadcast",
        "PennyLane 0.37 sees no batch in a GlobalPhase, and fails with it itself",
    ),
    (
        r"cannot be decomposed by PennyLane",
        "PennyLane's decomposition fails, with arrays in nearly all cases",
    ),
)
"""What may be refused, and why; any other refusal is a difference."""


@dataclass
class Report:
    """What came of some cases.

    Attributes:
        tapes: Tapes that were compared, or refused as they must be.
        checks: Single comparisons.
        refused: Tapes refused for a reason that is allowed, by reason.
        skipped: Tapes that PennyLane itself cannot make or compute, by error.
        failures: Programs that show a difference.
    """

    tapes: int = 0
    checks: int = 0
    refused: Counter = field(default_factory=Counter)
    skipped: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)

    def __str__(self):
        return f"{self.tapes} tapes compared in {self.checks} checks, {sum(self.refused.values())} refused as they may be {dict(self.refused)}, {sum(self.skipped.values())} that PennyLane cannot compute {dict(self.skipped)}, {len(self.failures)} differ"


def namespace():
    """Names that the sources use."""
    names = {k: v for k, v in vars(values).items() if not k.startswith("_")}
    names.update(np=np, qml=qml, ThreadPoolExecutor=ThreadPoolExecutor)
    from qiskit_aer.noise import NoiseModel

    return {**names, "NoiseModel": NoiseModel}


def build(spec, entry=None):
    """The tape of a description, or of one entry of its broadcast."""
    names = namespace()
    if entry is not None:
        names["each"] = lambda numbers: numbers[entry]
    exec(spec.source, names)
    tape = qml.tape.make_qscript(names["circuit"])()
    shots = list(spec.shots) if isinstance(spec.shots, tuple) else spec.shots
    return qml.tape.QuantumScript(tape.operations, tape.measurements, shots=shots)


def open_device(case, **extra):
    """The device of a case."""
    names = namespace()
    given = {name: eval(source, names) for name, source in case.options.items()}
    if "noise_model" in extra:
        # noise is Aer's
        given.pop("simulator", None)
    return qml.device(
        "threaded.ibmq", wires=list(case.wires), **{"seed_simulator": 7, "progress": False, **given, **extra}
    )


def run(case, dev, tapes):
    """Results of the tapes, by the way of the case."""
    if case.way == "submit":
        return dev.submit(tapes).result()
    if case.way == "dev.execute":
        return dev.execute(tapes)
    if case.way == "qml.execute":
        return qml.execute(tapes, dev, None, **({"mcm_method": case.method} if case.method else {}))
    return dev.batch_execute(tapes)


class Checker:
    """Compares cases.

    Args:
        extra: Options of each device, next to those of the case.
        estimator: Whether expectation values of Pauli words come from an Estimator by default.
        seconds: Longest time to make a failing case smaller.
    """

    def __init__(self, *, estimator=False, seconds=30, **extra):
        self.extra = extra
        self.seconds = seconds
        self.estimator = estimator
        self.report = Report()

    def check(self, case):
        """Compare a case; a difference is made small and becomes a program in the report."""
        found = self._differences(case, self.report)
        if found:
            small, found = self._smaller(case, found)
            self.report.failures.append(program(small, found))
        return self.report

    def _differences(self, case, report):
        ready, specs, exact = [], [], []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for spec in case.tapes:
                try:
                    tape = build(spec)
                    states = [exact_state(build(spec, k), case.wires) for k in spec.entries]
                except Exception as error:  # noqa: BLE001 - whatever PennyLane cannot do is not compared
                    report.skipped[type(error).__name__ + ": " + str(error)[:50]] += 1
                    continue
                if len(tape.operations) < len(spec.lines):
                    # so does PennyLane 0.37 with multiples of gates, and the batch is gone with one
                    report.skipped["an operation that PennyLane leaves out of the circuit"] += 1
                    continue
                ready.append(tape)
                specs.append(spec)
                exact.append(states)
            if not ready:
                return []
            return self._compare(case, ready, specs, exact, report)

    def _compare(self, case, tapes, specs, exact, report):
        while True:
            if not tapes:
                return []
            try:
                dev = open_device(case, **self.extra)
                try:
                    results = run(case, dev, tapes)
                finally:
                    dev.close()
                break
            except Exception as error:  # noqa: BLE001 - judged here
                place = getattr(error, "tape", None)
                if place is None and len(tapes) > 1 and case.way == "qml.execute":
                    # PennyLane shows a device one tape at a time, so that no position is known
                    alone = [
                        self._compare(case, [t], [s], [e], report) for t, s, e in zip(tapes, specs, exact)
                    ]
                    return [text for texts in alone for text in texts]
                where = len(tapes) - 1 if place is None and len(tapes) == 1 else place
                verdict = self._refusal(case, error, where, specs)
                if verdict is not None:
                    return [verdict]
                report.refused[_reason(error, specs[where])] += 1
                report.tapes += bool(specs[where].broken)
                for each in (tapes, specs, exact):
                    del each[where]
        found = []
        estimated = (
            self.estimator if "primitive" not in case.options else "estimator" in case.options["primitive"]
        )
        for position, (tape, spec, states) in enumerate(zip(tapes, specs, exact)):
            report.tapes += 1
            if spec.broken:
                found.append(
                    f"tape {position}: {spec.returns[0].source} is no observable, got {results[position]!r}"
                )
                continue
            comparison = Comparison(tape, spec, states, estimated=estimated, single=case.single)
            comparison.device_wires = case.wires
            try:
                texts = comparison.run(results[position])
            except Exception:  # noqa: BLE001 - a result of a form that nothing fits
                texts = [f"{results[position]!r} cannot be read:\n{traceback.format_exc(limit=3)}"]
            if not texts and not spec.postselects and _has_plain_form(spec):
                texts = self._forms(case, tape, results[position])
            report.checks += comparison.checks
            found += [f"tape {position}: {text}" for text in texts]
        return found

    def _forms(self, case, tape, result):
        """Compare what the result is made of with the same of ``default.qubit``."""
        # deferred measurements need wires of their own, so that all are named only where a measurement means all
        every = any(
            not m.wires and m.obs is None and getattr(m, "mv", None) is None for m in tape.measurements
        )
        method = (
            {"mcm_method": "deferred"} if any(op.name == "MidMeasureMP" for op in tape.operations) else {}
        )
        try:
            few = qml.device("default.qubit", wires=list(case.wires) if every else None, seed=1)
            theirs = qml.execute([tape], few, None, **method)[0]
        except Exception:  # noqa: BLE001 - what PennyLane cannot run with shots has no form
            return []
        copy = theirs[0] if tape.shots.has_partitioned_shots else theirs
        if len(tape.measurements) > 1 and len(copy) < len(tape.measurements):
            # PennyLane 0.37 has one result for a sum of equal words and another measurement in their basis
            return []
        mine, wanted = form(result), form(theirs)
        return [] if mine == wanted else [f"a form of {mine}, default.qubit's is {wanted}"]

    def _refusal(self, case, error, where, specs):
        """``None`` if the error is one that may be, else a text."""
        own = isinstance(error, ThreadedIBMQError)
        named = isinstance(where, int) and 0 <= where < len(specs)
        if own and named and (specs[where].broken or _reason(error, specs[where]) is not None):
            return None
        frames = traceback.extract_tb(error.__traceback__)
        last = " < ".join(
            "{}:{}".format(f.filename.rsplit("site-packages/")[-1], f.lineno) for f in frames[:-4:-1]
        )
        return "{}: {} ({}){}".format(
            type(error).__name__,
            str(error)[:400],
            last,
            "" if own else "; an error that is not the package's own",
        )

    def _smaller(self, case, found):
        """Leave out what the difference does not need."""
        end = time.monotonic() + self.seconds
        kind = _kind(found)
        again = True
        while again and time.monotonic() < end:
            again = False
            for smaller in _simplifications(case):
                if time.monotonic() > end:
                    break
                differences = self._differences(smaller, Report())
                if differences and _kind(differences) == kind:
                    case, found, again = smaller, differences, True
                    break
        return case, found


def _reason(error, spec):
    if spec.broken:
        return "no observable"
    return next((reason for pattern, reason in REFUSALS if re.search(pattern, str(error))), None)


def _has_plain_form(spec):
    """Whether default.qubit's form is one to go by.

    It drops the axis of a batch of one at times, and that of a batch in a branch which is never taken.
    """
    return spec.entries == [None] or (
        len(spec.entries) > 1 and not any("qml.cond" in line for line in spec.lines)
    )


def _kind(found):
    """What kind of difference it is: a crash by its type, anything else is a wrong result."""
    match = re.match(r"(\w+(Error|Exception|Interrupt)): ", found[0])
    return match.group(1) if match else "wrong"


def _without(items, index):
    return items[:index] + items[index + 1 :]


def _simplifications(case):
    for i in reversed(range(len(case.tapes))):
        if len(case.tapes) > 1:
            yield replace(case, tapes=_without(case.tapes, i))
    for name in case.options:
        yield replace(case, options={k: v for k, v in case.options.items() if k != name})
    if case.way != "batch_execute":
        yield replace(case, way="batch_execute", method=None)
    for i, tape in enumerate(case.tapes):

        def put(**changes):
            made = replace(tape, **changes)  # noqa: B023 - used at once
            return replace(case, tapes=(*case.tapes[:i], made, *case.tapes[i + 1 :]))  # noqa: B023 - used at once

        if len(tape.returns) > 1:
            for k in range(len(tape.returns)):
                yield put(returns=_without(tape.returns, k))
        if isinstance(tape.shots, tuple):
            yield put(shots=max(tape.shots))
        for k in reversed(range(len(tape.lines))):
            yield put(lines=_without(tape.lines, k))
        for k, line in enumerate(tape.lines):
            inner = re.match(r"qml\.cond\(.*?, lambda: (.*?)(, lambda: .*)?\)\(\)$", line)
            unwrapped = re.match(r"qml\.(?:adjoint|ctrl|pow|prod)\((qml\..*\))(, .*)?\)$", line)
            for match in (inner, unwrapped):
                if match:
                    yield put(lines=(*tape.lines[:k], match.group(1), *tape.lines[k + 1 :]))


def used_helpers(source):
    """Sources of the functions of ``values`` that a source uses."""
    functions = {name: f for name, f in vars(values).items() if inspect.isfunction(f)}
    return [inspect.getsource(f) for name, f in functions.items() if f"{name}(" in source]


def program(case, found):
    """A program that shows the difference."""
    used = "\n".join(t.source for t in case.tapes) + " ".join(case.options.values())
    helpers = used_helpers(used)
    head = ["import numpy as np", "import pennylane as qml"]
    if "NoiseModel" in used:
        head.append("from qiskit_aer.noise import NoiseModel")
    if "ThreadPoolExecutor" in used:
        head.append("from concurrent.futures import ThreadPoolExecutor")
    given = "".join(f", {k}={v}" for k, v in case.options.items())
    body = [
        f"dev = qml.device('threaded.ibmq', wires={list(case.wires)}, seed_simulator=7, progress=False{given})",
        "tapes = []",
    ]
    for tape in case.tapes:
        shots = list(tape.shots) if isinstance(tape.shots, tuple) else tape.shots
        body += [
            "",
            tape.source,
            "script = qml.tape.make_qscript(circuit)()",
            f"tapes.append(qml.tape.QuantumScript(script.operations, script.measurements, shots={shots}))",
        ]
    calls = {
        "submit": "dev.submit(tapes).result()",
        "dev.execute": "dev.execute(tapes)",
        "qml.execute": f"qml.execute(tapes, dev, None, mcm_method={case.method!r})",
    }
    if all(m.kind in {"expval", "var", "probs"} for t in case.tapes for m in t.returns):
        body += [
            f"exact = qml.device('default.qubit', wires={list(case.wires)})",
            "analytic = [qml.tape.QuantumScript(t.operations, t.measurements) for t in tapes]",
            "print('exact', qml.execute(analytic, exact, None))",
        ]
    body.append("print('got', {})".format(calls.get(case.way, "dev.batch_execute(tapes)")))
    notes = [f"# {line}" for text in found[:4] for line in text.splitlines()]
    return "\n".join([*head, "", *helpers, *body, *notes, ""])


def check_many(family, seed, tapes, checker=None):
    """Compare cases of a family until there are as many tapes, or five differences.

    Args:
        family: Name of a generator in ``cases``.
        seed: Seed of all cases.
        tapes: How many to compare.
        checker: Where they run; by default on this machine.
    """
    checker = checker or Checker()
    report, index = checker.report, 0
    while report.tapes < tapes and len(report.failures) < 5:
        known = len(report.failures)
        checker.check(make_case(family, seed, index))
        report.failures[known:] = [f"# {family} {seed} {index}\n{p}" for p in report.failures[known:]]
        index += 1
    return report


def assert_no_difference(family, report, most=0.25):
    """Print the figures; fail with the programs that show a difference.

    Args:
        family: Name of the generator.
        report: What came of it.
        most: Largest share of tapes that PennyLane may be unable to compute.
    """
    print(f"\n{family}: {report}")
    assert not report.failures, "\n\n".join([f"{len(report.failures)} differences", *report.failures])
    assert sum(report.skipped.values()) <= most * (report.tapes + 8)
