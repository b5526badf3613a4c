"""The parallel direction without gradients, by the same kernels: no recursion, and half of the multiplications."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..conditioners import Conditioner, Programmed, is_programmed
from ..conditioners.program import Gate, Layout, Program, Shift
from ..shapes import Context, Vector, broadcast_batch, check_context, check_vector
from ..tracing import plain_tensors
from ..univariate import Univariate
from .kernels import Kernel, kernel_for

CHUNK_BYTES = 256 * 2**20  # of units that are in memory at once, beside a kernel's own tiles


class Network(NamedTuple):
    """A masked network as data: its program, and the layout of that."""

    program: Program
    layout: Layout


class Flat(NamedTuple):
    """x (N, D) and the context (N, M), or (1, M) where one serves all samples; the batch shape they had."""

    x: Tensor
    context: Tensor | None
    batch: torch.Size


def flattened(x: Tensor, context: Tensor | None) -> Flat:
    """One batch axis, as a view where that is possible."""
    if context is None and x.ndim == 2:
        return Flat(x, None, x.shape[:1])
    batch = broadcast_batch(x, context)
    flat = x.expand(*batch, x.shape[-1]).reshape(batch.numel(), x.shape[-1])
    if context is None:
        return Flat(flat, None, batch)
    width = context.shape[-1]
    if context.shape[:-1].numel() == 1:
        return Flat(flat, context.reshape(1, width), batch)
    return Flat(flat, context.expand(*batch, width).reshape(batch.numel(), width), batch)


def shaped(result: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A kernel's own result in another shape; not a view to autograd, so that it may be written into."""
    return result if result.shape == shape else torch.ops.aten._unsafe_view(result, shape)


def check_fit(conditioner: Conditioner, univariate: Univariate, x: Tensor, context: Tensor | None) -> None:
    """Refuse what a kernel would read past the end of.

    Raises:
        ValueError: x, context or the univariate map have other sizes than the conditioner's.
    """
    check_vector(x, conditioner.features, "x")
    check_context(context, conditioner.context_features)
    if univariate.num_params != conditioner.num_params:
        raise ValueError(
            f"{type(univariate).__name__} takes {univariate.num_params} parameters, "
            f"the conditioner gives {conditioner.num_params}"
        )


def in_kernel(
    kernel: Kernel, network: Network, univariate: Univariate, flat: Flat, *, evaluate: bool
) -> tuple[Tensor, Tensor]:
    """Values (N, D) and log-dets (N). What a context per sample adds to units is made for 256 MiB of them at a time."""
    program, layout = network
    if flat.context is None or len(flat.context) == 1:
        return kernel(program, layout, univariate, flat.x, flat.context, evaluate=evaluate)
    units = sum(program.sizes[step.target] for step in program.steps if isinstance(step, Shift | Gate))
    rows = max(1, CHUNK_BYTES // max(1, units * flat.x.element_size()))
    if len(flat.x) <= rows:
        return kernel(program, layout, univariate, flat.x, flat.context, evaluate=evaluate)
    pairs = zip(flat.x.split(rows), flat.context.split(rows), strict=True)
    parts = [kernel(program, layout, univariate, x, c, evaluate=evaluate) for x, c in pairs]
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def readable(conditioner: Programmed, x: Tensor, context: Tensor | None) -> Network | None:
    """The network as data, if a kernel may read the memory of all that a call involves."""
    if not plain_tensors(x, context):
        return None
    program = conditioner.plain_program()  # the weights are looked at where they are read
    return None if program is None else Network(program, conditioner.layout)


def evaluate(
    conditioner: Conditioner, univariate: Univariate, u: Vector, context: Context | None = None
) -> tuple[Tensor, Tensor]:
    """x_i = tau(u_i; params(u_<i)) and log |dx/du|: one parallel pass.

    A masked network runs in a kernel where there is one, nothing asks for gradients, and dropout is off.

    Raises:
        ValueError: sizes that do not fit each other.
    """
    check_fit(conditioner, univariate, u, context)
    if (
        is_programmed(conditioner)
        and not torch.is_grad_enabled()
        and not (conditioner.dropout and conditioner.training)
        and not torch.is_autocast_enabled(u.device.type)
        and (network := readable(conditioner, u, context)) is not None
    ):
        kernel = kernel_for(network.program, univariate, u)
        if kernel is not None:
            flat = flattened(u, context)
            x, log_det = in_kernel(kernel, network, univariate, flat, evaluate=True)
            return shaped(x, (*flat.batch, conditioner.features)), shaped(log_det, flat.batch)
    x, log_slope = univariate.forward(u, conditioner(u, context))
    return x, log_slope.sum(-1)
