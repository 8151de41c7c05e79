"""Every statement of Covalent's page "IBMQ Executor" on the classic stack, and inside a real Covalent."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from page.statements import STATEMENTS

from pennylane_threaded_ibmq import IBMQExecutor


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_of_the_page(name, tmp_path, monkeypatch):
    monkeypatch.setenv("COVALENT_CONFIG_DIR", str(tmp_path))
    STATEMENTS[name](IBMQExecutor, tmp_path)


@pytest.mark.skipif(find_spec("covalent") is None, reason="Covalent is not installed")
@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_of_the_page_inside_covalent(name, covalent, tmp_path, monkeypatch):
    from pennylane_threaded_ibmq.covalent import IBMQExecutor as InCovalent

    monkeypatch.setenv("COVALENT_CONFIG_DIR", str(tmp_path))
    STATEMENTS[name](InCovalent, tmp_path)
