"""The rational-quadratic splines of nflows, which normflows has too, as univariate maps of ours."""

from typing import Any

import torch
from torch import Tensor

from ..conditioners import Constant
from ..univariate import RationalQuadratic
from .unsupported import Unsupported
from .weights import Rows, coordinate_by_coordinate, spline_rows, write_parameter


def spline_of(transform: Any, place: str) -> RationalQuadratic:
    """The spline of a transform, in its own direction.

    Raises:
        Unsupported: other tails than the identity, or smallest bins that have no equal here.
    """
    if transform.tails != "linear" or isinstance(transform.tail_bound, Tensor):
        raise Unsupported(
            place, f"a spline with tails {transform.tails!r}; 'linear' ones, the identity, are known here"
        )
    if transform.min_bin_width != transform.min_bin_height:
        raise Unsupported(place, "a spline whose smallest width and smallest height differ")
    bins = transform.num_bins if hasattr(transform, "num_bins") else transform.unnormalized_widths.shape[-1]
    try:
        return RationalQuadratic(bins, float(transform.tail_bound), transform.min_bin_width, transform.min_derivative)
    except ValueError as error:
        raise Unsupported(place, str(error)) from None


def rows_of(spline: RationalQuadratic, count: int, network: Any) -> Rows:
    """Rows of a network that lays them coordinate by coordinate; one that knows its width shrinks bins by its root."""
    width = spline.num_params
    blocks = coordinate_by_coordinate(count, range(width), width)
    divisor = network.hidden_features**0.5 if hasattr(network, "hidden_features") else 1.0
    return spline_rows(blocks, spline.bins, spline.min_slope, divisor=divisor)


def own_splines(cdf: Any, place: str) -> tuple[Constant, RationalQuadratic]:
    """Splines whose parameters are numbers of their own, one set for each coordinate."""
    spline = spline_of(cdf, place)
    free = torch.cat([cdf.unnormalized_widths, cdf.unnormalized_heights, cdf.unnormalized_derivatives], -1).detach()
    if free.dim() != 2:
        raise Unsupported(place, f"splines of the shape {tuple(free.shape[:-1])}, not of a row of coordinates")
    constant = Constant(free.numel()).to(free)
    weight, offset = rows_of(spline, len(free), None).translate(free.reshape(-1, 1), None)
    write_parameter(constant.value, weight[:, 0] + offset)
    return constant, spline
