"""Every statement of Covalent's page "IBMQ Executor"."""

import pytest
from page.statements import STATEMENTS

from pennylane_threaded_ibmq import IBMQExecutor


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_of_the_page(name, tmp_path, monkeypatch):
    monkeypatch.setenv("COVALENT_CONFIG_DIR", str(tmp_path))
    STATEMENTS[name](IBMQExecutor, tmp_path)
