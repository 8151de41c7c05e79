"""Whom we talk to: local simulators and IBM Quantum Platform. The only room that knows an IBM client."""
