"""A figure that a notebook shows whatever backend of matplotlib is chosen; import it only when a picture is drawn."""

from __future__ import annotations

import io

from matplotlib.figure import Figure


class TimelineFigure(Figure):
    """A figure without a window or a state of pyplot's, so that it needs no backend to be seen."""

    def _repr_png_(self) -> bytes:
        target = io.BytesIO()
        self.savefig(target, format="png", dpi=110)
        return target.getvalue()
