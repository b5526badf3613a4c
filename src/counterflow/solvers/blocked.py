"""The blocked solver: a masked network inverted for the arithmetic of half a pass, with gradients."""

import dataclasses

import torch
from torch import Tensor

from ..conditioners import Conditioner, Programmed, is_programmed
from ..shapes import Context, Vector
from ..spec import register
from ..univariate import Univariate
from .implicit import implicit
from .kernels import kernel_for
from .masked_gradient import masked_pullback
from .parallel import CHUNK_BYTES, Network, check_fit, flattened, in_kernel, readable, shaped
from .solver import Solution, Solver
from .stepwise import Stepwise


@register
@dataclasses.dataclass(frozen=True)
class Blocked(Solver):
    r"""The exact inverse of a `MaskedMLP` or `MaskedNetwork`, every unit computed once, in one call of a kernel.

    Order and degrees are derived from the masks, so any will do: random ones, any order of columns, residual blocks,
    gates, a context. Once u_1 .. u_k are known, exactly the units of degree k are computable, in every layer; blocks of
    degrees take everything before them in one product per layer. There are D dependent steps, each of which is small.

    The kernels know the activations and univariate maps of this library (`kernels.encoding` lists them); for others,
    for 16-bit numbers and for devices without a kernel the same recursion runs in PyTorch, in chunks of
    at most 256 MiB of units. Under a transform of torch.func, torch.compile or torch.export it is `Stepwise`.

    Error: rounding.
    Cost: the unmasked half of one dense pass, and D steps of latency. Memory: for each thread a tile of 8 to 64
        samples, at most about 1.5 MiB; a context per sample adds what it makes of the units, 256 MiB at a time.
        The first call on a machine compiles the kernel, which is then kept on disk.
        The gradient costs another pass, half a pass and one product per weight; see `masked_gradient`.
    """

    def solve(
        self, conditioner: Conditioner, univariate: Univariate, x: Vector, context: Context | None = None
    ) -> Solution:
        """u with x_i = tau(u_i; params(u_<i)), and log |du/dx|; first derivatives are implicit.

        Raises:
            TypeError: the conditioner is no masked network, or computes in another precision than that of x.
            ValueError: x, the context, the map or a weight does not fit the network.
            RuntimeError: dropout is active; or a second derivative is taken.
        """
        if not is_programmed(conditioner):
            raise TypeError(
                f"Blocked reads the masks of a MaskedMLP or a MaskedNetwork, which a {type(conditioner).__name__} "
                "does not have: use Stepwise() or FixedPoint()"
            )
        if conditioner.dropout and conditioner.training:
            raise RuntimeError("dropout makes this network a different function at every call: call eval() first")
        check_fit(conditioner, univariate, x, context)
        if torch.is_autocast_enabled(x.device.type):  # the inverse is that of the network in its own precision
            with torch.autocast(x.device.type, enabled=False):
                return self.solve(conditioner, univariate, x, context)
        network = readable(conditioner, x, context)
        if network is None:
            return Stepwise().solve(conditioner, univariate, x, context)
        if not torch.is_grad_enabled():
            return _solve_network(network, conditioner, univariate, x, context)
        return implicit(conditioner, univariate, x, context, _solve, pullback=masked_pullback)


def _solve(conditioner: Conditioner, univariate: Univariate, x: Tensor, context: Tensor | None) -> Solution:
    """Without gradients."""
    assert isinstance(conditioner, Programmed)
    return _solve_network(Network(conditioner.program(), conditioner.layout), conditioner, univariate, x, context)


def _solve_network(
    network: Network, conditioner: Programmed, univariate: Univariate, x: Tensor, context: Tensor | None
) -> Solution:
    kernel = kernel_for(network.program, univariate, x)
    if kernel is None:
        return _in_chunks(conditioner, univariate, x, context)
    flat = flattened(x, context)
    u, log_det = in_kernel(kernel, network, univariate, flat, evaluate=False)
    return Solution(shaped(u, (*flat.batch, conditioner.features)), shaped(log_det, flat.batch))


def _in_chunks(conditioner: Programmed, univariate: Univariate, x: Tensor, context: Tensor | None) -> Solution:
    """The recursion in PyTorch, some samples at a time."""
    flat = flattened(x, context)
    rows = max(1, CHUNK_BYTES // (sum(conditioner.program().sizes) * x.element_size()))
    parts = [
        Stepwise().solve(
            conditioner,
            univariate,
            flat.x[start : start + rows],
            flat.context if flat.context is None or len(flat.context) == 1 else flat.context[start : start + rows],
        )
        for start in range(0, max(1, len(flat.x)), rows)
    ]
    u, log_det = (torch.cat(pieces) for pieces in zip(*(part[:2] for part in parts), strict=True))
    return Solution(shaped(u, (*flat.batch, conditioner.features)), shaped(log_det, flat.batch))
