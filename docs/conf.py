"""Sphinx configuration."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pennylane_threaded_ibmq._version import __version__  # noqa: E402 - the path comes first

project = "pennylane-threaded-ibmq"
author = "the pennylane-threaded-ibmq authors"
copyright = author  # noqa: A001 - Sphinx's name
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = True

# Headings become targets, so that pages can link to each other's sections.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
# Classes of other projects: their inventories are not fetched, so that the build needs no network.
nitpick_ignore_regex = [
    ("py:class", r"(pennylane|pydantic|datetime|collections\.abc|concurrent\.futures|matplotlib)\..*"),
    ("py:exc", r"CancelledError"),
]

html_theme = "furo"
html_title = f"pennylane-threaded-ibmq {release}"
html_show_sourcelink = False
