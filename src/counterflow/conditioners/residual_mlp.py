"""A multilayer perceptron of residual blocks with a context: the network of a coupling layer of nflows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..shapes import Context, broadcast_batch, check_context
from ..spec import register
from .network import elementwise


@register
class ResidualMLP(nn.Module):
    r"""Blocks that add to what they read, dense.

    .. math:: h_0 = W x + V c + b, \quad h_l = h_{l-1} + g_l(c) \odot (W_l' f(W_l f(r_l(h_{l-1})) + b_l) + b_l')

    and W_o h_L + b_o, with g = sigmoid(G c + g) if there is a context, else 1; r = a (h + s) if rescaled, else h.

    Args:
        features: Inputs, at least 1.
        outputs: Outputs.
        hidden: Width of every layer.
        blocks: L, at least 0.
        context_features: M.
        activation: f, any elementwise module without parameters.
        dropout: Probability, in the blocks, in training mode only.
        rescaled: Whether each block rescales what it reads: batch normalisation that has stopped learning.

    Source: Durkan et al. (2019), arXiv:1906.04032; the context as nflows has it.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden: int = 256,
        blocks: int = 2,
        context_features: int = 0,
        *,
        activation: nn.Module | None = None,
        dropout: float = 0.0,
        rescaled: bool = False,
    ) -> None:
        super().__init__()
        if min(features, outputs, hidden) < 1 or min(blocks, context_features) < 0:
            raise ValueError(
                f"expected at least one feature, output and hidden unit, got {features}, {outputs}, {hidden}; "
                f"blocks {blocks} and context_features {context_features} may be 0"
            )
        self.features, self.outputs, self.context_features = features, outputs, context_features
        self.hidden, self.blocks, self.dropout, self.rescaled = hidden, blocks, dropout, rescaled
        self.activation = elementwise(activation)
        self.first = nn.Linear(features + context_features, hidden)
        self.inner = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        self.outer = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(blocks))
        gates = blocks if context_features else 0
        self.gates = nn.ModuleList(nn.Linear(context_features, hidden) for _ in range(gates))
        rescaled_blocks = blocks if rescaled else 0
        self.factors = nn.ParameterList(torch.ones(hidden) for _ in range(rescaled_blocks))
        self.shifts = nn.ParameterList(torch.zeros(hidden) for _ in range(rescaled_blocks))
        self.out = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(*B, features) -> (*B, outputs)."""
        check_context(context, self.context_features)
        if context is not None:
            batch = broadcast_batch(x, context)
            x = torch.cat([x.expand(*batch, self.features), context.expand(*batch, self.context_features)], -1)
        h = self.first(x)
        for block, (inner, outer) in enumerate(zip(self.inner, self.outer, strict=True)):
            read = self.factors[block] * (h + self.shifts[block]) if self.rescaled else h
            middle = self.activation(inner(self.activation(read)))
            added = outer(F.dropout(middle, self.dropout, self.training))
            h = h + (added if context is None else added * torch.sigmoid(self.gates[block](context)))
        return self.out(h)  # type: ignore[no-any-return]
