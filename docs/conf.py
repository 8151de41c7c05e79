"""Configuration of Sphinx."""

from pennylane_threaded_ibmq import __version__

project = "pennylane-threaded-ibmq"
author = "The pennylane-threaded-ibmq developers"
copyright = "2026, The pennylane-threaded-ibmq developers"  # noqa: A001 - Sphinx's name
release = __version__
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
