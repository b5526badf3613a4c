"""Every conversion checks itself: the same density as the foreign model, on random inputs."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..flow import Flow
from .unsupported import Unsupported

ROWS = 64
ALLOWED = {torch.float32: 1e-4, torch.float64: 1e-9}  # of 1 + |log p|: a wrong conversion is off by far more


@torch.no_grad()
def verified(
    flow: Flow, theirs: Callable[[Tensor, Tensor | None], Tensor], *, context: Tensor | None, origin: str
) -> Flow:
    """The flow, if it scores as the foreign model does.

    Args:
        flow: The result of a conversion.
        theirs: (x, context) -> log p of the foreign model, (N, D) and (N, M) -> (N,).
        context: Random contexts, (N, M) as the user gives them, N = `ROWS`; None for a model without.
        origin: What was converted, for the message.

    Raises:
        Unsupported: log densities differ by more than rounding; both on draws of the converted flow and further out.
    """
    training = flow.training
    flow.eval()
    generator = torch.Generator().manual_seed(0)
    like = next(flow.parameters())
    given = () if context is None else (context,)
    drawn = flow.sample((ROWS,) if context is None else (), *given, generator=generator)
    around = torch.randn(drawn.shape, generator=generator, dtype=like.dtype).to(like.device)
    for x in (drawn, drawn + 0.1 * around):
        ours, other = flow.log_prob(x, *given), theirs(x, context)
        known = ours.isfinite() & other.isfinite()
        error = ((ours - other).abs() / (1 + other.abs()))[known]
        if not bool(known.any()) or float(error.max()) > ALLOWED.get(like.dtype, 1e-2):
            worst = float(error.max()) if bool(known.any()) else float("nan")
            raise Unsupported(
                origin,
                f"the converted flow scores differently (log densities differ by {worst:.2g} of their size): this is a "
                "mistake of the conversion, or the model has a part with state of its own; please report it",
            )
    return flow.train(training)
