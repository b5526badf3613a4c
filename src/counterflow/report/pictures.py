"""The pictures of a report: a training curve, data beside samples, as SVG or PNG without any outside file."""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.ticker import MaxNLocator

Rows = npt.NDArray[np.floating]

WIDTH = 4.8  # inches: fills a phone at a legible size, and is enlarged on a wide screen
DATA, SAMPLES = "#3b82c4", "#d9772b"  # legible on white and on black
_INK = "#010203"  # stands for the text colour of the page, replaced in the SVG
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "counterflow",
    "font.size": 9,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


def training_curve(steps: Sequence[float], training: Sequence[float], held_out: Sequence[float | None]) -> str:
    """Log-likelihood in nats per row against steps, as SVG; the vertical axis follows the held-out rows."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(steps, training, color=DATA, linewidth=1, label="training rows")
        known = [(step, value) for step, value in zip(steps, held_out, strict=True) if value is not None]
        if known:
            axes.plot(*zip(*known, strict=True), color=SAMPLES, linewidth=1.5, label="validation rows")
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("log-likelihood, nats per row")
        axes.set_ylim(*_curve_limits(np.array(training), np.array([value for _, value in known])))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.legend(loc="lower right")
        return _svg(figure)


def corner_plot(data: Rows, samples: Rows, names: Sequence[str]) -> str:
    """Marginals on the diagonal, pairs of columns below it, data and samples over each other, as SVG."""
    count = data.shape[1]
    with rc_context({**_STYLE, "font.size": 8}):
        figure = Figure(figsize=(WIDTH, WIDTH), layout="constrained")
        grid = figure.subplots(count, count, squeeze=False)
        limits = [_limits(data[:, i]) for i in range(count)]
        for i in range(count):
            for j in range(count):
                axes = grid[i, j]
                if j > i:
                    axes.set_axis_off()
                    continue
                _marginal(axes, data[:, i], samples[:, i], limits[i]) if i == j else _pair(axes, data, samples, (j, i))
                axes.set_xlim(*limits[j])
                if i != j:
                    axes.set_ylim(*limits[i])
                _label(axes, names, (i, j), count)
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="upper right", fontsize=9)
        return _svg(figure)


def image_grid(rows: Rows, shape: tuple[int, int], columns: int, limits: tuple[float, float]) -> bytes:
    """Rows as images in a grid, one pixel of PNG per pixel, light paper and dark ink, a pixel of paper between."""
    buffer = io.BytesIO()
    imsave(buffer, _tiled(rows, shape, columns, limits), cmap="gray_r", vmin=0, vmax=1, format="png")
    return buffer.getvalue()


def save_images_beside(
    path: Path,
    data: Rows,
    samples: Rows,
    *,
    shape: tuple[int, int],
    limits: tuple[float, float],
    columns: int = 10,
) -> None:
    """A PNG file: images of data left, images drawn from the model right."""
    figure = Figure(figsize=(9, 4.75), layout="constrained", dpi=120)
    for axes, rows, title in zip(figure.subplots(1, 2), (data, samples), ("data", "samples"), strict=True):
        axes.imshow(_tiled(rows, shape, columns, limits), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
    figure.savefig(path, format="png")


def _tiled(rows: Rows, shape: tuple[int, int], columns: int, limits: tuple[float, float]) -> Rows:
    height, width = shape
    low, high = limits
    lines = -(-len(rows) // columns)
    paper = np.zeros((lines * (height + 1) + 1, columns * (width + 1) + 1))
    for k, row in enumerate(rows):
        top, left = (k // columns) * (height + 1) + 1, (k % columns) * (width + 1) + 1
        paper[top : top + height, left : left + width] = ((row - low) / (high - low)).reshape(shape).clip(0, 1)
    return paper


def _marginal(axes: Axes, data: Rows, samples: Rows, limits: tuple[float, float]) -> None:
    bins = list(np.linspace(*limits, 41))
    for values, colour, label in ((data, DATA, "data"), (samples, SAMPLES, "samples")):
        weights = np.full(len(values), 1 / max(1, len(values)))
        axes.hist(values, bins=bins, weights=weights, histtype="step", color=colour, label=label)
    axes.set_yticks([])


def _pair(axes: Axes, data: Rows, samples: Rows, columns: tuple[int, int]) -> None:
    for rows, colour in ((data, DATA), (samples, SAMPLES)):
        x, y = rows[:, columns[0]], rows[:, columns[1]]
        axes.plot(x, y, ".", color=colour, markersize=2.2, alpha=0.5, markeredgewidth=0, rasterized=True)


def _label(axes: Axes, names: Sequence[str], place: tuple[int, int], count: int) -> None:
    i, j = place
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3)) if i != j else None
    if i == count - 1:
        axes.set_xlabel(_shortened(names[j]))
    else:
        axes.set_xticklabels([])
    if j == 0 and i > 0:
        axes.set_ylabel(_shortened(names[i]))
    else:
        axes.set_yticklabels([])


def _shortened(name: str) -> str:
    return name if len(name) <= 14 else name[:13] + "…"


def _limits(values: Rows) -> tuple[float, float]:
    """The middle 99 % and a tenth more, so that one far row does not hide the rest."""
    low, high = np.quantile(values, [0.005, 0.995])
    margin = 0.1 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _curve_limits(training: Rows, held_out: Rows) -> tuple[float, float]:
    """From the first tenth of the climb up: the fall from the random start would flatten everything after it."""
    values = np.concatenate([training, held_out])
    values = values[np.isfinite(values)]
    low, high = float(np.quantile(values, 0.05)), float(values.max())
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def _svg(figure: Figure) -> str:
    """The figure as an element for a page: as wide as its column, in the page's text colour and font."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=200, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for size in ("width", "height"):
        text = re.sub(rf'(<svg[^>]*?) {size}="[^"]*"', r"\1", text, count=1)
    return text.replace(_INK, "currentColor").replace("<svg", '<svg role="img"', 1)
