"""Quantiles of p(y | c): exact for a single column, from draws for several."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..diagnostics import base_space_cdf, chunk_rows
from ..diagnostics.quantile_functions import base_space_quantile
from ..tables.encoding import as_table
from ..tables.schema import LARGEST_WHOLE, Column
from ..tables.source import Block
from .table_model import TableModel

HALVINGS = 60  # of the interval that a quantile is in
REACH = 4.0  # how much farther than last time we look for that interval, if it is beyond the training range
SEARCHES = 40  # so far: 4**40 training ranges

Quantiles = npt.NDArray[np.float64]  # (rows, levels, columns)


def quantiles(model: TableModel, context: Block, levels: Sequence[float], *, draws: int, seed: int) -> Quantiles:
    r"""y with P(Y_i <= y | c) = level, for each row of context, level and column: (N, levels, D).

    For one column exact: the quantile of the base, pushed through the flow, or where that of the base is not known by
    bisection of the model's distribution function. For several, whose marginals have no closed form, the sample
    quantiles of draws. Whole numbers are the smallest with P(Y_i <= y | c) >= level.

    Args:
        model: Of y given a context.
        context: (N, M).
        levels: Between 0 and 1.
        draws: For each row, where there are several columns.
        seed: Of those draws, the same for every row: what is found for one does not depend on the others.

    Raises:
        ValueError: no levels, one outside (0, 1), no draws, or a distribution that is nowhere to be found.

    Error: one column, the model's rounding (bisected, 2**-60 of the training range, beyond it of the distance);
        several, that of the sample quantile, about sqrt(level (1 - level) / draws) / p(y).
    Cost: one column, one forward of the flow for each level (bisected, 60 inverses); several, the draws.
    """
    if not levels or not all(0 < level < 1 for level in levels):
        raise ValueError(f"expected levels between 0 and 1, got {list(levels)}")
    if draws < 1:
        raise ValueError(f"expected at least 1 draw, got {draws}")
    if model.model.features == 1:
        return _of_one_column(model, context, levels)
    return _drawn(model, context, levels, draws, seed)


def _drawn(model: TableModel, context: Block, levels: Sequence[float], draws: int, seed: int) -> Quantiles:
    found = np.empty((len(context), len(levels), model.model.features))
    for i, row in enumerate(context):
        generator = torch.Generator().manual_seed(seed)
        drawn = model.sample(draws, row[None], generator=generator)
        found[i] = np.quantile(drawn, levels, axis=0, method="inverted_cdf")
    return found


@torch.no_grad()
def _of_one_column(model: TableModel, context: Block, levels: Sequence[float]) -> Quantiles:
    wanted = torch.tensor(levels, dtype=torch.float64)
    found = [np.empty((0, len(levels)))]
    some = max(1, chunk_rows(1) // len(levels))
    for start in range(0, len(context), some):
        part = model.tensor(context[start : start + some])
        given = part.repeat_interleave(len(levels), 0)
        level = wanted.repeat(len(part))
        found.append(_quantile(model, given, level).reshape(len(part), len(levels)).numpy())
    column = model.schema.columns[0]
    flat = as_table([column], np.concatenate(found).reshape(-1, 1))
    return flat.reshape(-1, len(levels), 1)


def _quantile(model: TableModel, context: Tensor, level: Tensor) -> Tensor:
    """In one pass if the base lets us, else bisected."""
    column = model.schema.columns[0]
    try:
        y = base_space_quantile(model.model, level[:, None], context)[:, 0]
    except TypeError:
        return _bisected(model, context, level)
    largest = np.finfo(column.dtype).max if np.dtype(column.dtype).kind == "f" else LARGEST_WHOLE
    if not bool((y.abs() <= float(largest)).all()):
        raise _nowhere(column)
    return y


def _bisected(model: TableModel, context: Tensor, level: Tensor) -> Tensor:
    def cdf(y: Tensor) -> Tensor:
        return base_space_cdf(model.model, y[:, None].to(context.dtype), context, None)[:, 0]

    low, high = _bracket(cdf, level, model.schema.columns[0])
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        under = cdf(middle) < level
        low, high = torch.where(under, middle, low), torch.where(under, high, middle)
    return 0.5 * (low + high)


def _bracket(cdf: Callable[[Tensor], Tensor], level: Tensor, column: Column) -> tuple[Tensor, Tensor]:
    """An interval within the support for each quantile: at first the training range, then farther and farther out.

    Raises:
        ValueError: the distribution function is never on the other side of the level, or not a number.
    """
    ends = column.low, column.high + column.whole  # k + u, u < 1
    known = math.isfinite(column.smallest) and math.isfinite(column.largest)
    first, last = (column.smallest, column.largest + column.whole) if known else (-1.0, 1.0)
    length = (last - first) or 1.0
    low = torch.full_like(level, min(max(first, ends[0]), ends[1]))
    high = torch.full_like(level, max(min(last, ends[1]), ends[0]))
    for search in range(SEARCHES):
        # On an end of the support there is nothing to look for beyond it.
        below, above = cdf(low), cdf(high)
        short, far = (below > level) & (low > ends[0]), (above < level) & (high < ends[1])
        if bool((below + above).isnan().any()):
            break
        if not bool(short.any() or far.any()):
            return low, high
        reach = REACH**search * length
        low, high = (
            torch.where(short, (low - reach).clamp_min(ends[0]), torch.where(far, high, low)),
            torch.where(far, (high + reach).clamp_max(ends[1]), torch.where(short, low, high)),
        )
    raise _nowhere(column)


def _nowhere(column: Column) -> ValueError:
    return ValueError(f"the model has no quantiles of {column.name!r} for some of the contexts: they are too far out")
