"""Shapes as types: the jaxtyping aliases that every signature speaks in.

The letters are those of docs/conventions.md: D features, M context features, P parameters of a row.
Leading axes are free ("..."), because x and context broadcast against each other.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Scalars = Float[Tensor, "..."]
Vector = Float[Tensor, "... D"]
Context = Float[Tensor, "..."]
Params = Float[Tensor, "... D P"]
RowParams = Float[Tensor, "... P"]
LogDensity = Float[Tensor, "..."]
Mask = Bool[Tensor, " D"]
Shape = tuple[int, ...]  # torch.Size is one


def check_vector(x: Tensor, features: int, name: str) -> None:
    """Refuse, at the door, anything that is not (*batch, features) of floating point.

    Raises:
        TypeError: x is not a tensor of floating point.
        ValueError: the last axis does not hold `features` entries.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"expected {name} as a torch.Tensor, got a {type(x).__name__}: torch.as_tensor converts it")
    if not x.is_floating_point():
        raise TypeError(f"expected {name} in floating point, got {x.dtype}")
    if x.dim() == 0 or x.shape[-1] != features:
        raise ValueError(f"expected {name} with {features} features in its last axis, got shape {tuple(x.shape)}")


def check_context(context: Tensor | None, context_features: int) -> None:
    """Refuse a context that is missing, surplus or of the wrong width.

    Raises:
        TypeError: the context is not a tensor.
        ValueError: in the user's words, which of the three it is.
    """
    if context is not None and not isinstance(context, Tensor):
        raise TypeError(f"expected the context as a torch.Tensor, got a {type(context).__name__}")
    if context is None:
        if context_features:
            raise ValueError(f"expected a context with {context_features} features, got none")
        return
    if not context_features:
        raise ValueError(f"this model takes no context, got one of shape {tuple(context.shape)}")
    if context.dim() == 0 or context.shape[-1] != context_features:
        got = context.shape[-1] if context.dim() else 0
        raise ValueError(
            f"expected a context with {context_features} features, got {got} (shape {tuple(context.shape)})"
        )


def broadcast_batch(x: Tensor, context: Tensor | None) -> torch.Size:
    """The batch axes of x and of context, broadcast against each other.

    Raises:
        ValueError: they do not broadcast.
    """
    if context is None:
        return x.shape[:-1]
    try:
        return torch.Size(torch.broadcast_shapes(x.shape[:-1], context.shape[:-1]))
    except RuntimeError:
        raise ValueError(
            f"the batch axes of x {tuple(x.shape[:-1])} and of context {tuple(context.shape[:-1])} do not broadcast"
        ) from None


def first_violation(x: Tensor, allowed: Tensor) -> float | None:
    """A value of x where `allowed` is false; None if there is none, or if values cannot be read (compiled, vmapped).

    NaN counts as allowed: NaN in is NaN out, everywhere.
    """
    if torch.compiler.is_compiling():
        return None
    wrong = ~(allowed | x.isnan())
    try:
        return float(x.expand_as(wrong)[wrong][0]) if bool(wrong.any()) else None
    except RuntimeError:  # under torch.func.vmap no value is known
        return None


def as_shape(sample_shape: Any) -> torch.Size:
    """A sample shape as given by people: n means (n,).

    Raises:
        ValueError: a negative size.
    """
    shape = torch.Size((sample_shape,) if isinstance(sample_shape, int) else sample_shape)
    if any(size < 0 for size in shape):
        raise ValueError(f"expected sizes of 0 or more to sample, got {tuple(shape)}")
    return shape
