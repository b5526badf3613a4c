"""Intervals of p(y | x) that hold what they promise, for every x, where the truth is known.

The noise is skewed and its width depends on x, so that no single spread is right. A conditional flow is fitted by
maximum likelihood; its quantiles are exact, from its distribution function. Checked: coverage at three levels and in
five ranges of x, the quantiles against the true ones, and the log density against that of the truth.
"""

import numpy as np
import pandas
import torch
from scipy import stats
from sklearn.ensemble import HistGradientBoostingRegressor

import counterflow as cf
from counterflow.diagnostics import conditional_pit

TAILS = (0.25, 0.1, 0.05)  # what intervals of 50, 80 and 90 % leave out on each side


def truth(x: np.ndarray) -> stats.rv_continuous:
    """p(y | x): a log-normal on top of a wave, narrow in the middle and wide at the ends."""
    return stats.lognorm(s=0.6, scale=0.2 + 0.3 * x**2, loc=np.sin(2 * x))


def pairs(rows: int, draw: np.random.Generator) -> tuple[pandas.DataFrame, pandas.Series]:
    """x uniform, y drawn given x."""
    x = draw.uniform(-2, 2, rows)
    return pandas.DataFrame({"x": x}), pandas.Series(truth(x).rvs(random_state=draw), name="y")


def main() -> None:
    """Fit, then compare with promises and with the truth."""
    torch.set_num_threads(1)  # networks this small gain nothing from more
    draw = np.random.default_rng(0)
    (x, y), (x_test, y_test) = pairs(6000, draw), pairs(1500, draw)
    model = cf.ConditionalFlowDensity(epochs=20, random_state=0).fit(x, y)

    levels = [*TAILS, 0.5, *(1 - tail for tail in TAILS)]
    found = dict(zip(levels, model.predict_quantiles(x_test, levels)[..., 0].T, strict=True))
    for tail in TAILS:  # predict_interval(x_test, 0.9) would return found[0.05] and found[1 - 0.05]
        level, held = 1 - 2 * tail, np.mean((found[tail] <= y_test) & (y_test <= found[1 - tail]))
        print(f"intervals of {level:.0%} hold {held:.1%} ± {np.sqrt(level * (1 - level) / len(y_test)):.1%}")
        assert abs(held - level) < 0.04
    draws = torch.tensor(model.sample(x_test, 100, random_state=1))[..., None]
    pit = conditional_pit(draws, torch.tensor(y_test.to_numpy())[:, None], generator=torch.Generator().manual_seed(0))
    print(f"ranks of y among draws: at most {pit.uniformity.statistic[0]:.3f} from uniform")
    assert pit.uniformity.statistic[0] < 0.04

    for q in (0.05, 0.5, 1 - 0.05):
        off = np.abs(found[q] - truth(x_test.x).ppf(q)) / (found[1 - 0.05] - found[0.05])
        print(f"quantile {q:.2f}: {np.mean(off):.1%} of the interval off, on average")
    gap = truth(x_test.x).logpdf(y_test).mean() - model.score(x_test, y_test)
    print(f"log density: {gap:.3f} nats per row below the truth")
    assert gap < 0.05

    ranges = np.digitize(x_test.x, [-1.2, -0.4, 0.4, 1.2])
    trees = [HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=0).fit(x, y) for q in (0.05, 0.95)]
    for name, (low, high) in {
        "quantile trees": [tree.predict(x_test) for tree in trees],
        "the flow": [found[0.05], found[1 - 0.05]],
    }.items():
        held = [np.mean((low <= y_test)[ranges == k] & (y_test <= high)[ranges == k]) for k in range(5)]
        print(f"in five ranges of x, 90 % intervals of {name} hold", " ".join(f"{share:.1%}" for share in held))
    assert np.abs(np.array(held) - 0.9).max() < 0.07  # 4 standard errors of 300 rows


if __name__ == "__main__":
    main()
