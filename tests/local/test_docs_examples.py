"""Every Python example of the documentation is executed by something.

A page's ```python blocks run in order in one namespace, as a reader would type them. A word after ``python`` says otherwise:

- ``account``: it needs an account, and runs against a loopback service, whose key and instance take the place of dots;
- ``file``: it is a program, and runs as one, with an account of the same kind;
- ``no-run classic``, ``no-run covalent``: the tests of the classic stack run it;
- ``no-run``: nothing runs it, and a comment in front of it says why. It is compiled.

Pages with cells, ```{code-cell} python, are notebooks: building the documentation runs them, and fails where they do.
"""

import os
import re
import subprocess
import sys
import traceback
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from pennylane_threaded_ibmq.loopback import DEFAULT_CRN, Instance, LoopbackConfig, LoopbackService

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
FENCE = re.compile(
    r"(?P<reason><!-- not run: [^>]+ -->\n+)?"
    r"^(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,})[ ]*(?P<info>[^\n`]*)\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
TOKEN = "loopback-token"
PLACEHOLDERS = {'"..."': f'"{TOKEN}"', '"<token>"': f'"{TOKEN}"', '"crn:..."': f'"{DEFAULT_CRN}"'}
PLACEHOLDERS['"<crn>"'] = PLACEHOLDERS['"crn:..."']
HERE = {"": "here", "account": "account", "file": "file"}
ELSEWHERE = {"no-run classic": "test_docs.py", "no-run covalent": "test_covalent.py"}
"""Words, and the file of tests/classic that runs such blocks."""


@dataclass(frozen=True)
class Block:
    """One block: its code, its first line in the page, what its first line says, and whether it says why it does not run."""

    code: str
    line: int
    words: str = ""
    is_cell: bool = False
    has_reason: bool = False


def python_blocks(text: str) -> list[Block]:
    """Return the Python blocks of a page, in order."""
    blocks = []
    for match in FENCE.finditer(text):
        is_cell = match["info"].startswith("{code-cell}")
        language, _, words = match["info"].removeprefix("{code-cell}").strip().partition(" ")
        if language != "python":
            continue
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("code")) + 1
        blocks.append(Block(code, line, words, is_cell, match["reason"] is not None))
    return blocks


class Service:
    """A loopback service that starts when a page first needs one."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._running: LoopbackService | None = None

    def running(self) -> LoopbackService:
        if self._running is None:
            # sessions are not for the open plan
            paid = Instance(plan="premium", pricing_type="paid")
            config = LoopbackConfig(backends=("ibm_torino", "ibm_manila"), instances=(paid,))
            self._running = self._stack.enter_context(LoopbackService(config))
        return self._running

    def applied(self):
        return self.running().applied(token=TOKEN, instance=DEFAULT_CRN)

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.running().environment(token=TOKEN, instance=DEFAULT_CRN)}


def run_page(name: str, blocks: list[Block]) -> None:
    """Run what runs here; fail with the place, the code and the error."""
    namespace = {"__name__": "__main__"}
    with ExitStack() as stack:
        service = Service(stack)
        for block in blocks:
            # Empty lines in front make the line numbers of a traceback those of the page.
            source = "\n" * (block.line - 1) + block.code
            if block.words:
                for placeholder, value in PLACEHOLDERS.items():
                    source = source.replace(placeholder, value)
            try:
                compiled = compile(source, name, "exec")
                if block.words == "file" and not block.is_cell:
                    run_file(source, service)
                elif block.words in HERE and not block.is_cell:
                    with service.applied() if block.words == "account" else nullcontext():
                        exec(compiled, namespace)
            except Exception:  # noqa: BLE001 - whatever an example raises is the page's failure
                pytest.fail(
                    f"The example at {name}:{block.line} fails.\n\n{block.code}\n{traceback.format_exc(limit=-3)}",
                    pytrace=False,
                )


def run_file(source: str, service: Service) -> None:
    """Run a program in a home of its own."""
    Path("program.py").write_text(source, encoding="utf-8")
    environment = {**service.environment(), "HOME": str(Path.cwd()), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "program.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_a_page_run(page, tmp_path, monkeypatch):
    for variable in ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    run_page(str(page.relative_to(ROOT)), python_blocks(page.read_text(encoding="utf-8")))


def executed_by(block: Block) -> str | None:
    """Name what executes a block; None for nothing."""
    if block.is_cell:
        return "docs"
    return HERE.get(block.words) or ELSEWHERE.get(block.words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_is_left_unexecuted_without_a_reason(page):
    blocks = python_blocks(page.read_text(encoding="utf-8"))
    unknown = [f"{page}:{b.line}" for b in blocks if b.words not in {*HERE, *ELSEWHERE, "no-run"}]
    assert unknown == []
    assert [f"{page}:{b.line}" for b in blocks if executed_by(b) is None and not b.has_reason] == []


def test_what_others_are_said_to_execute_they_do():
    for words, name in ELSEWHERE.items():
        assert f"```python {words}" in (ROOT / "tests" / "classic" / name).read_text(encoding="utf-8")
    configuration = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    assert 'nb_execution_mode = "cache"' in configuration
    assert "nb_execution_raise_on_error = True" in configuration
    tasks = (ROOT / "tasks.py").read_text(encoding="utf-8")
    whole = tasks[tasks.index("def test(") : tasks.index("def test_pinned(")]
    assert "build_docs()" in whole


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_with_cells_is_a_notebook_that_can_be_fetched(page):
    text = page.read_text(encoding="utf-8")
    is_notebook = any(block.is_cell for block in python_blocks(text))
    assert text.startswith("---\nfile_format: mystnb\n") == is_notebook
    assert (f"{{nb-download}}`{page.stem}.ipynb`" in text) == is_notebook


def test_the_tutorials_are_notebooks():
    tutorials = [page for page in PAGES if page.parent.name == "tutorials"]
    assert len(tutorials) >= 8
    for page in tutorials:
        assert any(block.is_cell for block in python_blocks(page.read_text(encoding="utf-8"))), page


def test_readme_has_examples_that_run():
    blocks = python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [executed_by(block) for block in blocks].count("here") >= 3
    assert [executed_by(block) for block in blocks].count("account") >= 1


def test_blocks_are_found_with_their_lines():
    text = (
        "# Title\n\n```python\na = 1\n```\n\n- item\n\n  ```python account\n  b = 2\n  ```\n\n```text\nc\n```\n"
        "<!-- not run: why -->\n\n```python no-run\nd\n```\n\n```{code-cell} python\ne\n```\n"
    )
    assert python_blocks(text) == [
        Block("a = 1\n", 4),
        Block("b = 2\n", 10, "account"),
        Block("d\n", 19, "no-run", has_reason=True),
        Block("e\n", 23, is_cell=True),
    ]


def test_a_failing_example_is_named_with_page_and_line():
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:4 fails(.|\n)*ZeroDivisionError"):
        run_page("page.md", python_blocks("text\n\n```python\n1 / 0\n```\n"))


def test_a_block_that_does_not_run_must_still_compile():
    with pytest.raises(pytest.fail.Exception, match="SyntaxError"):
        run_page("page.md", [Block("a b\n", 1, "no-run")])


def test_a_program_that_fails_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pytest.fail.Exception, match="ZeroDivisionError"):
        run_page("page.md", [Block("1 / 0\n", 1, "file")])
