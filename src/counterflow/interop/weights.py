"""How the weights of a foreign layer become those of a layer of ours: rows in another order, other free parameters."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..univariate.splines.knots import slope_shift


@dataclasses.dataclass(frozen=True)
class Rows:
    """Row k of ours is factor[k] times row index[k] of theirs, plus offset[k]: what a last layer says, translated.

    Ours lie parameter by parameter: row p * count + i is parameter p of coordinate i.
    """

    index: Tensor
    factor: Tensor
    offset: Tensor

    def translate(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """The weight and bias of our layer; without a bias of theirs, ours is the offset alone."""
        factor, offset = self.factor.to(weight), self.offset.to(weight)
        bias = weight.new_zeros(len(weight)) if bias is None else bias
        return factor[:, None] * weight[self.index], factor * bias[self.index] + offset


def rows(blocks: Sequence[Tensor], factors: Sequence[float], offsets: Sequence[float]) -> Rows:
    """From a block per parameter of ours, (count,) each: where theirs lies, what it is multiplied by, what is added."""
    repeats = torch.tensor([len(block) for block in blocks])
    factor = torch.tensor(factors, dtype=torch.float64).repeat_interleave(repeats)
    offset = torch.tensor(offsets, dtype=torch.float64).repeat_interleave(repeats)
    return Rows(torch.cat(list(blocks)), factor, offset)


def coordinate_by_coordinate(count: int, params: Sequence[int], width: int) -> list[Tensor]:
    """Blocks of parameters that a foreign layer lays coordinate by coordinate, `width` to each, in our order."""
    return [torch.arange(count) * width + p for p in params]


def plain_rows(blocks: Sequence[Tensor]) -> Rows:
    """Rows that only change their places."""
    return rows(blocks, [1.0] * len(blocks), [0.0] * len(blocks))


def spline_rows(
    blocks: Sequence[Tensor], bins: int, min_slope: float, *, edge_slope: float = 1.0, divisor: float = 1.0
) -> Rows:
    """Rows of a rational spline: slopes are min_slope + softplus(free), bins are softmax(free / divisor)."""
    others = len(blocks) - 2 * bins - (bins - 1)
    shift = slope_shift(min_slope, edge_slope)
    factors = [1 / divisor] * (2 * bins) + [1.0] * (bins - 1 + others)
    offsets = [0.0] * (2 * bins) + [-shift] * (bins - 1) + [0.0] * others
    return rows(blocks, factors, offsets)


@torch.no_grad()
def write(layer: nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
    """Put a weight and a bias into a layer of ours of the same shape."""
    _write(layer.weight, weight)
    if layer.bias is not None:
        _write(layer.bias, torch.zeros_like(layer.bias) if bias is None else bias)


@torch.no_grad()
def write_parameter(parameter: Tensor, value: Tensor) -> None:
    """Put numbers into a parameter of ours of the same shape."""
    _write(parameter, value)


def _write(parameter: Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise ValueError(f"expected weights of shape {tuple(parameter.shape)}, found {tuple(value.shape)}")
    parameter.copy_(value)


def normalisation(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """The factor a and shift s of batch normalisation in evaluation mode, as a (x + s).

    Raises:
        ValueError: it keeps no averages, or a factor is 0, so that there is no such form.
    """
    if not isinstance(norm, nn.BatchNorm1d) or norm.running_mean is None or norm.running_var is None:
        raise ValueError("batch normalisation without running averages depends on the batch")
    mean, variance = norm.running_mean, norm.running_var
    weight = norm.weight.detach() if norm.affine else torch.ones_like(mean)
    bias = norm.bias.detach() if norm.affine else torch.zeros_like(mean)
    factor = weight / torch.sqrt(variance + norm.eps)
    if not bool((factor != 0).all()):
        raise ValueError("batch normalisation with a weight of 0 has no inverse form")
    return factor, bias / factor - mean
