"""Every Python example of the documentation runs.

A page's ```python blocks run in order in one namespace, as a reader would type them. A block whose info string
says ``no-run``, because it needs an account, is only compiled.
"""

import re
import traceback
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>`{3,}|~{3,})[ ]*(?P<info>[^\n`]*)\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block: its code, its first line in the page, and whether it can run here."""

    code: str
    line: int
    runs: bool


def python_blocks(text: str) -> list[Block]:
    """Return the Python blocks of a page, in order."""
    blocks = []
    for match in FENCE.finditer(text):
        words = match["info"].split()
        if words[:1] != ["python"]:
            continue
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("code")) + 1
        blocks.append(Block(code, line, "no-run" not in words))
    return blocks


def run_page(name: str, blocks: list[Block]) -> None:
    """Run blocks in one namespace; fail with the place, the code and the error."""
    namespace = {"__name__": "__main__"}
    for block in blocks:
        # Empty lines in front make the line numbers of a traceback those of the page.
        source = "\n" * (block.line - 1) + block.code
        try:
            compiled = compile(source, name, "exec")
            if block.runs:
                exec(compiled, namespace)
        except Exception:  # noqa: BLE001 - whatever an example raises is the page's failure
            pytest.fail(
                f"The example at {name}:{block.line} fails.\n\n{block.code}\n{traceback.format_exc(limit=-3)}",
                pytrace=False,
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_a_page_run(page, tmp_path, monkeypatch):
    for variable in ("IBMQX_TOKEN", "QISKIT_IBM_TOKEN", "QISKIT_IBM_INSTANCE", "QISKIT_IBM_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("THREADED_IBMQ_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    run_page(str(page.relative_to(ROOT)), python_blocks(page.read_text(encoding="utf-8")))


def test_readme_has_examples_that_run():
    blocks = python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert sum(block.runs for block in blocks) >= 3
    assert any(not block.runs for block in blocks)


def test_blocks_are_found_with_their_lines():
    text = "# Title\n\n```python\na = 1\n```\n\n- item\n\n  ```python no-run\n  b = 2\n  ```\n\n```text\nc\n```\n"
    assert python_blocks(text) == [Block("a = 1\n", 4, runs=True), Block("b = 2\n", 10, runs=False)]


def test_a_failing_example_is_named_with_page_and_line():
    with pytest.raises(pytest.fail.Exception, match=r"page\.md:4 fails(.|\n)*ZeroDivisionError"):
        run_page("page.md", python_blocks("text\n\n```python\n1 / 0\n```\n"))


def test_a_block_that_does_not_run_must_still_compile():
    with pytest.raises(pytest.fail.Exception, match="SyntaxError"):
        run_page("page.md", [Block("a b\n", 1, runs=False)])
