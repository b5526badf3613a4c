"""Intervals of p(y | x) on the nine UCI regression sets with their published splits: one split of one contender.

A process of benchmarks/front.py: cells on standard input, a JSON line for each when it begins and when it is done.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from datasets import data_folder
from front_grid import Cell
from front_mdn import FittedMDN

from counterflow.estimator import ConditionalFlowDensity

LEVELS = (0.05, 0.5, 0.95)
VALIDATION = 0.1
GP_ROWS = 2000  # training rows up to which the Gaussian process is fitted
KERNEL_ROWS = 700  # training rows at most that its kernel is chosen on

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """One published split; `whole`: y takes whole numbers only."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array
    whole: bool


@dataclass(frozen=True)
class Predicted:
    """Of the test rows: log p(y | x) in nats or None, quantiles (rows, 3), and facts of the fit."""

    log_prob: Array | None
    quantiles: Array
    facts: dict[str, Any]


def load(name: str, split: int) -> Split:
    """A split as it was published: the mask says which rows are for the test."""
    with np.load(data_folder() / "uci_regression" / "uci_regression_yaringal.npz") as arrays:
        table = arrays[f"{name}/data"].astype(np.float64)
        masks = np.unpackbits(arrays[f"{name}/test_masks_packed"], axis=1)[:, : len(table)].astype(bool)
        x, y = table[:, np.ravel(arrays[f"{name}/features"])], table[:, int(arrays[f"{name}/target"])]
    test = masks[split]
    return Split(x[~test], y[~test], x[test], y[test], bool(np.all(y == np.rint(y))))


def _flow(split: Split, seed: int) -> Predicted:
    flow = ConditionalFlowDensity(validation=VALIDATION, random_state=seed).fit(split.x, split.y)
    log_prob = flow.log_prob(split.test_x, split.test_y)
    quantiles = flow.predict_quantiles(split.test_x, LEVELS)[..., 0]
    history = flow.history_
    return Predicted(log_prob, quantiles, {"steps": history.steps, "best_step": history.best_step})


def _boosting(split: Split, seed: int) -> Predicted:
    """One model for each quantile, the defaults of scikit-learn; crossing quantiles are sorted."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    models = [HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=seed) for q in LEVELS]
    found = [model.fit(split.x, split.y).predict(split.test_x) for model in models]
    return Predicted(None, np.sort(np.stack(found, 1), 1), {})


def _mdn(split: Split, seed: int) -> Predicted:
    """Whole numbers as k + u with one draw of u, as the flow sees them; the density in the middle of the cell."""
    generator = np.random.default_rng(seed)
    held_out = generator.permutation(len(split.x))[: int(len(split.x) * VALIDATION)]
    noise = generator.random(len(split.y)) if split.whole else 0.0
    fitted = FittedMDN(split.x, split.y + noise, held_out, seed)
    log_prob = fitted.log_prob(split.test_x, split.test_y + 0.5 * split.whole)
    quantiles = fitted.quantiles(split.test_x, LEVELS)
    return Predicted(log_prob, np.floor(quantiles) if split.whole else quantiles, {"best_step": fitted.steps})


def _gaussian(split: Split, seed: int) -> Predicted:
    """A Gaussian process up to GP_ROWS training rows, least squares beyond."""
    loc, scale = split.x.mean(0), split.x.std(0)
    x, test_x = ((x - loc) / np.where(scale > 0, scale, 1.0) for x in (split.x, split.test_x))
    process = len(x) <= GP_ROWS
    mean, spread = (_process if process else _least_squares)(x, split.y, test_x)
    log_prob = -0.5 * ((split.test_y - mean) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
    reach = 1.6448536269514722 * spread
    quantiles = np.stack([mean - reach, mean, mean + reach], 1)
    return Predicted(log_prob, quantiles, {"model": "Gaussian process" if process else "linear Gaussian"})


def _process(x: Array, y: Array, test_x: Array) -> tuple[Array, Array]:
    """A kernel with a length for each feature, and white noise; maximum marginal likelihood from one start.

    The kernel is that of KERNEL_ROWS rows at most, for the time's sake; the prediction is from all rows.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    lengths = RBF(np.full(x.shape[1], np.sqrt(x.shape[1])), (1e-1, 1e3))
    kernel = ConstantKernel(1.0) * lengths + WhiteKernel(0.1, (1e-6, 1e1))
    some = np.random.default_rng(0).permutation(len(x))[:KERNEL_ROWS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length at its bound: a feature that does not matter
        kernel = GaussianProcessRegressor(kernel, normalize_y=True).fit(x[some], y[some]).kernel_
        process = GaussianProcessRegressor(kernel, normalize_y=True, optimizer=None).fit(x, y)
        mean, spread = process.predict(test_x, return_std=True)
    return mean, spread


def _least_squares(x: Array, y: Array, test_x: Array) -> tuple[Array, Array]:
    """The mean, and the standard deviation of a new row."""
    design, new = (np.column_stack([np.ones(len(rows)), rows]) for rows in (x, test_x))
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ design.T @ y
    variance = np.sum((y - design @ weights) ** 2) / (len(x) - np.linalg.matrix_rank(design))
    return new @ weights, np.sqrt(variance * (1 + np.einsum("ij,jk,ik->i", new, inverse, new)))


CONTENDERS: dict[str, Callable[[Split, int], Predicted]] = {
    "flow": _flow,
    "boosting": _boosting,
    "MDN": _mdn,
    "Gaussian": _gaussian,
}


def judged(split: Split, found: Predicted) -> dict[str, Any]:
    r"""Mean log-likelihood in nats per row, coverage and mean width of the 90 % intervals, and their score.

    The score of an interval [l, u] is its width plus 2/alpha times the distance of y from it, alpha = 0.1: the only
    one of these that a wide interval and a wrong one both make worse (Gneiting and Raftery, 2007, eq. 43).
    """
    y, (low, median, high) = split.test_y, found.quantiles.T
    missed = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    result = {
        "training_rows": len(split.x),
        "test_rows": len(y),
        "coverage": float(np.mean((low <= y) & (y <= high))),
        "width": float(np.mean(high - low)),
        "interval_score": float(np.mean(high - low + 2 / 0.1 * missed)),
        "rmse": float(np.sqrt(np.mean((median - y) ** 2))),
        **found.facts,
    }
    if found.log_prob is not None:
        result["log_likelihood"] = float(np.mean(found.log_prob))
        result["least"] = float(np.min(found.log_prob))
    return result


def main() -> None:
    torch.set_num_threads(1)
    for values in json.load(sys.stdin):
        cell = Cell(**values)
        print(json.dumps({"begun": values}), flush=True)
        split = load(cell.data, cell.split)
        begun = time.process_time()
        try:
            found = judged(split, CONTENDERS[cell.subject](split, cell.split))
        except (RuntimeError, ValueError, ArithmeticError) as error:
            found = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps({"done": values, "found": {**found, "seconds": time.process_time() - begun}}), flush=True)


if __name__ == "__main__":
    main()
