r"""Draws from the teacher at nearly the student's speed: proposals of the student, corrected by the weights p / q.

Each method needs one score of the teacher per proposal and none of its slow draws, and says what error is left.
"""

import dataclasses
from typing import Any

import torch
from torch import Generator, Tensor

from ..densities import Density, Reparameterised
from ..objectives import log_prob_of
from ..shapes import Vector
from .weights import WeightReport, checked, report_of, smoothed


@dataclasses.dataclass(frozen=True, eq=False)
class Resampled:
    """Draws picked among proposals by their weights.

    Attributes:
        x: (rows, D); the same proposal may stand several times.
        distinct: The share of rows that are different proposals.
        weights: Of the proposals, before smoothing.
    """

    x: Vector
    distinct: float
    weights: WeightReport


@dataclasses.dataclass(frozen=True, eq=False)
class Accepted:
    """Draws that survived rejection.

    Attributes:
        x: (rows, D), independent.
        acceptance: The share of proposals that were taken.
        log_bound: log M, with p <= M q as far as was seen.
        beyond: The share of proposals whose weight was above M: p was cut there.
        error: A bound of the total variation distance to p that this cut leaves, estimated from the proposals.
    """

    x: Vector
    acceptance: float
    log_bound: float
    beyond: float
    error: float


@dataclasses.dataclass(frozen=True, eq=False)
class Chains:
    """The last states of independent Metropolis chains.

    Attributes:
        x: (rows, D), one state of each chain: independent of each other.
        acceptance: The share of proposals that were taken.
        steps: Of each chain.
        stuck: The share of chains that still stand where they began, of which the start's error is left.
    """

    x: Vector
    acceptance: float
    steps: int
    stuck: float


def importance_resample(
    q: Reparameterised, p: Density, rows: int, *, proposals: int | None = None, generator: Generator | None = None
) -> Resampled:
    r"""Draws of q picked with probability proportional to the Pareto-smoothed weights p / q.

    Args:
        q: The student.
        p: The teacher; may be unnormalised.
        rows: How many draws are wanted.
        proposals: How many draws of q to pick from; 10 for each row by default.
        generator: The source of randomness; None is the global one.

    Raises:
        ValueError: rows or proposals below 1 (2), or weights of which nothing can be said.

    Error: the law of the rows tends to p as proposals grow, at a useful rate if k-hat is below 0.7; rows repeat
        (`distinct`). Systematic resampling, which adds the least noise.
    Cost: proposals passes of q and scores of p.
    Source: Rubin (1988), sampling importance resampling; Vehtari et al. (2024), arXiv:1507.02646, for the smoothing.
    """
    count = 10 * rows if proposals is None else proposals
    _check(rows, count)
    x, log_weight = proposed(q, p, count, generator)
    values = checked(log_weight)
    report = report_of(values)
    w = smoothed(values)[0]
    offset = torch.rand((), dtype=w.dtype, generator=generator)
    places = (torch.arange(rows, dtype=w.dtype) + offset) / rows
    picked = torch.searchsorted(w.cumsum(0), places).clamp(max=len(w) - 1)
    shuffled = picked[torch.randperm(rows, generator=generator)]
    return Resampled(x[shuffled], len(picked.unique()) / rows, report)


