"""Pictures of how times grow, readable on a light and on a dark page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .growth import Curves, Growth

INK = "#808890"
"""Text and axes: as far from white as from black, as a page's colour is not known."""

LOOKS = (
    ("#e5484d", "o", 2.4),
    ("#2f8fd8", "s", 1.4),
    ("#2ca089", "^", 1.4),
    ("#8a919a", ".", 1.2),
    ("#d08a1d", "D", 1.4),
    ("#a26bd8", "v", 1.4),
    ("#c2649a", "x", 1.4),
)
"""Colour, marker and width of each contender's line; this device has the first."""


def draw(path: Path, growth: Growth, curves: Curves) -> None:
    """Draw processor time against what grows, each contender a line, both axes in steps of equal factors."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": path.stem,
        "font.size": 10,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
        for (name, curve), (colour, marker, width) in zip(curves.items(), LOOKS, strict=False):
            times = curve.medians()
            axes.plot(
                list(times), list(times.values()), color=colour, marker=marker, ms=5, lw=width, label=name
            )
        axes.set(yscale="log", xlabel=growth.axis, ylabel="processor time, ms")
        axes.set_title(growth.title, fontsize=10)
        if growth.doubling:
            axes.set_xticks(sorted({size for curve in curves.values() for size in curve.sizes}))
        else:
            axes.set_xscale("log")
        axes.grid(color=INK, alpha=0.25, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right center", frameon=False, fontsize=9)
        figure.savefig(
            path, transparent=True, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None
        )
        plt.close(figure)
