"""Environment variables of this package; by itself, so that the command line need not import PennyLane for them."""

HOME_VARIABLE = "THREADED_IBMQ_HOME"
"""Folder of what this package keeps on disk."""

ESTIMATE_VARIABLE = "THREADED_IBMQ_ESTIMATE"
"""File for what batches would take; while it is set, nothing is sent."""
