"""Sampling the rest of a row whose first coordinates are known, for bijections whose layers share one order."""

import torch
from torch import Generator, Tensor

from .bases import FactorisedBase
from .bijections import Bijection, Chain, Inverse
from .shapes import Context, Shape, Vector, broadcast_batch
from .shared_order import broken_order


def sample_given_prefix(
    base: torch.nn.Module,
    bijection: Bijection,
    prefix: Tensor,
    shape: Shape,
    context: Context | None,
    *,
    generator: Generator | None,
) -> Vector:
    r"""Draws of x = f(u, c) given the coordinates of x that come first in the order.

    .. math:: x_{<k} \text{ given}, \qquad u_{<k} = f^{-1}(x)_{<k}, \qquad u_{\ge k} \sim p_u, \qquad x = f(u, c)

    Row i of f and of its inverse reads rows up to i only, so the prefix alone fixes its noise, and the noise of
    the other coordinates, independent under the base, is drawn afresh.

    Args:
        base: The law of u; must be factorised.
        bijection: f.
        prefix: (*P, k), with 0 <= k <= D.
        shape: The sample shape.
        context: Encoded, (*C, M), or None.
        generator: Of the draws.

    Returns:
        (*shape, *batch, D), batch the broadcast of *P and *C; the prefix stands in it bit for bit.

    Raises:
        TypeError: the base is not factorised.
        ValueError: the layers do not share one order, with the name of the first that breaks it; or the batch axes do
            not broadcast.

    Cost: an inverse over the batch of the prefix, a forward over that of the context, and a forward of all draws.
    """
    if not isinstance(base, FactorisedBase):
        raise TypeError(
            f"the base, a {type(base).__name__}, has no independent coordinates: those that follow a prefix "
            "cannot be drawn on their own"
        )
    broken = broken_order(bijection)
    if broken is not None:
        raise ValueError(f"{broken}; sampling given a prefix needs layers that share one order")
    features, k = bijection.features, prefix.shape[-1]
    batch = broadcast_batch(prefix, context)
    first = torch.tensor((bijection.order or tuple(range(features)))[:k], dtype=torch.long, device=prefix.device)
    # All D coordinates are drawn, so that the same generator gives the same rest whatever the prefix, as `sample` does.
    u = base.rsample_rows(torch.Size((*shape, *batch, features)), generator=generator)
    noise = _noise_of_prefix(base, bijection, prefix.expand(*batch, k), first, context) if k else prefix
    x = bijection(_with(noise, first, u), context)[0]
    return _with(prefix, first, x)


def _noise_of_prefix(
    base: FactorisedBase, bijection: Bijection, prefix: Tensor, first: Tensor, context: Tensor | None
) -> Tensor:
    """u_<k of x_<k, layer by layer, (*batch, k) -> (*batch, k).

    Each layer is inverted at rows whose unknown entries do not matter; they are taken from a draw of the flow as it
    passes that layer, because a layer may refuse values outside its image. Taken afresh at each layer, they
    stay of ordinary size however strange the prefix.
    """
    steps = _steps(bijection)
    own = [context if step.context_features else None for step in steps]
    # A generator of its own: these entries are not part of the result.
    generator = torch.Generator(device=base.anchor.device).manual_seed(0)
    v = base.rsample_rows(torch.Size((bijection.features,)), generator=generator)
    images = []
    for step, c in zip(steps, own, strict=True):
        v = step(v, c)[0]
        # An entry that overflowed would turn the zeros of a masked weight into NaN.
        v = torch.where(v.isfinite(), v, torch.zeros_like(v))
        images.append(v)
    for step, c, image in zip(reversed(steps), reversed(own), reversed(images), strict=True):
        prefix = step.inverse(_with(prefix, first, image), c)[0].index_select(-1, first)
    return prefix


def _with(prefix: Tensor, first: Tensor, rest: Tensor) -> Tensor:
    """Rows with the coordinates `first` from `prefix` and the others from `rest`; batch axes broadcast."""
    batch = torch.broadcast_shapes(prefix.shape[:-1], rest.shape[:-1])
    return rest.expand(*batch, -1).index_copy(-1, first, prefix.expand(*batch, -1))


def _steps(bijection: Bijection, *, reverse: bool = False) -> list[Bijection]:
    """The layers in the order in which `forward`, or its reverse, runs them."""
    if isinstance(bijection, Inverse):
        return _steps(bijection.bijection, reverse=not reverse)
    if not isinstance(bijection, Chain):
        return [Inverse(bijection) if reverse else bijection]
    parts = [_steps(part, reverse=reverse) for part in bijection.parts]  # type: ignore[arg-type]
    return [step for part in (reversed(parts) if reverse else parts) for step in part]
