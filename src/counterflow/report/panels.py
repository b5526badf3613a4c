"""Two columns of data and of samples over each other: contours, stairs at whole numbers, discs at pairs of them."""

from typing import Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from .drawing import DATA, SAMPLES
from .results import Rows
from .scales import Scale, effective_rows, quantiles

HELD = (0.5, 0.9)  # of the probability: what the lines of a pair enclose
FEW = 100  # rows that are drawn as points: fewer show no density
FEW_AT_ONE = 10  # rows at one whole number: fewer show no quantiles
FILL = 0.28

Scales = tuple[Scale, Scale]


class Side(NamedTuple):
    """Data, or samples: two columns and the weights."""

    x: Rows
    y: Rows
    w: Rows


def draw_pair(axes: Axes, data: Side, samples: Side, scales: Scales) -> None:
    """Data filled, samples as lines."""
    if all(scale.steps for scale in scales):
        _discs(axes, data, samples, scales)
        return
    for side, colour in ((data, DATA), (samples, SAMPLES)):
        if len(side.x) < FEW:
            axes.plot(side.x, side.y, ".", color=colour, markersize=3, markeredgewidth=0, alpha=0.8)
        elif any(scale.steps for scale in scales):
            _stairs(axes, side, scales, colour)
        else:
            _contours(axes, side, scales, colour)


def _contours(axes: Axes, side: Side, scales: Scales, colour: str) -> None:
    """Lines that enclose the densest half, and the densest 90 %, of the weight; those of the data are filled."""
    even = [scale.even(scale.edges) for scale in scales]
    points = [scale.even(values) for scale, values in zip(scales, side[:2], strict=True)]
    here = np.isfinite(points[0]) & np.isfinite(points[1])
    counts, _, _ = np.histogram2d(points[0][here], points[1][here], bins=even, weights=side.w[here] / side.w.sum())
    rows = effective_rows(side.w)
    shares = smoothed(smoothed(counts, rows).T, rows)  # (up, across)
    levels = density_levels(shares)
    if not levels:
        return
    middles = [0.5 * (edges[:-1] + edges[1:]) for edges in even]
    x, y = (10**middle if scale.log else middle for middle, scale in zip(middles, scales, strict=True))
    if colour == DATA:
        tops = [*levels, max(levels[-1], float(shares.max())) * 1.001]
        axes.contourf(x, y, shares, tops, colors=[colour], alpha=FILL)
        axes.contour(x, y, shares, levels, colors=[colour], linewidths=0.5)
        axes.contourf(x, y, shares, tops[-2:], colors=[colour], alpha=FILL)
    else:
        axes.contour(x, y, shares, levels, colors=[colour], linewidths=1.0)


def density_levels(shares: Rows) -> list[float]:
    """The heights above which the cells hold each of `HELD`, rising; fewer where they cannot be told apart."""
    falling = np.sort(shares.ravel())[::-1]
    running = np.cumsum(falling)
    places = [min(int(np.searchsorted(running, held)), len(falling) - 1) for held in HELD]
    return sorted({float(falling[place]) for place in places if falling[place] > 0})


def smoothed(shares: Rows, rows: float) -> Rows:
    """Along the first axis by a normal kernel, reflected at both ends, in bins: Scott's rule for two dimensions."""
    bins = len(shares)
    marginal = shares.sum(1)
    if not marginal.sum() > 0:
        return shares
    place = np.arange(bins)
    mean = np.average(place, weights=marginal)
    spread = np.sqrt(max(0.0, float(np.average((place - mean) ** 2, weights=marginal))))  # weights may be negative
    width = float(np.clip(spread * rows ** (-1 / 6), 0.6, 4.0))
    apart, together = place[:, None] - place, place[:, None] + place
    distances = np.stack([apart, together + 1, 2 * bins - 1 - together])
    kernel = np.exp(-0.5 * (distances / width) ** 2).sum(0)
    result: Rows = (kernel / kernel.sum(0)) @ shares
    return result


def _discs(axes: Axes, data: Side, samples: Side, scales: Scales) -> None:
    """At each pair of whole numbers a disc (data) and a ring (samples) whose area is its probability."""
    edges = [np.arange(scale.low, scale.high + 1) for scale in scales]
    both = [np.histogram2d(s.x, s.y, bins=edges, weights=s.w)[0] / s.w.sum() for s in (data, samples)]
    widest = 60 / max(both[0].shape)  # in points: a panel is about 60 wide
    largest = max(float(shares.max()) for shares in both) or 1.0
    x, y = np.meshgrid(edges[0][:-1] + 0.5, edges[1][:-1] + 0.5, indexing="ij")
    discs, rings = (widest**2 * shares / largest for shares in both)
    seen = discs > 0.02
    axes.scatter(x[seen], y[seen], s=discs[seen], color=DATA, alpha=0.45, linewidths=0)
    seen = rings > 0.02
    axes.scatter(x[seen], y[seen], s=rings[seen], facecolors="none", edgecolors=SAMPLES, linewidths=1.0)


def _stairs(axes: Axes, side: Side, scales: Scales, colour: str) -> None:
    """At each whole number the middle 50 % and 90 % of the other column: areas of data, lines of samples."""
    upright = scales[0].steps
    scale, whole, other = (scales[0], side.x, side.y) if upright else (scales[1], side.y, side.x)
    way: Literal["vertical", "horizontal"] = "vertical" if upright else "horizontal"
    edges = np.arange(scale.low, scale.high + 0.5)
    ends = np.full((4, len(edges) - 1), np.nan)
    for place, value in enumerate(edges[:-1] + 0.5):
        here = (whole == value) & np.isfinite(other)
        if here.sum() >= FEW_AT_ONE and side.w[here].sum() > 0:
            ends[:, place] = quantiles(other[here], side.w[here], (0.05, 0.25, 0.75, 0.95))
    low, inner_low, inner_high, high = ends
    if colour == DATA:
        for bottom, top in ((low, high), (inner_low, inner_high)):
            axes.stairs(top, edges, baseline=bottom, fill=True, color=colour, alpha=FILL, orientation=way, linewidth=0)
    else:
        for line in ends:
            axes.stairs(line, edges, baseline=None, color=colour, linewidth=1.0, orientation=way)
