"""The classic stack: twenty circuits on a classic service, by us, by Covalent and by plain ``qiskit.ibmq``.

    python -m benchmarks.classic                 in the environment of the extra "classic", or of "covalent"
    python -m benchmarks.classic --rounds 5

The loopback service plays the classic API with 20 slots, 0.5 s a job and 50 ms a request. Each contender has a process
and a home of its own. A work is done twice there: ``first`` includes the login and the first compilation, ``again``
is the smallest of the rounds after it. Prints seconds, the client's own processor time, logins, jobs and requests, and
ratios of the two times to ours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

CIRCUITS = 20
JOB_SECS, SLOTS, REQUEST_SECS = 0.5, 20, 0.05
SHOTS = 1000
TOKEN = "loopback-token"
SIMULATOR = "ibmq_qasm_simulator"

CONTENDERS = {
    "threaded": "@qelectron of this package",
    "covalent": "ct.qelectron with our ThreadedIBMQExecutor",
    "theirs": "ct.qelectron with Covalent's IBMQExecutor",
    "plain": "qiskit.ibmq, all circuits in one job",
}
WORKS = {
    "later": f"{CIRCUITS} circuits by run_later (plain: one batch_execute)",
    "batch": f"the {CIRCUITS} shifted circuits of a gradient",
    "grad": "qml.grad: one circuit, then those",
}


def circuit_on(device):
    """A circuit with ten angles: twenty shifted ones."""
    import pennylane as qml

    @qml.qnode(device, diff_method="parameter-shift")
    def circuit(x):
        for i in range(CIRCUITS // 2):
            qml.RX(x[i], wires=0)
        qml.CNOT(wires=[0, 1])
        return qml.expval(qml.PauliZ(1))

    return circuit


def contender(name):
    """A QNode of the contender."""
    import pennylane as qml

    if name == "plain":
        return circuit_on(
            qml.device("qiskit.ibmq", wires=2, shots=SHOTS, backend=SIMULATOR, ibmqx_token=TOKEN)
        )
    plain = circuit_on(qml.device("default.qubit", wires=2, shots=SHOTS))
    if name == "threaded":
        from pennylane_threaded_ibmq import IBMQExecutor, qelectron

        return qelectron(plain, executors=IBMQExecutor(ibmqx_token=TOKEN))
    import covalent as ct

    if name == "covalent":
        from pennylane_threaded_ibmq.covalent import register

        register()

        return ct.qelectron(plain, executors=ct.executor.ThreadedIBMQExecutor(ibmqx_token=TOKEN))
    return ct.qelectron(plain, executors=ct.executor.IBMQExecutor(ibmqx_token=TOKEN))


def do(work, circuit, x):
    """Do a work once, and check what comes out."""
    import numpy as np
    import pennylane as qml

    if work == "later" and hasattr(circuit, "run_later"):
        futures = [circuit.run_later(x) for _ in range(CIRCUITS)]
        np.testing.assert_allclose([np.ravel(f.result())[0] for f in futures], np.cos(np.sum(x)), atol=0.15)
    elif work == "later":
        circuit.construct([x], {})
        results = circuit.device.batch_execute([circuit.tape] * CIRCUITS)
        np.testing.assert_allclose(results, np.cos(np.sum(x)), atol=0.15)
    else:
        take = qml.gradients.param_shift if work == "batch" else qml.grad
        np.testing.assert_allclose(np.ravel(take(circuit)(x)), -np.sin(np.sum(x)), atol=0.15)


def measure(name, work, rounds):
    """What one contender needs, in this process."""
    # what is imported here is not measured
    import pennylane_qiskit  # noqa: F401
    import qiskit_ibm_provider  # noqa: F401
    from pennylane import numpy as pnp

    import pennylane_threaded_ibmq.executors  # noqa: F401

    if name in {"covalent", "theirs"}:
        import covalent  # noqa: F401

    from pennylane_threaded_ibmq.loopback import LoopbackConfig, LoopbackProcess

    config = LoopbackConfig(
        classic_backends=(SIMULATOR,), job_secs=JOB_SECS, slots=SLOTS, request_secs=REQUEST_SECS
    )
    with LoopbackProcess(config) as service:
        os.environ["IBMQX_URL"] = service.classic_url
        x = pnp.array([0.05 + 0.01 * i for i in range(CIRCUITS // 2)], requires_grad=True)
        before, busy = time.perf_counter(), time.process_time()
        circuit = contender(name)
        if work == "batch":
            circuit(x)  # Covalent cannot differentiate what was never called
            service.reset_counters()
            before, busy = time.perf_counter(), time.process_time()
        found = []
        for _ in range(rounds + 1):
            do(work, circuit, x)
            secs, cpu = time.perf_counter() - before, time.process_time() - busy
            counters = service.counters
            found.append((secs, cpu, counters.logins, counters.jobs, counters.requests))
            service.reset_counters()
            before, busy = time.perf_counter(), time.process_time()
    return {"first": found[0], "again": min(found[1:])}


def in_a_process(name, work, rounds):
    """The same in a process and a home of its own."""
    with tempfile.TemporaryDirectory(prefix="classic-bench-") as home:
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("IBMQX_", "QISKIT_IBM_", "COVALENT_"))
        }
        environment.update(HOME=home, THREADED_IBMQ_HOME=home, COVALENT_CONFIG_DIR=home, XDG_DATA_HOME=home)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.classic", "--one", name, work]
        done = subprocess.run(
            [*command, "--rounds", str(rounds)], env=environment, capture_output=True, text=True, check=False
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise SystemExit(f"{name}, {work}: failed\n{done.stderr[-3000:]}")
    return json.loads(lines[-1])


def main():
    """Measure all contenders that are installed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.classic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="times that a work is repeated (default: %(default)s)"
    )
    parser.add_argument("--one", nargs=2, metavar=("CONTENDER", "WORK"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(*args.one, args.rounds)))
        return
    names = [name for name in CONTENDERS if find_spec("covalent") or name not in {"covalent", "theirs"}]
    for work, text in WORKS.items():
        print(f"\n{text}")
        heads = f"{'seconds':>8} {'to ours':>8} {'client s':>9} {'to ours':>8} {'logins':>7} {'jobs':>5} {'requests':>9}"
        print(f"  {'':45} {'':6} {heads}")
        ours = None
        for name in names:
            found = in_a_process(name, work, args.rounds)
            ours = ours or found
            for when, (secs, cpu, *counts) in found.items():
                times = f"{secs:8.2f} {secs / ours[when][0]:8.2f} {cpu:9.3f} {cpu / ours[when][1]:8.2f}"
                print(
                    f"  {CONTENDERS[name]:45} {when:6} {times} " + "{:7} {:5} {:9}".format(*counts),
                    flush=True,
                )


if __name__ == "__main__":
    main()
