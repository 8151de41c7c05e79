"""Draw a batch over time, with matplotlib: a figure, a file, or a page that follows the reader's light or dark."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._printable import printable
from .._quantity import quantity
from ..exceptions import ConfigurationError
from ..store.records import BatchRecord, ShardState
from .tables import html_table
from .timeline import Span, Timeline, timeline_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf", ".html")

MOST_INCHES = 16.0
LANE_INCHES = 0.34

MOST_LABELLED = 50
"""Lanes; with more of them the bars are too thin for a number."""


@dataclass(frozen=True)
class Look:
    """Colours of a picture; phases differ in lightness too, so that they can be told apart without colour."""

    paper: str
    ink: str
    quiet: str
    sending: str
    queued: str
    running: str
    waiting: str
    failed: str

    def of(self, phase: ShardState) -> str:
        """Colour of a phase."""
        colours = {
            ShardState.SENDING: self.sending,
            ShardState.ACCEPTED: self.queued,
            ShardState.RUNNING: self.running,
        }
        return colours.get(phase, self.waiting)


LIGHT = Look("#ffffff", "#1f2328", "#d8dee4", "#e69f00", "#9ecae9", "#0868ac", "#c9ced4", "#c3230f")
DARK = Look("#15181c", "#e6e9ec", "#343a42", "#f0b93a", "#3d5a80", "#8cc4f2", "#565d66", "#ff6b57")

_NAMES = {
    ShardState.SENDING: "sending",
    ShardState.ACCEPTED: "queued, or not known to run",
    ShardState.RUNNING: "running",
    ShardState.PLANNED: "waiting to be sent again",
}


def draw_timeline(timeline: Timeline | BatchRecord, *, dark: bool = False) -> Figure:
    """Draw a batch over time: one row a lane, one bar a shard.

    Args:
        timeline: The batch, or its record in the journal.
        dark: For a dark background.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        from .figure import TimelineFigure
    except ImportError:
        raise ConfigurationError(
            "A timeline needs matplotlib: pip install 'pennylane-threaded-ibmq[pictures]'."
        ) from None
    if isinstance(timeline, BatchRecord):
        timeline = timeline_of(timeline)
    look = DARK if dark else LIGHT
    height = min(MOST_INCHES, 1.75 + LANE_INCHES * max(1, timeline.lanes))
    figure = TimelineFigure(figsize=(9.0, height), facecolor=look.paper, layout="constrained")
    axes = figure.add_subplot()
    scale, unit = _unit(timeline.secs)
    _style(axes, look)
    longest = max(timeline.secs / scale, 1e-9)
    for span in timeline.spans:
        _draw(axes, span, scale, longest, look)
        if timeline.lanes <= MOST_LABELLED:
            _label(axes, span, scale, longest, look)
    axes.set_xlim(0, longest * 1.02)
    axes.set_ylim(max(1, timeline.lanes) - 0.4, -0.6)
    axes.set_xlabel(f"{unit} since the batch was planned", color=look.ink)
    axes.set_ylabel("lane", color=look.ink)
    _lane_ticks(axes, timeline.lanes)
    if not timeline.spans:
        axes.text(0.5, 0.5, "nothing was sent yet", color=look.ink, ha="center", transform=axes.transAxes)
    figure.suptitle(
        f"{printable(timeline.title)}\n{_summary(timeline)}",
        color=look.ink,
        fontsize=10.5,
        x=0.01,
        ha="left",
        linespacing=1.5,
        # a name is no formula, whatever signs it has
        parse_math=False,
    )
    _legend(axes, timeline, look)
    return figure


