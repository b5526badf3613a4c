"""Out-of-distribution scores: how unusual the density of a row is, and where to draw the line."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from .density_ranks import DensityRanks
from .rows import Array, Numbers, as_doubles, as_weights, check_not_negative, effective_number


@dataclasses.dataclass(frozen=True, eq=False)
class Typicality:
    """How log p of each of N rows compares with log p of what the model itself draws.

    Attributes:
        log_prob: log p, nats, (N,). Low: unlike the data the model has seen.
        p_low: The chance that a draw of the model is no denser than the row, (N,). Small: a row in the tails.
        p_high: The chance that a draw is at least as dense, (N,). Small: suspiciously dense, as copies may be.
        p_two_sided: Twice the smaller of the two, at most 1, (N,). Small: atypical in either way.
        draws: How many draws of the model; no p-value is below 1 / (draws + 1).
    """

    log_prob: Float[np.ndarray, " N"]
    p_low: Float[np.ndarray, " N"]
    p_high: Float[np.ndarray, " N"]
    p_two_sided: Float[np.ndarray, " N"]
    draws: int


def typicality(ranks: DensityRanks) -> Typicality:
    r"""p-values of log p(x) among log p of draws of the model.

    .. math:: p_{low} = \frac{1 + \#\{s: p(y_s) \le p(x)\}}{S + 1}, \quad
              p_{high} = \frac{1 + \#\{s: p(y_s) \ge p(x)\}}{S + 1}, \quad p = \min(1, 2 \min(p_{low}, p_{high}))

    In many dimensions most draws have nearly the same log p, far below the largest: a row can be atypical because it is
    *denser* than they are, as images of plain sky are under a model of photographs. The density alone does not say so.

    Args:
        ranks: Of the rows to judge, from `density_ranks`; given contexts, each beside its own draws.

    Error: p-values of rows that the model would draw are below a with chance at most a. Against the model, not the
        data: flaws of the model count as well. For a false-alarm rate on real data use `flag_threshold`.
    Cost: nothing beside the ranks.
    Source: Nalisnick et al. (2019), arXiv:1810.09136 and arXiv:1906.02994.
    """
    low = (1 + ranks.draws - ranks.denser) / (ranks.draws + 1)
    high = (1 + ranks.denser + ranks.equal) / (ranks.draws + 1)
    return Typicality(ranks.log_prob, low, high, np.minimum(1.0, 2 * np.minimum(low, high)), ranks.draws)


@dataclasses.dataclass(frozen=True)
class FlagThreshold:
    """A line below which a score is flagged.

    Attributes:
        threshold: Scores below it are flagged.
        rate: The false-alarm rate asked for.
        held_out_rate: The share of the held-out rows that are flagged; less than the rate by about 1 / N, and by ties.
        rate_error: How much the true rate may differ from the one asked for, as a standard deviation, because the line
            comes from that many rows.
        rows: Held-out rows, N.
        effective_rows: (sum w)^2 / sum w^2, N without weights.
    """

    threshold: float
    rate: float
    held_out_rate: float
    rate_error: float
    rows: int
    effective_rows: float

    def flags(self, score: Array) -> Bool[np.ndarray, " N"]:
        """Which of the scores lie below the line, (N,).

        Raises:
            TypeError: neither a tensor nor an array.
            ValueError: not of shape (N,), or NaN.
        """
        return _scores(score) < self.threshold


def flag_threshold(score: Array, rate: float = 0.01, *, weight: Array | None = None) -> FlagThreshold:
    r"""The line that a new row like the held-out ones falls below with chance `rate` at most.

    .. math:: \text{flag } s \iff \bar w + \sum_i w_i 1(s_i \le s) \le \text{rate} \cdot (\bar w + \sum_i w_i)

    with w-bar = sum w^2 / sum w, the weight of one row. Without weights the line is the k-th smallest score, k the
    whole part of rate (N + 1).

    Args:
        score: Of held-out rows, (N,), small where a row is strange: `log_prob`, or `p_two_sided` of `typicality`. Minus
            infinity is allowed.
        rate: The false-alarm rate, between 0 and 1.
        weight: One per row, not negative; none count equally.

    Raises:
        TypeError: neither tensors nor arrays.
        ValueError: a rate outside (0, 1), NaN, negative weights, or too few rows for so low a rate; the number needed
            is said.

    Error: on average over held-out sets the rate is kept for any score and any law of the data, as long as new rows
        come from the same law (conformal prediction); of one held-out set it is rate +- sqrt(rate (1 - rate) / N).
    Cost: a sort.
    Source: Vovk et al. (2005), Algorithmic Learning in a Random World; weights: Tibshirani et al. (2019),
        arXiv:1904.06019.
    """
    s = _scores(score)
    if not 0 < rate < 1:
        raise ValueError(f"expected a false-alarm rate between 0 and 1, got {rate}")
    w = as_weights(weight, len(s), "the held-out rows")
    check_not_negative(w, "the held-out rows", "a quantile has no meaning then")
    rows = effective_number(w)
    order = np.argsort(s, kind="stable")
    allowed = rate * (1 + 1 / rows) * (1 + 1e-12)  # rate (N + 1) may be whole: not to be lost to rounding
    over = np.cumsum(w[order]) + 1 / rows > allowed
    if 1 / rows > allowed:
        raise ValueError(
            f"a false-alarm rate of {rate:g} needs {np.ceil(1 / rate) - 1:.0f} held-out rows, got {rows:.4g}"
        )
    threshold = float(s[order][np.argmax(over)])
    return FlagThreshold(
        threshold=threshold,
        rate=rate,
        held_out_rate=float(w @ (s < threshold)),
        rate_error=float(np.sqrt(rate * (1 - rate) / rows)),
        rows=len(s),
        effective_rows=rows,
    )


def _scores(score: Array) -> Numbers:
    s = as_doubles(score, "scores")
    if s.ndim != 1 or not len(s):
        raise ValueError(f"expected one score per row, at least one, got shape {s.shape}")
    if np.isnan(s).any():
        raise ValueError(f"{int(np.isnan(s).sum())} scores are NaN, the first that of row {int(np.isnan(s).argmax())}")
    return s
