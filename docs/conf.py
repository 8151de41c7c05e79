"""Sphinx configuration."""

import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from pennylane_threaded_ibmq._version import __version__  # noqa: E402 - the path comes first

project = "pennylane-threaded-ibmq"
author = "the pennylane-threaded-ibmq authors"
copyright = author  # noqa: A001 - Sphinx's name
release = version = __version__

extensions = [
    "myst_nb",
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


def digest_of_the_package() -> str:
    """Return a digest of what the figures of a page depend on beside the page."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "pennylane_threaded_ibmq").glob("**/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# Pages with cells are notebooks: they run when they are built, and again when they or the package have changed.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks" / digest_of_the_package())
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_merge_streams = True
# What a cell starts finds the package, and no page meets the journal or the account of whoever builds.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
home_of_pages = tempfile.TemporaryDirectory(prefix="threaded-ibmq-docs-")
os.environ["THREADED_IBMQ_HOME"] = home_of_pages.name
# Nor the settings of their IPython. The warning that this leaves out is of a port of this machine, whose messages are signed.
os.environ["IPYTHONDIR"] = str(Path(home_of_pages.name) / "ipython")
profile = Path(os.environ["IPYTHONDIR"]) / "profile_default"
profile.mkdir(parents=True)
(profile / "ipython_kernel_config.json").write_text('{"IPKernelApp": {"log_level": 40}}', encoding="utf-8")
# A bar would show, or not, with the load of the machine that builds.
os.environ["THREADED_IBMQ_PROGRESS"] = "false"
for name in ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_URL"):
    os.environ.pop(name, None)

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
html_static_path = ["_static"]
html_css_files = ["narrow.css"]

PAGE_LINK = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")


def free_the_notebooks(app: "Sphinx", error: "Exception | None") -> None:
    """Take out of the notebooks for readers what only these pages know: links between pages, and those to themselves."""
    if error is not None:
        return
    for path in Path(app.outdir).glob("_downloads/*/*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                text = PAGE_LINK.sub(r"\1", "".join(cell["source"]))
                kept = [line for line in text.splitlines(keepends=True) if "{nb-download}" not in line]
                cell["source"] = "".join(kept)
        path.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")


def setup(app: "Sphinx") -> None:
    """Tell Sphinx what happens after a build."""
    app.connect("build-finished", free_the_notebooks)
