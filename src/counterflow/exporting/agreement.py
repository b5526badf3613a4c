"""Whether an exported program gives what the flow gives, from the same noise."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..flow import Flow
from .problem import ExportProblem
from .program import rows_of
from .sampler import Sampler

TOLERANCE = 1e-5
ROWS = (1000, 1)  # of the batches that are tried; the first one tells how large values are
Run = Callable[..., tuple[Tensor, ...]]


def largest_difference(flow: Flow, sampler: Sampler, run: Run, context: Tensor | None) -> float:
    """Between a program and the flow itself, on noise of its law, at batches of 1,000 rows and of one.

    Args:
        flow: Draws by its own methods.
        sampler: Of the flow; gives log q.
        run: The program, (noise[, context]) -> (x[, log_prob]).
        context: Some, if the flow takes one.

    Returns:
        The largest relative difference, see `difference`.

    Raises:
        ExportProblem: a shape or a precision differs, or a number by more than 1e-5.
    """
    largest, sizes = 0.0, None
    for rows in ROWS:
        given = () if context is None else (rows_of(context, rows),)
        noise = sampler.noise.sample(rows, generator=torch.Generator().manual_seed(rows))
        expected = _expected(flow, sampler, rows, given, noise)
        found = run(noise, *given)
        if [(t.shape, t.dtype) for t in found] != [(t.shape, t.dtype) for t in expected]:
            shapes = [tuple(t.shape) for t in found]
            raise ExportProblem(f"the exported program gives {shapes} for a batch of {rows}: nothing was written")
        sizes = sizes or [root_mean_square(t) for t in expected]
        largest = max(largest, *map(difference, expected, found, sizes))
    if not largest <= TOLERANCE:
        raise ExportProblem(
            f"the exported program differs from the flow by {largest:.1e} of a value, more than {TOLERANCE:g}: nothing "
            "was written. A flow that needs more digits than it has may agree in double precision: flow.double()"
        )
    return largest


def difference(expected: Tensor, found: Tensor, size: Tensor) -> float:
    """The largest |a - b| / max(|a|, size); infinite where only one of the two is finite.

    Args:
        expected: a, (B, ...).
        found: b.
        size: What counts as one, of each column: a number near zero has no more digits than its column.
    """
    a, b = expected.double(), found.double()
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()):
        return float("inf")
    a, b = torch.where(finite, a, 0.0), torch.where(finite, b, 0.0)
    return float(((a - b).abs() / torch.maximum(a.abs(), size)).max())


def root_mean_square(values: Tensor) -> Tensor:
    """Of each column, over the rows that are finite; above zero."""
    finite = torch.where(values.isfinite(), values.double(), 0.0)
    return finite.square().mean(0).sqrt().clamp_min(torch.finfo(torch.float32).tiny)


def _expected(flow: Flow, sampler: Sampler, rows: int, given: tuple[Tensor, ...], noise: Tensor) -> tuple[Tensor, ...]:
    """The flow's own draw, by the same random stream as the noise; log q at it by the sampler's formula."""
    generator = torch.Generator().manual_seed(rows)
    # With gradients recorded the flow runs as plain PyTorch: no kernel has to be compiled for two batches.
    with torch.enable_grad():
        shape = torch.Size(() if given else (rows,))
        x = flow.encoded_sample(shape, flow.encode(given[0] if given else None), generator=generator).detach()
    if not sampler.log_prob:
        return (x,)
    return x, sampler(noise, *given)[1]
