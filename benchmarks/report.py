"""What a work found, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from .timing import Samples

THIS = "threaded.ibmq"
REMOTE = "qiskit.remote"
HAND = "by hand"


@dataclass(frozen=True)
class Target:
    """Something to reach.

    Attributes:
        text: What is compared.
        wanted: The number to reach.
        got: The number found.
        at_least: More is better; otherwise less is.
        unit: Unit of both.
    """

    text: str
    wanted: float
    got: float
    at_least: bool = False
    unit: str = "x"

    @property
    def reached(self) -> bool:
        """Whether it was reached."""
        return self.got >= self.wanted if self.at_least else self.got <= self.wanted

    def __str__(self) -> str:
        side = "at least" if self.at_least else "at most"
        verdict = "reached" if self.reached else "MISSED"
        return (
            f"{verdict:8}{self.text}: {self.got:.3g} {self.unit}, wanted {side} {self.wanted:g} {self.unit}"
        )


@dataclass(frozen=True)
class Work:
    """One kind of work.

    Attributes:
        title: What was done.
        samples: Numbers by contender and quantity; a quantity's name ends in its unit.
        targets: What was to be reached.
        notes: What a reader must know to read the numbers.
    """

    title: str
    samples: Samples
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def quantities(self) -> list[str]:
        """All quantities, in the order they were found."""
        return list(dict.fromkeys(q for numbers in self.samples.values() for q in numbers))

    def cells(self, quantity: str) -> list[str]:
        """A quantity's line: each contender's number, and how many times this device's it is."""
        return [self._cell(contender, quantity) for contender in self.samples]

    def _cell(self, contender: str, quantity: str) -> str:
        numbers = self.samples[contender].get(quantity)
        if numbers is None:
            return ""
        text = _plain(min(numbers))
        ours = min(self.samples.get(THIS, {}).get(quantity, [0.0]))
        return text if contender == THIS or not ours else f"{text} ({min(numbers) / ours:.2f}x)"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 or number == int(number) else f"{number:.3g}"


def show(work: Work) -> None:
    """Print a work: a table, its targets and its notes."""
    table = Table(title=work.title, title_justify="left", box=box.SIMPLE_HEAD)
    for index, name in enumerate(["", *work.samples]):
        table.add_column(name, justify="right" if index else "left")
    for quantity in work.quantities:
        table.add_row(quantity, *work.cells(quantity))
    Console().print(table)
    for target in work.targets:
        print(f"  {target}")
    for note in work.notes:
        print(f"  ({note})")


def as_json(works: list[Work], machine: str) -> dict[str, Any]:
    """Everything, for a program."""
    return {
        "machine": machine,
        "works": [
            {
                "title": work.title,
                "rows": [
                    {"contender": name, "quantity": quantity, "samples": numbers}
                    for name, quantities in work.samples.items()
                    for quantity, numbers in quantities.items()
                ],
                "targets": [
                    {
                        "text": target.text,
                        "wanted": target.wanted,
                        "got": target.got,
                        "unit": target.unit,
                        "reached": target.reached,
                    }
                    for target in work.targets
                ],
                "notes": list(work.notes),
            }
            for work in works
        ],
    }
