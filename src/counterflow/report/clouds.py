"""Pictures of data beside samples: the marginal of each column, and pairs of columns."""

import numpy as np
from matplotlib.axes import Axes

from .drawing import DATA, SAMPLES, canvas, inner_ticks, log_ticks, no_ticks, plain_ticks, printable, svg
from .panels import FILL, Side, draw_pair
from .results import Clouds, ColumnFacts, Rows
from .scales import Scale, heights, scale_of

_LINE = 1.3


class Pairs:
    """Data and samples of a table, with the axis of each column that is asked for."""

    def __init__(self, clouds: Clouds) -> None:
        self.columns = clouds.columns
        self.sides = (
            (clouds.data, _weights(clouds.data, clouds.data_weights)),
            (clouds.samples, _weights(clouds.samples, clouds.sample_weights)),
        )
        self._scales: dict[int, Scale] = {}

    def scale(self, column: int) -> Scale:
        """Of one column."""
        if column not in self._scales:
            (x, v), (y, _) = self.sides
            self._scales[column] = scale_of(x[:, column], v, y[:, column], self.columns[column].whole)
        return self._scales[column]

    def outside(self, column: int) -> float:
        """The share of the samples that the axis does not show, beyond that of the data."""
        data, samples = (self.scale(column).outside(x[:, column], w) for x, w in self.sides)
        return samples - data

    def marginal(self, axes: Axes, column: int) -> None:
        """Data as an area, samples as a line; whole numbers as bars."""
        scale = self.scale(column)
        (x, v), (y, w) = ((rows[:, column], weights) for rows, weights in self.sides)
        data, samples = heights(x, v, scale), heights(y, w, scale)
        if scale.bars:
            middles = 0.5 * (scale.edges[:-1] + scale.edges[1:])
            axes.bar(middles, data, 0.8, color=DATA, alpha=FILL, label="data")
            axes.bar(middles, data, 0.8, fill=False, edgecolor=DATA, linewidth=0.6)
            axes.bar(middles, samples, 0.5, fill=False, edgecolor=SAMPLES, linewidth=_LINE, label="samples")
        else:
            axes.stairs(data, scale.edges, fill=True, color=DATA, alpha=FILL, label="data")
            axes.stairs(data, scale.edges, color=DATA, linewidth=0.6)
            axes.stairs(samples, scale.edges, color=SAMPLES, linewidth=_LINE, label="samples")
        axes.set_ylim(0, 1.08 * max(data.max(), samples.max(), 1e-9))
        _horizontal(axes, scale)
        no_ticks(axes)

    def pair(self, axes: Axes, across: int, up: int) -> None:
        """Two columns over each other."""
        scales = self.scale(across), self.scale(up)
        sides = [Side(rows[:, across], rows[:, up], weights) for rows, weights in self.sides]
        draw_pair(axes, sides[0], sides[1], scales)
        _horizontal(axes, scales[0])
        if scales[1].log:
            axes.set_yscale("log")
        axes.set_ylim(scales[1].low, scales[1].high)


def corner_plot(pairs: Pairs, shown: list[int]) -> str:
    """Marginals on the diagonal, pairs of the shown columns below it, as SVG."""
    count = len(shown)
    panel, left, bottom, rest, gap = 1.05, 0.78, 0.55, 0.06, 0.1  # inches
    width, height = (count * panel + (count - 1) * gap + side + rest for side in (left, bottom))
    with canvas(width, height, fitted=False) as figure:  # panels of one size, in half the time
        figure.subplots_adjust(
            left / width, bottom / height, 1 - rest / width, 1 - rest / height, wspace=gap / panel, hspace=gap / panel
        )
        for i, up in enumerate(shown):
            for j, across in enumerate(shown[: i + 1]):
                axes = figure.add_subplot(count, count, i * count + j + 1)
                if i == j:
                    pairs.marginal(axes, up)
                else:
                    pairs.pair(axes, across, up)
                _label_panel(axes, pairs, (i, j), shown)
        return svg(figure)


def marginal_plot(pairs: Pairs, column: int) -> str:
    """One column, small, as SVG."""
    with canvas(2.0, 1.3, 10.5) as figure:
        axes = figure.add_subplot()
        pairs.marginal(axes, column)
        return svg(figure)


def label_of(column: ColumnFacts, longest: int = 60) -> str:
    """`mass [GeV]`."""
    name = printable(column.name, longest)
    return f"{name} [{printable(column.unit, 16)}]" if column.unit else name


def _weights(rows: Rows, weights: Rows | None) -> Rows:
    return np.ones(len(rows)) if weights is None else np.asarray(weights, float)


def _horizontal(axes: Axes, scale: Scale) -> None:
    if scale.log:
        axes.set_xscale("log")
        log_ticks(axes.xaxis)
    else:
        plain_ticks(axes.xaxis, whole=scale.whole)
    axes.set_xlim(scale.low, scale.high)


def _label_panel(axes: Axes, pairs: Pairs, place: tuple[int, int], shown: list[int]) -> None:
    i, j = place
    beside = [(axes.xaxis, shown[j]), *([(axes.yaxis, shown[i])] if i != j else [])]
    for axis, column in beside:
        if pairs.scale(column).log:
            log_ticks(axis)
        else:
            plain_ticks(axis, 3, pairs.scale(column).whole)
        inner_ticks(axis, 0.1 if axis is axes.xaxis else 0.04)
    if i == len(shown) - 1:
        axes.set_xlabel(_two_lines(pairs.columns[shown[j]]))
        axes.xaxis.set_label_coords(0.5, -0.22)
    else:
        axes.tick_params(labelbottom=False)
        axes.xaxis.get_offset_text().set_visible(False)
    if j == 0 and i > 0:
        axes.set_ylabel(_two_lines(pairs.columns[shown[i]]))
        axes.yaxis.set_label_coords(-0.42, 0.5)
    else:
        axes.tick_params(labelleft=False)
        axes.yaxis.get_offset_text().set_visible(False)


def _two_lines(column: ColumnFacts) -> str:
    name = printable(column.name, 13)
    return f"{name}\n[{printable(column.unit, 11)}]" if column.unit else name
