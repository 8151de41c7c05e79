"""The classic stack: the PennyLane that had ``qiskit.ibmq``, and qiskit-ibm-provider."""
