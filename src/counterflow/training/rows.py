"""Rows of data as ``fit`` reads them: values, their context, their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .streams import row_order


@dataclass(frozen=True, eq=False)
class Rows:
    r"""N events with what they are conditioned on and how much each counts.

    Args:
        x: Events, shape (N, \*event).
        context: What row i is conditioned on, shape (N, \*context); None for an unconditional density.
        weight: Weight of each row, shape (N,), any finite numbers of positive sum; negative ones are allowed.

    Raises:
        TypeError: A field is not a tensor.
        ValueError: The fields disagree about N, or ``x`` has no event axis.
    """

    x: Shaped[Tensor, ...]
    context: Shaped[Tensor, ...] | None = None
    weight: Float[Tensor, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.x, Tensor):
            raise TypeError(f"Rows hold tensors, got {type(self.x).__name__} for x; use torch.as_tensor")
        if self.x.ndim < 2:
            raise ValueError(
                f"expected rows of shape (N, D), got {tuple(self.x.shape)}; for a single column pass x[:, None]"
            )
        for name, field in (("context", self.context), ("weight", self.weight)):
            if field is not None and not isinstance(field, Tensor):
                raise TypeError(f"Rows hold tensors, got {type(field).__name__} for {name}; use torch.as_tensor")
            if field is not None and (field.ndim == 0 or field.shape[0] != self.x.shape[0]):
                raise ValueError(f"x has {self.x.shape[0]} rows but {name} has shape {tuple(field.shape)}")
        if self.weight is not None and self.weight.ndim != 1:
            raise ValueError(f"expected one weight per row, shape ({self.count},), got {tuple(self.weight.shape)}")

    @property
    def count(self) -> int:
        """N."""
        return self.x.shape[0]

    def take(self, index: Shaped[Tensor, " m"]) -> Rows:
        """The rows at ``index``, in that order."""
        return Rows(
            self.x.index_select(0, index),
            None if self.context is None else self.context.index_select(0, index),
            None if self.weight is None else self.weight.index_select(0, index),
        )

    def part(self, start: int, stop: int, stride: int = 1) -> Rows:
        """Rows ``start, start + stride, ...`` below ``stop``, as views."""
        window = slice(start, stop, stride)
        return Rows(
            self.x[window],
            None if self.context is None else self.context[window],
            None if self.weight is None else self.weight[window],
        )

    def to(self, device: torch.device, dtype: torch.dtype) -> Rows:
        """On ``device``, with floating values in ``dtype``; whole numbers keep their type."""

        def moved(value: Tensor) -> Tensor:
            return value.to(device, dtype) if value.is_floating_point() else value.to(device)

        return Rows(
            moved(self.x),
            None if self.context is None else moved(self.context),
            None if self.weight is None else moved(self.weight),
        )


def effective_rows(rows: Rows) -> float:
    """(sum w)^2 / sum w^2, the number of equal rows that would estimate a mean as well; N without weights."""
    if rows.weight is None:
        return float(rows.count)
    weight = rows.weight.double()
    return float(weight.sum().square() / weight.square().sum())


def with_mean_weight_one(rows: Rows, name: str) -> Rows:
    """The same rows with weights scaled to mean 1.

    A batch may then be averaged over its *count*: the estimate of the weighted mean is unbiased, and no batch divides
    by a sum of weights that negative ones bring near zero.
    """
    if rows.weight is None:
        return rows
    mean = rows.weight.double().mean()
    if not float(mean) > 0:
        raise ValueError(
            f"the weights of the {name} rows sum to {float(mean) * rows.count:g}; the sum must be positive"
        )
    return Rows(rows.x, rows.context, (rows.weight.double() / mean).to(rows.weight.dtype))


def checked_rows(data: Any, name: str, minimum: int) -> Rows:
    """``data`` as Rows of finite numbers.

    Raises:
        TypeError: ``data`` is no tensor, array or Rows.
        ValueError: Fewer than ``minimum`` rows, a value that is not finite, or weights that do not sum to more than 0.
    """
    if isinstance(data, np.ndarray):
        data = torch.as_tensor(data)
    if isinstance(data, Tensor):
        data = Rows(data)
    if not isinstance(data, Rows):
        raise TypeError(f"expected {name} data as a tensor, an array or Rows, got {type(data).__name__}")
    if data.count < minimum:
        raise ValueError(f"{name} data needs at least {minimum} rows, got {data.count}")
    for field, value in (("x", data.x), ("context", data.context), ("weight", data.weight)):
        if value is not None:
            _check_finite(value, f"{name} {field}")
    with_mean_weight_one(data, name)
    return data


def _check_finite(value: Tensor, name: str) -> None:
    finite = torch.isfinite(value)
    if bool(finite.all()):
        return
    bad = (~finite).nonzero()
    place = ", ".join(str(int(i)) for i in bad[0])
    at = f"row {int(bad[0, 0])}" if value.ndim == 1 else f"[{place}] (row {int(bad[0, 0])})"
    raise ValueError(f"{name} holds {bad.shape[0]} values that are NaN or infinite, the first at {at}")


def held_out_split(count: int, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of the rows to train on and of round(fraction N) rows to hold out, at least one."""
    if not 0 < fraction < 1:
        raise ValueError(f"expected a held-out fraction between 0 and 1, got {fraction:g}")
    held_out = max(1, round(fraction * count))
    if count - held_out < 2:
        raise ValueError(f"holding out {fraction:g} of {count} rows leaves {count - held_out} to train on")
    order = row_order(count, seed, "split")
    return order[held_out:].sort().values, order[:held_out].sort().values
