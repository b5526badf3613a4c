"""Every conversion checks itself: the same density as the foreign model, on random inputs."""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from ..flow import Flow
from .unsupported import Unsupported

ROWS = 64
LEAST = 8  # rows of them must tell the two models apart
ALLOWED = {torch.float32: 1e-4, torch.float64: 1e-9}  # of 1 + |log p|: a wrong conversion is off by far more
LOUD = 1e-3  # rows whose log density moves by so much if x is rounded a few times over do not

Theirs = Callable[[Tensor, Tensor | None], Tensor]


@torch.no_grad()
def verified(
    flow: Flow, theirs: Theirs, *, context: Tensor | None, origin: str, weights: torch.dtype | None = None
) -> Flow:
    """The flow, if it scores as the foreign model does.

    Args:
        flow: The result of a conversion; put into evaluation mode.
        theirs: (x, context) -> log p of the foreign model, (N, D) and (N, M) -> (N,).
        context: Random contexts, (N, M) as the user gives them, N = `ROWS`; None for a model without.
        origin: What was converted, for the message.
        weights: The precision in which weights were converted, if it is another than that of the check.

    Raises:
        Unsupported: log densities differ by more than rounding, on draws of the converted flow or further out; or
            rounding alone decides them nearly everywhere.
    """
    flow.eval()
    like = next(t for t in itertools.chain(flow.parameters(), flow.buffers()) if t.is_floating_point())
    generator = torch.Generator(like.device).manual_seed(0)
    given = () if context is None else (context,)
    drawn = flow.sample((ROWS,) if context is None else (), *given, generator=generator)
    told = 0
    # A flow that has learnt nothing yet may draw wildly: standard normal points are tried as well.
    for x in (drawn, drawn + 0.1 * _noise(drawn, generator), _noise(drawn, generator)):
        other = theirs(x, context)
        nudged = theirs(x * (1 + 16 * torch.finfo(x.dtype).eps * _noise(x, generator)), context)
        told += _check(flow.log_prob(x, *given), other, nudged, ALLOWED.get(weights or x.dtype, 1e-2), origin)
    if not told and any(bool(p.isnan().any()) for p in flow.parameters()):
        raise Unsupported(origin, "there are NaN among its weights: it has no density")
    if told < LEAST:
        raise Unsupported(
            origin,
            f"rounding alone changes the log densities of all but {told} of {3 * ROWS} random inputs, so the "
            "conversion cannot check itself: the model stretches space too strongly, or for single precision",
        )
    return flow


def _check(ours: Tensor, other: Tensor, nudged: Tensor, allowed: float, origin: str) -> int:
    """Refuse log densities that differ by more than rounding, of which `nudged` is a sample; how many could tell."""
    error, rounding = ((other - values).abs() / (1 + other.abs()) for values in (ours, nudged))
    known = ours.isfinite() & other.isfinite() & (rounding < LOUD)
    if not bool(known.any()):
        return 0
    # A tenth may differ a little more: points so close to a knot that rounding puts them into the other bin.
    differ, far = ((error > bound + 16 * rounding)[known] for bound in (allowed, LOUD))
    if 10 * int(differ.sum()) > int(known.sum()) or bool(far.any()):
        raise Unsupported(
            origin,
            f"the converted flow scores differently (log densities differ by {float(error[known].max()):.2g} of their "
            "size): this is a mistake of the conversion, or the model has a part with state of its own; please report "
            "it",
        )
    return int(known.sum())


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
