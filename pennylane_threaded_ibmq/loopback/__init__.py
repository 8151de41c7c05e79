"""IBM Quantum Platform on 127.0.0.1, for tests, rehearsals and benchmarks.

A service that the real, unmodified ``qiskit-ibm-runtime`` client takes for IBM's: login, instances, backends, jobs,
results, sessions and batches. Jobs are simulated by Aer. Clients are pointed at it by environment variables alone, and
nothing that they send leaves the machine::

    from pennylane_threaded_ibmq.loopback import LoopbackConfig, LoopbackService

    with LoopbackService(LoopbackConfig(job_secs=0.5)) as service, service.applied(token="loopback-token"):
        backend = QiskitRuntimeService().backend("ibm_torino")
        ...
        print(service.counters.by_route)

It speaks each version of the API that a request names in its header ``IBM-API-Version``, and runs the programs
``sampler`` and ``estimator`` and, where the client that is installed can decode it, ``executor``.

It also speaks the classic API, IBM's before the Platform, to ``qiskit-ibm-provider`` and to PennyLane's
``qiskit.ibmq``. Where Qiskit is too old for the Platform's primitives it speaks that alone. Both faces share one table
of jobs, one set of limits, faults and counters::

    with LoopbackService() as service:
        dev = qml.device("qiskit.ibmq", wires=2, ibmqx_token="loopback-token", ibmqx_url=service.classic_url)

* :class:`LoopbackConfig`, :class:`Instance`, :class:`Project`: what the service pretends to be.
* :class:`LoopbackService`: the service in a thread; :class:`LoopbackProcess`: the same in a process of its own. Both
  have the face of :class:`Loopback`. ``python -m pennylane_threaded_ibmq.loopback`` runs one from a shell.
* :class:`Fault`: trouble on order; :func:`fault_mix`: trouble of all kinds, at random.
* :class:`Counters`, :class:`JobRecord`, :class:`SessionRecord`, :class:`JobStatus`: what the service saw.

QPU seconds are charged by a formula, whatever the simulation took: 2 s for each job that ran and 250 microseconds for
each of its shots; 2 s for a job that was cancelled while it ran, nothing for one that was still queued. Where IBM's behaviour is not public, such as the HTTP status of some refusals, this service has to
choose; do not build on such details.
"""

from .client import Loopback
from .config import CLASSIC_SIMULATOR, DEFAULT_CRN, SIMULATOR, Instance, LoopbackConfig, Project
from .faults import Fault, fault_mix
from .records import Counters, JobRecord, JobStatus, SessionRecord

try:
    from .service import LoopbackProcess, LoopbackService
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"the loopback service needs {error.name}: pip install 'pennylane-threaded-ibmq[loopback]'",
        name=error.name,
    ) from error

__all__ = [
    "CLASSIC_SIMULATOR",
    "DEFAULT_CRN",
    "SIMULATOR",
    "Counters",
    "Fault",
    "Instance",
    "JobRecord",
    "JobStatus",
    "Loopback",
    "LoopbackConfig",
    "LoopbackProcess",
    "LoopbackService",
    "Project",
    "SessionRecord",
    "fault_mix",
]
