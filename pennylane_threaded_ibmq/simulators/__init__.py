"""Circuits on this machine: simulators, snapshots of real backends, and the transpiler."""
