"""How a column is laid along an axis: linear, logarithmic or whole numbers, from where to where, in which bins."""

import dataclasses

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.floating]

BINS = 40
MOST_BARS = 40  # whole numbers with more values than this are drawn as a histogram
MOST_STEPS = 15  # and with more than this, as a continuous column in a pair
DECADES = 2.0  # a positive column that spans more is drawn on a logarithmic axis


@dataclasses.dataclass(frozen=True, eq=False)
class Scale:
    """One axis.

    Attributes:
        low, high: Its ends, in the units of the column.
        log: Whether equal steps are equal ratios.
        whole: Whether the column holds whole numbers.
        edges: Of the bins.
    """

    low: float
    high: float
    log: bool
    whole: bool
    edges: Rows

    @property
    def bars(self) -> bool:
        """Whether each value has a bar of its own."""
        return self.whole and self.high - self.low <= MOST_BARS

    @property
    def steps(self) -> bool:
        """Whether the values are few enough to be told apart in a small panel."""
        return self.whole and self.high - self.low <= MOST_STEPS

    def even(self, values: Rows) -> Rows:
        """The values where equal steps on the screen are equal numbers; NaN where the axis has no place for them."""
        if not self.log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, np.log10(values), np.nan)

    def outside(self, values: Rows, weights: Rows) -> float:
        """The share of the weight that the axis does not show, values that are not finite among it."""
        shown = (values >= self.low) & (values <= self.high)
        return float(1 - weights[shown].sum() / weights.sum())


def scale_of(data: Rows, weights: Rows, samples: Rows, whole: bool) -> Scale:
    """The axis of a column: the middle 99 % of the data and a tenth more, so that one far row does not hide the rest.

    It never reaches beyond all values: a column that ends at 0 is drawn up to 0.
    """
    x, w = data[np.isfinite(data)], weights[np.isfinite(data)]
    y = samples[np.isfinite(samples)]
    if not len(x):
        return Scale(0.0, 1.0, False, False, np.linspace(0.0, 1.0, BINS + 1))
    low, high = quantiles(x, w, (0.005, 0.995))
    smallest, largest = min(x.min(), y.min(initial=np.inf)), max(x.max(), y.max(initial=-np.inf))
    log = _is_logarithmic(x, w)
    if whole and not (log and high - low > MOST_BARS):
        return _whole(low, high, smallest, largest)
    if log:
        low, high, smallest, largest = np.log10([low, high, max(smallest, x.min() / 10), largest])
    margin = 0.1 * (high - low)
    low, high = max(low - margin, smallest), min(high + margin, largest)
    if not high > low:
        low, high = low - max(abs(low) * 1e-3, 0.5), high + max(abs(high) * 1e-3, 0.5)
    edges = np.linspace(low, high, BINS + 1)
    edges = 10**edges if log else edges
    if whole:
        edges = np.unique(np.round(edges)) - 0.5  # or narrow bins between two whole numbers would stay empty
    return Scale(float(edges[0]), float(edges[-1]), log, False, edges)


def _is_logarithmic(x: Rows, w: Rows) -> bool:
    """Positive, over more than `DECADES` between the outer percents, and less lopsided when its logarithm is taken.

    Lopsided, over the middle 90 %: (q_95 + q_5 - 2 q_50) / (q_95 - q_5), that of a uniform column being 0.
    """
    if not x.min() > 0:
        return False
    first, low, middle, high, last = quantiles(x, w, (0.01, 0.05, 0.5, 0.95, 0.99))
    if not (last > first * 10**DECADES and high > low):
        return False
    lopsided = [abs(a + c - 2 * b) / (c - a) for a, b, c in ((low, middle, high), np.log([low, middle, high]))]
    return bool(lopsided[1] < lopsided[0])


def _whole(low: float, high: float, smallest: float, largest: float) -> Scale:
    margin = np.ceil(0.1 * (high - low))
    low, high = max(low - margin, smallest), min(high + margin, largest)
    width = max(1, int(np.ceil((high - low + 1) / MOST_BARS)))  # bins of equally many whole numbers, or they would beat
    edges = np.arange(low - 0.5, high + width, width)
    return Scale(float(edges[0]), float(edges[-1]), False, True, edges.astype(float))


def quantiles(values: Rows, weights: Rows, at: tuple[float, ...]) -> Rows:
    """Of weighted values: the smallest with at least that share of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    place = np.searchsorted(running, np.asarray(at) * running[-1])
    found: Rows = values[order][np.minimum(place, len(values) - 1)]
    return found


def heights(values: Rows, weights: Rows, scale: Scale) -> Rows:
    """The share of the weight in each bin; what the axis does not show is part of the whole."""
    counts, _ = np.histogram(values, bins=scale.edges, weights=weights)
    shares: Rows = counts / weights.sum()
    return shares


def effective_rows(weights: Rows) -> float:
    r"""How many equally weighted rows would fluctuate as much: :math:`(\sum w)^2 / \sum w^2` (Kish, 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())
