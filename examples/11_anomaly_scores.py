"""Anomalies whose every value is ordinary: found by the density, at a false-alarm rate that is kept.

Four columns on a noisy curve. The injected anomalies have each column from another row, so that all marginals are those
of normal rows and only the dependence is broken; a Gaussian cannot see them, because no two columns are correlated.
The line is drawn from held-out normal rows. The true density of the normal rows is known, and so what the best score of
this kind could reach.
"""

import numpy as np
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score

import counterflow as cf
from counterflow.diagnostics import FittedGaussian, flag_threshold

NOISE, RATE = 0.15, 0.01


def normal_rows(rows: int, draw: np.random.Generator) -> np.ndarray:
    """t uniform in (-1, 1); the columns are t and three cosines of it, with noise on all but the first."""
    t = draw.uniform(-1, 1, rows)
    return np.stack([t, *curve(t)], -1) + NOISE * draw.normal(size=(rows, 4)) * [0, 1, 1, 1]


def curve(t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means of the last three columns given the first."""
    return tuple(np.cos(k * np.pi * t) for k in (1, 2, 3))


def true_log_prob(x: np.ndarray) -> np.ndarray:
    """log p of a normal row, exact."""
    residual = x[:, 1:] - np.stack(curve(x[:, 0]), -1)
    return stats.norm(0, NOISE).logpdf(residual).sum(-1) - np.log(2)


def main() -> None:
    """Fit to normal rows, inject, look."""
    torch.set_num_threads(1)  # networks this small gain nothing from more
    draw = np.random.default_rng(0)
    training, held_out, ordinary = (normal_rows(rows, draw) for rows in (5000, 2000, 5000))
    strange = np.stack([draw.permutation(column) for column in normal_rows(2000, draw).T], -1)
    tested, is_ordinary = np.concatenate([ordinary, strange]), np.repeat([1, 0], [len(ordinary), len(strange)])

    density = cf.FlowDensity(support={0: (-1, 1)}, epochs=20, random_state=0).fit(training)
    gaussian = FittedGaussian(torch.tensor(training))
    scores = {
        "the truth": true_log_prob(tested),
        "the flow": density.score_samples(tested),
        "a Gaussian": gaussian.log_prob(torch.tensor(tested)).numpy(),
    }
    areas = {name: roc_auc_score(is_ordinary, score) for name, score in scores.items()}
    for name, area in areas.items():
        print(f"area under the ROC curve by {name}: {area:.3f}")

    line = flag_threshold(density.score_samples(held_out), RATE)
    flagged = line.flags(scores["the flow"])
    false_alarms, found = flagged[is_ordinary == 1].mean(), flagged[is_ordinary == 0].mean()
    print(f"false alarms: {false_alarms:.2%}, asked for {RATE:.0%} ± {line.rate_error:.2%}; found: {found:.1%}")
    # Both the line and the count fluctuate: 5 standard deviations of the difference.
    assert abs(false_alarms - RATE) < 5 * np.sqrt(RATE * (1 - RATE) * (1 / len(held_out) + 1 / len(ordinary)))
    assert found > 0.6
    assert areas["a Gaussian"] < 0.6
    assert areas["the flow"] > 0.95 * areas["the truth"]


if __name__ == "__main__":
    main()
