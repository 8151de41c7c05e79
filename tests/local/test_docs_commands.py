"""Every shell line of the documentation is executed, or says why not.

In a ```text or ```console block, lines that begin with ``threaded-ibmq`` are commands. A word after ``text`` says otherwise:
``needs-account`` for those that run against a loopback service here, ``shell-only`` for what is no command of ours or what one
prints, ``fails`` for a command that is meant to. Commands of others, which nothing runs, have a comment with the reason in front. The
first Python block of howto/rehearse.md is the ``train.py`` that the commands mention.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pennylane as qml
import pytest
from qiskit_ibm_runtime import QiskitRuntimeService

from pennylane_threaded_ibmq.loopback import DEFAULT_CRN, Instance, LoopbackConfig, LoopbackProcess

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
BLOCK = re.compile(
    r"(?P<reason><!-- not run: [^>]+ -->\n+)?^```(?:text|console)(?P<info>[^\n]*)\n(?P<lines>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
OURS = re.compile(r"(\$ )?threaded-ibmq ")
OTHERS = re.compile(r"(\$ )?([A-Z_]+=\S+ +)*(pip|python3?|pytest|export|echo|eval|git|dask|sqlite3)\b")
WORDS = {"", "needs-account", "shell-only", "fails"}
TOKEN = "loopback-token"
EUROPE = Instance(crn=DEFAULT_CRN.replace("us-east", "eu-de").replace("000001::", "000002::"), name="europe")


def blocks(page):
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield match["info"].strip(), match["lines"].splitlines(), match["reason"] is not None


def commands(*, needs_account):
    for page in PAGES:
        for word, lines, _ in blocks(page):
            if word == "shell-only" or (word == "needs-account") != needs_account:
                continue
            for line in lines:
                if OURS.match(line):
                    yield pytest.param(line, word == "fails", id=f"{page.relative_to(ROOT)}: {line}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_command_is_left_out_without_a_reason(page):
    for word, lines, has_reason in blocks(page):
        assert word in WORDS
        ours = [line for line in lines if OURS.match(line)]
        # what runs is commands alone: nothing else would notice a line that is none
        assert not ours or word == "shell-only" or ours == lines
        if any(OTHERS.match(line) for line in lines) or (ours and word == "shell-only"):
            assert has_reason, f"{page.name}: nothing executes these lines, and no comment says why: {lines}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with train.py, and no account."""
    for name in ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "home"))
    page = (ROOT / "docs" / "howto" / "rehearse.md").read_text(encoding="utf-8")
    program = re.search(r"^```python[^\n]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "train.py").write_text(program[1])
    # threaded-ibmq inside of a rehearsed command must be this one
    script = tmp_path / "threaded-ibmq"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pennylane_threaded_ibmq.cli "$@"\n')
    script.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="module")
def service():
    """A service with a second instance, as the account of an example has one in Europe."""
    config = LoopbackConfig(backends=("ibm_torino", "ibm_manila"), instances=(Instance(), EUROPE))
    with LoopbackProcess(config) as running:
        yield running


@pytest.fixture(scope="module")
def sent(service, tmp_path_factory):
    """A home whose journal holds one batch, and the id of the batch."""
    home = tmp_path_factory.mktemp("sent")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch, service.applied(token=TOKEN, instance=DEFAULT_CRN):
        patch.setenv("THREADED_IBMQ_HOME", str(home))
        with qml.device("threaded.ibmq", wires=1, backend="ibm_manila") as dev:
            handle = dev.submit([qml.tape.QuantumScript([qml.X(0)], [qml.expval(qml.Z(0))], shots=100)])
            handle.result()
    assert dict(os.environ) == before
    return home, handle.batch_id


@pytest.mark.slow
@pytest.mark.parametrize(("line", "fails"), list(commands(needs_account=False)))
def test_commands_of_the_documentation_run(line, fails, folder):
    done = run(line, folder, dict(os.environ))
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    if not fails:
        assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("line", "fails"), list(commands(needs_account=True)))
def test_commands_that_need_an_account_run_against_the_service(line, fails, folder, service, sent):
    assert not fails
    home, batch_id = sent
    shutil.copytree(home, folder / "home")
    # the page's example of what a saved account is for
    accounts = folder / "accounts.json"
    QiskitRuntimeService.save_account(
        token=TOKEN, instance=DEFAULT_CRN, name="work", filename=str(accounts), set_as_default=True
    )
    instance = None if "region=" in line else DEFAULT_CRN
    environment = {
        **os.environ,
        **service.environment(token=TOKEN, instance=instance),
        "HOME": str(folder),
        "THREADED_IBMQ_HOME": str(folder / "home"),
    }
    # a shell would do what follows &, and put the home in place of ~
    line = line.partition("&")[0].replace("3f2a", batch_id[:6]).replace(" ID", f" {batch_id}")
    done = run(line.replace("~", str(folder)), folder, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def run(line, folder, environment):
    """Run one command; to what it asks the answer is yes."""
    words = [
        str(folder / word) if word == "threaded-ibmq" else word for word in shlex.split(line, comments=True)
    ]
    return subprocess.run(
        words, input="y\n", env=environment, capture_output=True, text=True, check=False, cwd=folder
    )