def reject(
    q: Reparameterised,
    p: Density,
    rows: int,
    *,
    log_bound: float | None = None,
    pilot: int = 10_000,
    most: int = 1000,
    generator: Generator | None = None,
) -> Accepted:
    r"""Independent draws by rejection: a proposal is taken with probability p / (M q).

    Args:
        q: The student.
        p: The teacher; may be unnormalised.
        rows: How many draws are wanted.
        log_bound: log M, if it is known; else the largest weight of a pilot run.
        pilot: Draws of that run.
        most: Proposals for each wanted row, after which the search is given up.
        generator: The source of randomness; None is the global one.

    Raises:
        ValueError: rows or pilot below 1 (2), weights of which nothing can be said, or fewer than one proposal in
            `most` was taken: the student is too far from the teacher for rejection.

    Error: none where p <= M q; beyond it p is cut to M q, and `error` bounds the distance that leaves.
    Cost: 1 / acceptance passes of q and scores of p for each row.
    Source: von Neumann (1951).
    """
    _check(rows, pilot)
    bound = log_bound
    if bound is None:
        bound = float(checked(proposed(q, p, pilot, generator)[1]).max())
    kept: list[Tensor] = []
    found = tried = 0
    beyond, excess, total = 0.0, 0.0, 0.0
    while found < rows:
        if tried >= most * rows:
            raise ValueError(
                f"{found} of {rows} rows after {tried:,} proposals: the student is too far from the teacher for "
                "rejection; importance_resample and metropolis say how far"
            )
        x, log_weight = proposed(q, p, max(rows, 1000), generator)
        values = checked(log_weight) - bound
        uniform = torch.rand(len(values), dtype=values.dtype, generator=generator)
        kept.append(x[uniform.log() < values])
        found, tried = found + len(kept[-1]), tried + len(values)
        w = values.exp()
        beyond, excess = beyond + float((w > 1).sum()), excess + float((w - 1).clamp(min=0).sum())
        total += float(w.sum())
    return Accepted(torch.cat(kept)[:rows], found / tried, bound, beyond / tried, min(1.0, excess / total))


def metropolis(
    q: Reparameterised, p: Density, rows: int, *, steps: int = 20, generator: Generator | None = None
) -> Chains:
    r"""The last states of `rows` independence Metropolis chains whose proposals are draws of q.

    A chain at x moves to a fresh y with probability min(1, w(y) / w(x)), w = p / q; it starts at a draw of q.

    Args:
        q: The student.
        p: The teacher; may be unnormalised.
        rows: How many chains, each of which gives one draw.
        steps: Of each chain, at least 1.
        generator: The source of randomness; None is the global one.

    Raises:
        ValueError: rows or steps below 1, or weights of which nothing can be said.

    Error: where w <= M, the distance to p falls as (1 - 1/M)**steps; `stuck` chains show that it has not yet.
    Cost: steps + 1 passes of q and scores of p for each row, all at once.
    Source: Tierney (1994), Ann. Stat. 22, 1701; Mengersen and Tweedie (1996) for the rate.
    """
    if rows < 1 or steps < 1:
        raise ValueError(f"expected at least one row and one step, got {rows} and {steps}")
    x, log_weight = proposed(q, p, rows, generator)
    at = _comparable(log_weight)
    moved = torch.zeros(rows, dtype=torch.bool)
    taken = 0
    for _ in range(steps):
        y, new = proposed(q, p, rows, generator)
        new = _comparable(new)
        uniform = torch.rand(rows, dtype=at.dtype, generator=generator)
        accept = uniform.log() < new - at
        x, at = torch.where(accept[:, None], y, x), torch.where(accept, new, at)
        moved |= accept
        taken += int(accept.sum())
    return Chains(x, taken / (rows * steps), steps, float((~moved).double().mean()))


@torch.no_grad()
def proposed(q: Reparameterised, p: Density, count: int, generator: Generator | None) -> tuple[Vector, Tensor]:
    """Draws of q, (count, D), with log p - log q; in chunks of bounded memory."""
    parts: list[tuple[Tensor, Tensor]] = []
    done = 0
    while done < count:
        shape: Any = (min(4096, count - done),)
        x, log_q = q.rsample_and_log_prob(shape, generator=generator)
        parts.append((x, log_prob_of(p, x).double() - log_q.double()))
        done += shape[0]
    return torch.cat([x for x, _ in parts]), torch.cat([w for _, w in parts])


def _comparable(log_weight: Tensor) -> Tensor:
    """-inf weights (p is zero) are never moved to, and left at once."""
    if bool(log_weight.isnan().any()):
        raise ValueError("log p or log q of a draw is NaN")
    return log_weight.clamp(min=-1e300)


def _check(rows: int, proposals: int) -> None:
    if rows < 1 or proposals < 2:
        raise ValueError(f"expected at least one row and two proposals, got {rows} and {proposals}")
