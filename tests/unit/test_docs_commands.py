"""Every shell line of the documentation that needs no account runs.

In a ```text block, lines that begin with ``threaded-ibmq`` are commands. A word after ``text`` says otherwise:
``needs-account``, ``shell-only`` for what is no command of ours or what one prints, ``fails`` for a command that is
meant to. The first Python block of howto/rehearse.md is the ``train.py`` that they mention.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pennylane_threaded_ibmq.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("howto/command-line.md", "howto/timeline.md", "howto/rehearse.md", "first-contact.md")
BLOCK = re.compile(r"^```text(?P<info>[^\n]*)\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(*, needs_account):
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            word = match["info"].strip()
            assert word in {"", "needs-account", "shell-only", "fails"}, f"{page}: {word}"
            if word == "shell-only" or (word == "needs-account") != needs_account:
                continue
            for line in match["lines"].splitlines():
                assert line.startswith("threaded-ibmq "), f"{page}: {line}"
                yield pytest.param(line, word == "fails", id=f"{page}: {line}")


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


@pytest.mark.slow
@pytest.mark.parametrize(("line", "fails"), list(commands(needs_account=False)))
def test_commands_of_the_documentation_run(line, fails, folder):
    words = [str(folder / word) if word == "threaded-ibmq" else word for word in shlex.split(line)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    if not fails:
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("line", "fails"), list(commands(needs_account=True)))
def test_commands_that_need_an_account_are_written_right(line, fails, folder, monkeypatch):
    assert not fails
    monkeypatch.chdir(folder)
    _, name, *arguments = shlex.split(line.partition("&")[0])
    command = main.commands[name]
    # parses the options and stops before the command runs
    context = command.make_context(name, arguments, parent=click.Context(main))
    assert context.params