def save_timeline(record: Timeline | BatchRecord, path: str | Path, *, dark: bool = False) -> Path:
    """Draw a batch into a file.

    Args:
        record: The batch, from the journal or a handle.
        path: The file; its ending chooses png, svg, pdf or html. A page follows the reader's light or dark.
        dark: For a dark background; not for html.

    Returns:
        The file.

    Raises:
        ConfigurationError: The ending is none of these, or matplotlib is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigurationError(
            f"path={str(path)!r}: a timeline is written as {', '.join(SUFFIXES)}, and the ending of the file says which.",
            argument="path",
            value=path,
        )
    if suffix == ".html":
        path.write_text(_page(record), encoding="utf-8")
        return path
    figure = draw_timeline(record, dark=dark)
    figure.savefig(path, dpi=160, facecolor=figure.get_facecolor())
    return path


# ------------------------------------------------------------------------------------------------------------- inside


def _unit(secs: float) -> tuple[float, str]:
    if secs >= 3 * 3600:
        return 3600.0, "hours"
    return (60.0, "minutes") if secs >= 300 else (1.0, "seconds")


def _style(axes: Axes, look: Look) -> None:
    axes.set_facecolor(look.paper)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(look.quiet)
    axes.tick_params(colors=look.ink, which="both", length=0)
    axes.grid(axis="x", color=look.quiet, linewidth=0.7)
    axes.set_axisbelow(True)


def _lane_ticks(axes: Axes, lanes: int) -> None:
    step = max(1, -(-lanes // 40))
    axes.set_yticks(range(0, max(1, lanes), step))


def _draw(axes: Axes, span: Span, scale: float, longest: float, look: Look) -> None:
    start, width = span.start / scale, (span.end - span.start) / scale
    retry = span.phase is ShardState.PLANNED
    axes.barh(
        span.lane,
        # a moment that is too short to be seen still has a hair's breadth
        max(width, longest * 0.0015),
        left=start,
        height=0.12 if retry else 0.66,
        color=look.of(span.phase),
        edgecolor=look.paper,
        linewidth=0.6,
    )
    if span.outcome in (ShardState.FAILED, ShardState.CANCELLED):
        failed = span.outcome is ShardState.FAILED
        axes.plot(
            [start + width],
            [span.lane],
            "x" if failed else "|",
            color=look.failed,
            markersize=8 if failed else 15,
            markeredgewidth=2.2,
            clip_on=False,
            zorder=5,
        )


def _label(axes: Axes, span: Span, scale: float, longest: float, look: Look) -> None:
    """The number of the shard, and its try, as far as they fit."""
    start, width = span.start / scale, (span.end - span.start) / scale
    labels = [f"{span.shard} (try {span.attempt})"] if span.attempt > 1 else []
    texts = [text for text in (*labels, f"{span.shard}") if width > longest * (0.012 + 0.0095 * len(text))]
    if span.phase in (ShardState.RUNNING, ShardState.ACCEPTED) and texts:
        label = texts[0]
        strong = span.phase is ShardState.RUNNING
        colour = look.paper if strong else look.ink
        axes.text(start + width / 2, span.lane, label, color=colour, ha="center", va="center", fontsize=8)


def _legend(axes: Axes, timeline: Timeline, look: Look) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    phases = [p for p in _NAMES if any(span.phase is p for span in timeline.spans)]
    handles: list[Any] = [Patch(color=look.of(p), label=_NAMES[p]) for p in phases]
    ends = ((ShardState.FAILED, "x", "failed"), (ShardState.CANCELLED, "|", "cancelled"))
    handles += [
        Line2D([], [], color=look.failed, marker=mark, linestyle="", markeredgewidth=2.2, label=name)
        for outcome, mark, name in ends
        if any(span.outcome is outcome for span in timeline.spans)
    ]
    if handles:
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=len(handles),
            frameon=False,
            labelcolor=look.ink,
            fontsize=8.5,
            handlelength=1.1,
            borderaxespad=0.2,
            columnspacing=1.4,
        )


def _summary(timeline: Timeline) -> str:
    scale, unit = _unit(timeline.secs)
    parts = [f"{quantity(timeline.shards, 'shard')} on {quantity(timeline.lanes, 'lane')}"]
    failed = sum(span.outcome is ShardState.FAILED for span in timeline.spans)
    cancelled = sum(span.outcome is ShardState.CANCELLED for span in timeline.spans)
    if failed:
        parts.append(quantity(failed, "failed job"))
    if cancelled:
        parts.append(f"{cancelled} cancelled")
    if timeline.retries:
        parts.append(f"{timeline.retries} sent again")
    parts.append(f"{timeline.secs / scale:.1f} {unit}" + ("" if timeline.finished else ", not finished"))
    return ", ".join(parts)


def _page(record: Timeline | BatchRecord) -> str:
    timeline = timeline_of(record) if isinstance(record, BatchRecord) else record
    light, dark = (picture_uri(timeline, dark=d) for d in (False, True))
    table = html_table(
        ("shard", "try", "lane", "phase", "from (s)", "to (s)", "job", "end"),
        [span.cells for span in timeline.spans if span.phase is not ShardState.PLANNED],
        most=len(timeline.spans),
    )
    title = html.escape(timeline.title)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 2rem auto; max-width: 64rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif;
  background: light-dark({LIGHT.paper}, {DARK.paper}); color: light-dark({LIGHT.ink}, {DARK.ink}); }}
img {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25em .9em .25em 0; text-align: left; border-bottom: 1px solid light-dark({LIGHT.quiet}, {DARK.quiet}); }}
</style>
<h1 style="font-size:1.25rem">{title}</h1>
<p>{html.escape(_summary(timeline))}</p>
<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)"><img src="{light}" alt="timeline of the batch"></picture>
{table}
</html>
"""


def picture_uri(timeline: Timeline, *, dark: bool) -> str:
    """A batch over time as an address that holds the picture, for a page.

    Args:
        timeline: The batch.
        dark: For a dark background.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    figure = draw_timeline(timeline, dark=dark)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", facecolor=figure.get_facecolor())
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
