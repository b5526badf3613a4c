"""An ordinary multilayer perceptron with a context: the network of a coupling layer."""

import itertools

import torch
from torch import Tensor, nn

from ..shapes import Context, broadcast_batch, check_context
from ..spec import register


@register
class MLP(nn.Module):
    """x, c -> W_L f(... f(W_1 x + V c + b_1)) + b_L, dense.

    Args:
        features: Inputs, 0 or more (0: a function of the context alone, or a constant).
        outputs: Outputs.
        hidden: Widths of the hidden layers.
        context_features: M.
        activation: Any elementwise module without parameters.
        dropout: Probability, in the hidden layers, in training mode only.
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden: tuple[int, ...] = (256, 256),
        context_features: int = 0,
        *,
        activation: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_widths(hidden)
        self.features, self.outputs, self.context_features = features, outputs, context_features
        self.hidden, self.dropout = tuple(hidden), dropout
        self.activation = elementwise(activation)
        widths = [features + context_features, *self.hidden, outputs]
        self.layers = nn.ModuleList()
        for source, width in itertools.pairwise(widths):
            # torch warns when it initialises a weight without entries
            layer = nn.Linear(max(source, 1), width)
            if source == 0:
                layer.weight = nn.Parameter(torch.empty(width, 0))
            self.layers.append(layer)

    def forward(self, x: Tensor, context: Context | None = None) -> Tensor:
        """(*B, features) -> (*B, outputs)."""
        check_context(context, self.context_features)
        if context is not None:
            batch = broadcast_batch(x, context)
            x = torch.cat([x.expand(*batch, self.features), context.expand(*batch, self.context_features)], -1)
        for layer in self.layers[:-1]:
            x = nn.functional.dropout(self.activation(layer(x)), self.dropout, self.training)
        return self.layers[-1](x)  # type: ignore[no-any-return]


def check_widths(hidden: tuple[int, ...]) -> None:
    """Refuse hidden widths that are not a sequence of one or more positive sizes.

    Raises:
        TypeError: a single number, say.
        ValueError: none, or one below 1.
    """
    if not isinstance(hidden, list | tuple):
        raise TypeError(f"expected the widths of the hidden layers, for example (64, 64), got {hidden!r}")
    if not hidden or min(hidden) < 1:
        raise ValueError(f"expected at least one hidden layer of positive width, got {tuple(hidden)}")


def elementwise(activation: nn.Module | None) -> nn.Module:
    """The activation, ReLU if none is given.

    Raises:
        TypeError: not a module.
        ValueError: it has parameters, which could tell units apart, works in place, is random, or mixes units.
    """
    if activation is None:
        return nn.ReLU()
    if not isinstance(activation, nn.Module):
        raise TypeError(f"expected an activation like torch.nn.Tanh(), an nn.Module, got {activation!r}")
    if list(activation.parameters()) or getattr(activation, "inplace", False):
        raise ValueError(f"expected an elementwise activation, without parameters and not in place, got {activation}")
    probe = torch.linspace(-3, 3, 7, device="cpu", dtype=torch.float64)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        whole, again = activation(probe), activation(probe)
        alone = torch.cat([activation(entry) for entry in probe.split(1)])
    if not torch.equal(whole, again):
        raise ValueError(f"{activation} is random: the network would not be one function")
    if not torch.allclose(whole, alone, rtol=1e-9, atol=1e-12):
        raise ValueError(f"{activation} mixes units: each must see its own value only")
    return activation
