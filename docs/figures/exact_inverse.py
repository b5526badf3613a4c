"""The picture of docs/exact-inverse.md: which units, and which weights, are used at which step.

    python docs/figures/exact_inverse.py

Degrees and masks are read from a `MaskedMLP` with six coordinates and two hidden layers of ten units. Writes
docs/figures/exact_inverse.svg.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from counterflow.conditioners import MaskedMLP

HERE = Path(__file__).resolve().parent
FEATURES, UNITS, STEPS_PER_BLOCK = 6, 10, 2
COLOURS = ("#44337a", "#2b6cb0", "#2c9c9c", "#5a9e3a", "#d99a1c", "#c2410c")  # of steps 1 .. 6
INK, MASKED = "#222222", "#ececec"
NAMES = ("sought u", "layer 1", "layer 2", "parameters")


def steps() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The step at which each unit of each layer is known, from 1; and the masks between the layers."""
    network = MaskedMLP(FEATURES, num_params=1, hidden=(UNITS, UNITS))
    layout = network.layout
    known = []
    for buffer in (0, 1, 2, 3):
        step = np.empty(len(layout.index[buffer]), int)
        for k in range(FEATURES):
            first, last = layout.ends[buffer][k : k + 2]
            step[list(layout.index[buffer][first:last])] = k + 1
        known.append(step)
    masks = [layer.mask.numpy() for layer in (network.first, *network.layers, network.out)]
    return known, masks


def draw_network(axes: Axes, known: list[np.ndarray], masks: list[np.ndarray]) -> None:
    """Layers from bottom to top; a connection has the colour of the unit that reads it."""
    width = 9.0
    places = [np.linspace(0, width, len(step)) for step in known]
    for level, mask in enumerate(masks):
        for row, column in np.argwhere(mask > 0):
            x, y = (places[level][column], places[level + 1][row]), (2.2 * level, 2.2 * (level + 1))
            axes.plot(x, y, color=COLOURS[known[level + 1][row] - 1], linewidth=0.7, alpha=0.55, zorder=1)
    for level, (place, step) in enumerate(zip(places, known, strict=True)):
        for x, k in zip(place, step, strict=True):
            axes.add_patch(Circle((x, 2.2 * level), 0.34, facecolor=COLOURS[k - 1], edgecolor="white", zorder=2))
            axes.text(x, 2.2 * level - 0.02, str(k), color="white", size=8, ha="center", va="center", weight="bold")
        axes.text(-0.75, 2.2 * level, NAMES[level], color=INK, size=9, ha="right", va="center")
    axes.set(xlim=(-3.1, width + 0.6), ylim=(-0.7, 2.2 * 3 + 0.7), aspect="equal")
    axes.set_title("step at which each unit is computed", color=INK, size=10)
    axes.axis("off")


def draw_matrix(axes: Axes, left: float, rows: np.ndarray, columns: np.ndarray, mask: np.ndarray) -> None:
    """The weights in the colour of the step that uses them; framed, what a block of steps reads of earlier blocks."""
    for r, c in np.ndindex(*mask.shape):
        colour = COLOURS[rows[r] - 1] if mask[r, c] else MASKED
        axes.add_patch(Rectangle((left + c, r), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
    for first in range(1, FEATURES + 1, STEPS_PER_BLOCK):
        own = np.flatnonzero((rows >= first) & (rows < first + STEPS_PER_BLOCK))
        before = int((columns < first).sum())
        if len(own) and before:
            frame = Rectangle((left, own[0]), before, len(own), fill=False, edgecolor=INK, linewidth=1.8, zorder=3)
            axes.add_patch(frame)


def main() -> None:
    """Draw and write."""
    mpl.rcParams.update({"svg.hashsalt": "exact_inverse", "font.size": 9, "font.family": "DejaVu Sans"})
    known, masks = steps()
    figure = Figure(figsize=(9.2, 3.6), facecolor="white")
    draw_network(figure.add_axes((0.005, 0.12, 0.45, 0.87)), known, masks)
    panel, left = figure.add_axes((0.475, 0.12, 0.515, 0.87)), 0.0
    for k, title in enumerate(("weights into layer 1", "into layer 2", "into the parameters")):
        draw_matrix(panel, left, known[k + 1], known[k], masks[k])
        panel.text(left + masks[k].shape[1] / 2, -0.6, title, color=INK, size=10, ha="center")
        left += masks[k].shape[1] + 1.7
    panel.set(xlim=(-0.4, left - 1.3), ylim=(UNITS + 0.6, -1.8), aspect="equal")
    panel.axis("off")
    keys = [(f"step {k + 1}", colour) for k, colour in enumerate(COLOURS)] + [("masked, never used", MASKED)]
    for (name, colour), x in zip(keys, (0.03, 0.105, 0.18, 0.255, 0.33, 0.405, 0.50), strict=True):
        _key(figure, x, name, facecolor=colour)
    _key(figure, 0.67, "one product for a block of two steps", fill=False, edgecolor=INK, linewidth=1.8)
    figure.savefig(HERE / "exact_inverse.svg", metadata={"Date": None})


def _key(figure: Figure, x: float, name: str, **look: Any) -> None:
    figure.add_artist(Rectangle((x, 0.045), 0.014, 0.036, transform=figure.transFigure, **look))
    figure.text(x + 0.019, 0.05, name, color=INK, size=8.5)


if __name__ == "__main__":
    main()
