"""Pictures of numbers against numbers: training, calibration, coverage, two samples, nearest neighbours."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from .drawing import DATA, INK, OTHER, SAMPLES, SOFT, canvas, log_ticks, no_ticks, plain_ticks, svg
from .panels import FILL
from .results import Coverage, Curve, Memorisation, TwoSample, Uniform

_DASHES = ("-", (0, (5.0, 2.0)), (0, (1.5, 1.5)), (0, (5.0, 1.5, 1.5, 1.5)))


def training_curves(curves: Sequence[Curve]) -> str:
    """Log-likelihood in nats per row against steps, as SVG; the vertical axis follows the held-out rows."""
    with canvas(3.7, 2.6) as figure:
        axes = figure.add_subplot()
        for curve, dashes in zip(curves, [_DASHES[i % len(_DASHES)] for i in range(len(curves))], strict=True):
            _curve(axes, curve, dashes, len(curves) > 1)
        axes.set_ylim(*_curve_limits(curves))
        axes.set_xlabel("optimiser steps")
        axes.set_ylabel("nats per row")
        plain_ticks(axes.xaxis)
        plain_ticks(axes.yaxis)
        axes.legend(loc="lower right", fontsize=8.5)
        return svg(figure)


def _curve(axes: Axes, curve: Curve, dashes: str | tuple[int, tuple[float, ...]], named: bool) -> None:
    first = dashes == "-"
    tail = f", {curve.name}" if named else ""
    colour = INK if first else OTHER
    axes.plot(curve.steps, curve.training, color=SOFT, linewidth=0.7, linestyle=dashes, label=f"training rows{tail}")
    known = [(step, v) for step, v in zip(curve.steps, curve.held_out, strict=True) if v is not None]
    if known:
        steps, values = zip(*known, strict=True)
        axes.plot(steps, values, color=colour, linewidth=1.6, linestyle=dashes, label=f"validation rows{tail}")
        if curve.kept is not None and curve.kept in steps:
            label = "weights kept" if first else None
            axes.plot(curve.kept, values[steps.index(curve.kept)], "o", color=colour, markersize=4.5, label=label)


def _curve_limits(curves: Sequence[Curve]) -> tuple[float, float]:
    """From the first tenth of the climb up: the fall from the random start would flatten everything after it."""
    values = [v for c in curves for v in (*c.training, *(h for h in c.held_out if h is not None))]
    finite = np.array([v for v in values if np.isfinite(v)] or [0.0])
    low, high = float(np.quantile(finite, 0.05)), float(finite.max())
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def uniform_plot(uniform: Uniform) -> str:
    """A histogram that should be flat, with the band that 95 % of the bins of a uniform one lie in, as SVG.

    The vertical axis does not start at 0: what counts is the distance to the band.
    """
    counts = np.asarray(uniform.counts, float)
    bins, flat = len(counts), counts.sum() / len(counts)
    # A bin holds a share 1/B of the rows with the variance of a binomial of as many rows as these weights are worth.
    spread = 1.96 * counts.sum() * np.sqrt((1 / bins) * (1 - 1 / bins) / uniform.effective_rows)
    reach = max(2.2 * spread, 1.15 * float(np.abs(counts - flat).max())) or 1.0
    with canvas(2.0, 1.05, 10.5) as figure:
        axes = figure.add_subplot()
        axes.axhspan(flat - spread, flat + spread, color=SOFT, alpha=0.3, linewidth=0)
        axes.axhline(flat, color=SOFT, linewidth=0.7)
        axes.stairs(counts, np.linspace(0, 1, bins + 1), baseline=None, color=DATA, linewidth=1.4)
        axes.set_xlim(0, 1)
        axes.set_ylim(max(flat - reach, -0.02 * flat), flat + reach)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        no_ticks(axes)
        return svg(figure)


def coverage_plot(coverage: Coverage) -> str:
    """What regions hold minus what they claim, in percentage points, as SVG; error bars of two standard errors."""
    nominal, held, errors = (
        100 * np.asarray(values, float) for values in (coverage.nominal, coverage.achieved, coverage.errors)
    )
    gaps = held - nominal
    reach = max(5.0, 1.1 * float((np.abs(gaps) + 2 * errors).max(initial=0.0)))
    with canvas(3.7, 2.2) as figure:
        axes = figure.add_subplot()
        axes.axhline(0, color=SOFT, linewidth=1, linestyle=(0, (4, 2)))
        axes.errorbar(nominal, gaps, 2 * errors, color=DATA, linewidth=1.2, marker="o", markersize=3, capsize=2)
        axes.set(xlabel="claimed, %", ylabel="held − claimed, %", xlim=(0, 100), ylim=(-reach, reach))
        axes.set_xticks([0, 25, 50, 75, 100])
        plain_ticks(axes.yaxis, 5)
        axes.text(2, 0.93 * reach, "regions too wide", color=SOFT, va="top", fontsize=8.5)
        axes.text(2, -0.93 * reach, "regions too narrow", color=SOFT, va="bottom", fontsize=8.5)
        return svg(figure)


def two_sample_plot(result: TwoSample) -> str:
    """Both areas under the ROC curve with two standard errors, beside the value of guessing, as SVG."""
    both = (result.auc, result.control_auc)
    with canvas(3.7, 1.15) as figure:
        axes = figure.add_subplot()
        axes.axvline(0.5, color=SOFT, linewidth=1, linestyle=(0, (4, 2)))
        for at, value, colour in ((1, both[0], SAMPLES), (0, both[1], DATA)):
            axes.errorbar(
                value.mean, at, xerr=2 * value.standard_error, color=colour, marker="o", markersize=5, capsize=3
            )
        low = min(0.5, *(v.mean - 2 * v.standard_error for v in both))
        high = max(0.6, *(v.mean + 2 * v.standard_error for v in both))
        axes.set_xlim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        axes.set_ylim(-0.6, 1.6)
        axes.set_yticks([1, 0], ["samples", "other data"])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("area under the ROC curve; 0.5 is guessing")
        plain_ticks(axes.xaxis, 5)
        return svg(figure)


def neighbour_plot(result: Memorisation) -> str:
    """Distances to the nearest training row: held-out rows as an area, samples as a line, as SVG."""
    sides = [v[np.isfinite(v)] for v in (np.asarray(result.held_out, float), np.asarray(result.samples, float))]
    every = np.concatenate(sides)
    positive = every[every > 0]
    log = bool(len(positive)) and positive.min() * 30 < positive.max()
    low, high = (positive.min(), positive.max()) if log else (0.0, float(every.max(initial=0.0)) or 1.0)
    edges = np.geomspace(low, high, 41) if log else np.linspace(low, high, 41)
    # On a logarithmic axis copies, at distance 0, stand in the first bin.
    held_out, samples = (np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] / max(1, len(v)) for v in sides)
    with canvas(3.7, 2.0) as figure:
        axes = figure.add_subplot()
        axes.stairs(held_out, edges, fill=True, color=DATA, alpha=FILL)
        axes.stairs(held_out, edges, color=DATA, linewidth=0.6)
        axes.stairs(samples, edges, color=SAMPLES, linewidth=1.3)
        if log:
            axes.set_xscale("log")
            log_ticks(axes.xaxis)
        else:
            plain_ticks(axes.xaxis)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, None)
        axes.set_xlabel("distance to the nearest training row")
        no_ticks(axes)
        return svg(figure)
