"""Probability integral transforms: where each row stands among what the model expected, as a number between 0 and 1."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..autoregressive import AutoregressiveModel
from ..bases import Base
from ..flow import Flow
from ..model import Model
from ..one_order import OneOrder
from ..shapes import Context, Vector
from .cdfs import base_cdf, family_cdf
from .dependence import Dependence, dependence
from .draws import Posterior, draws_in_chunks, number_of_draws
from .likelihood import chunk_rows
from .rows import Array, Numbers, as_columns, as_weights, check_same_columns, effective_number, uniforms
from .uniformity import BINS, Uniformity, uniformity


@dataclasses.dataclass(frozen=True, eq=False)
class BaseSpacePit:
    """What is left of the data once the model has explained it, coordinate by coordinate of the base.

    Attributes:
        values: (N, D); independent and uniform on [0, 1] if the model is right.
        uniformity: Each coordinate against the uniform law.
        dependence: Pairs of coordinates: what is left of correlations.
        folded_dependence: The same of |2 v - 1|: whether large deviations come together, of whatever sign.
    """

    values: Float[np.ndarray, "N D"]
    uniformity: Uniformity
    dependence: Dependence
    folded_dependence: Dependence


@dataclasses.dataclass(frozen=True, eq=False)
class CoordinatePit:
    """The rank of each coordinate of the data among draws of the model, as a share.

    Attributes:
        values: (N, D); each column is uniform on [0, 1] if that column is calibrated.
        uniformity: Each column against the uniform law.
        draws: How many draws a row was ranked among.
    """

    values: Float[np.ndarray, "N D"]
    uniformity: Uniformity
    draws: int


def base_space_pit(
    model: Model,
    x: Float[Tensor, "N D"],
    context: Context | None = None,
    *,
    weight: Array | None = None,
    bins: int = BINS,
    generator: Generator | None = None,
) -> BaseSpacePit:
    r"""Held-out rows seen from the base of a flow, where they should be noise.

    .. math:: u = f^{-1}(x, c), \qquad v_i = P(U_i \le u_i | u_{<i}, c)

    For a standard normal base v_i = Phi(u_i). If the base is an `AutoregressiveModel`, its conditionals are used; if it
    is a flow, that flow's base. Coordinates of the base are not columns of the table: layers mix them.

    Args:
        model: A `Flow` or an `AutoregressiveModel`, in `eval()` mode.
        x: Held-out rows.
        context: Of each row, (N, \*context).
        weight: One per row; none count equally.
        bins: Of the histograms.
        generator: Spreads the values of a discrete model over their steps; not used otherwise.

    Raises:
        TypeError: the base or the family has no distribution function, or the model is an ensemble.
        ValueError: weights or contexts that are not one per row.

    Error: none but rounding: no draws are made. Tests: see `uniformity` and `dependence`.
    Cost: one inverse of the flow; memory of one chunk beside the result.
    Source: Rosenblatt (1952), Ann. Math. Stat. 23, 470; Diebold et al. (1998), Int. Econ. Rev. 39, 863.
    """
    w = as_weights(weight, len(as_columns(x, "the rows")), "the rows")
    if context is not None and (not context.ndim or len(context) != len(x)):
        raise ValueError(f"expected a context for each of the {len(x)} rows, got shape {tuple(context.shape)}")
    parts = x.split(chunk_rows(x.shape[-1]))
    contexts = [None] * len(parts) if context is None else context.split(chunk_rows(x.shape[-1]))
    with torch.no_grad():
        chunks = [base_space_cdf(model, p, c, generator) for p, c in zip(parts, contexts, strict=True)]
    values = torch.cat(chunks).cpu().numpy()
    if np.isnan(values).any():
        raise ValueError(f"the model returned NaN for row {int(np.argwhere(np.isnan(values))[0, 0])}")
    return BaseSpacePit(
        values, uniformity(values, weight, bins=bins), dependence(values, w), dependence(np.abs(2 * values - 1), w)
    )


def marginal_pit(
    x: Array,
    samples: Array,
    *,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    bins: int = BINS,
    generator: Generator | None = None,
) -> CoordinatePit:
    r"""The rank of every cell among the samples of its column, as a share: marginal calibration.

    .. math:: v_{ij} = \frac{\sum_s w_s 1(y_{sj} < x_{ij}) + V_{ij} (\sum_s w_s 1(y_{sj} = x_{ij}) + \bar w)}
              {\sum_s w_s + \bar w}

    with V uniform, so that ties (whole numbers) are spread evenly, and w-bar = sum w^2 / sum w, the weight of one row.

    Args:
        x: Held-out rows (N, D).
        samples: Of the model, (S, D).
        weight: Of the rows; none count equally.
        sample_weight: Of the samples; none count equally.
        bins: Of the histograms.
        generator: Of V.

    Raises:
        TypeError: neither tensors nor arrays.
        ValueError: not the same columns, cells that are not finite, or weights that are not one per row or do not sum
            to more than 0.

    Error: the p-values count N S / (N + S) rows, since the samples fluctuate, too. It sees one column at a time: no
        correlation.
    Cost: a sort of each column.
    Source: Gneiting et al. (2007), J. R. Stat. Soc. B 69, 243.
    """
    a, b = as_columns(x, "the rows"), as_columns(samples, "the samples")
    check_same_columns(a, b, "the table of rows", "that of samples")
    w = as_weights(sample_weight, len(b), "the samples")
    spread = uniforms(*a.shape, generator=generator)
    values = np.stack([_ranks(*columns, w) for columns in zip(a.T, b.T, spread.T, strict=True)], -1)
    test = uniformity(values, weight, bins=bins, reference_rows=effective_number(w))
    return CoordinatePit(values, test, len(b))


def conditional_pit(
    posterior: Posterior,
    y: Float[Tensor, "N D"],
    context: Context | None = None,
    *,
    draws: int | None = None,
    weight: Array | None = None,
    bins: int = BINS,
    generator: Generator | None = None,
) -> CoordinatePit:
    r"""The rank of every cell of y among draws given its own context: calibration of p(y | c), marginally in y.

    .. math:: v_{ij} = (\#\{s: y_{sj} < y_{ij}\} + V_{ij} (\#\{s: y_{sj} = y_{ij}\} + 1)) / (S + 1)

    Args:
        posterior: A model of y with a context; or a function of (contexts, count) that returns draws (count, n, D); or
            such draws of all rows, (S, N, D).
        y: Held-out rows.
        context: What each is conditioned on; None where draws are given.
        draws: S, 100 by default.
        weight: Of the rows; none count equally.
        bins: Of the histograms.
        generator: Of the draws of a model, and of V.

    Raises:
        TypeError: not a posterior.
        ValueError: contexts or draws that do not fit the rows, fewer than one draw.

    Error: exactly uniform under calibration, whatever S; a small S blurs deviations finer than 1 / S. An average over
        the contexts: errors of opposite sign in different contexts cancel.
    Cost: S draws of the model for every row, in bounded memory.
    Source: Gneiting et al. (2007), J. R. Stat. Soc. B 69, 243.
    """
    below, equal, count = ranks_among_draws(posterior, y, context, draws=draws, generator=generator)
    spread = uniforms(*below.shape, generator=generator)
    values = (below + spread * (equal + 1)) / (count + 1)
    return CoordinatePit(values, uniformity(values, weight, bins=bins), count)


def ranks_among_draws(
    posterior: Posterior, y: Tensor, context: Tensor | None, *, draws: int | None, generator: Generator | None
) -> tuple[Float[np.ndarray, "N D"], Float[np.ndarray, "N D"], int]:
    """How many draws lie below every cell, how many on it, and how many there are."""
    as_columns(y, "the rows")
    count = number_of_draws(posterior, draws)
    below, equal = np.empty(y.shape), np.empty(y.shape)
    for part, drawn in draws_in_chunks(posterior, y, context, count, generator=generator):
        if bool(drawn.isnan().any()):
            raise ValueError(f"among the draws for rows {part.start} to {part.stop - 1} are NaN")
        below[part] = (drawn < y[part]).sum(0).cpu().numpy()
        equal[part] = (drawn == y[part]).sum(0).cpu().numpy()
    return below, equal, count


def _ranks(x: Numbers, samples: Numbers, spread: Numbers, w: Numbers) -> Numbers:
    order = np.argsort(samples, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(w[order])])
    low, high = (running[np.searchsorted(samples[order], x, side)] for side in ("left", "right"))
    own = 1 / effective_number(w)  # the row itself counts as one more sample
    ranks: Numbers = (low + spread * (high - low + own)) / (1 + own)
    return ranks.clip(0, 1)  # negative weights can step outside


def base_space_cdf(
    model: Model | Base, x: Vector, context: Context | None = None, generator: Generator | None = None
) -> Vector:
    r"""P(U_i <= u_i | u_<i, c) of rows x seen from the innermost base, u = f^{-1}(x, c), in double precision.

    For a flow of a single column, whose maps increase, this is the distribution function of x given c itself.

    Args:
        model: A `Flow` or an `AutoregressiveModel`, in `eval()` mode, or a base.
        x: (\*B, D).
        context: Of each.
        generator: Spreads the values of a discrete model over their steps; not used otherwise.

    Raises:
        TypeError: the base or the family has no distribution function, or the model is an ensemble.

    Cost: one inverse of the flow; all rows at once.
    """
    if isinstance(model, Base):
        return base_cdf(model, x)
    model.check_event(x)
    encoded = model.encode(context)
    if isinstance(model, OneOrder):
        model = model.flow
    if isinstance(model, Flow):
        u, _ = model.bijection.inverse(x, encoded if model.bijection.context_features else None)
        return base_space_cdf(model.base, u, encoded if model.base.context_features else None, generator)
    if isinstance(model, AutoregressiveModel):
        below, at = family_cdf(model.family, x, model.conditioner(x, encoded))
        if not bool(at.any()):
            return below
        return below + at * torch.from_numpy(uniforms(*at.shape, generator=generator)).to(at.device)
    raise TypeError(
        f"a {type(model).__name__} has no base space of known law; marginal_pit and conditional_pit need samples only"
    )
