"""A masked multilayer perceptron (MADE), with residual blocks if asked (ResMADE)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..shapes import Context, Params, Vector, broadcast_batch, check_context, check_vector
from ..spec import register
from .conditioner import check_sizes
from .masked_linear import MaskedLinear
from .masks import Degrees, check_order, input_degrees, sorted_degrees
from .network import check_widths, elementwise
from .program import Activate, Add, Gate, Linear, Program, Shift, Step
from .programmed import Programmed


@register
class MaskedMLP(Programmed):
    r"""MADE: a multilayer perceptron whose weights are masked so that row i reads only coordinates before i.

    .. math:: h_1 = f(W_1 x + V c + b_1), \quad h_l = f(W_l h_{l-1} + b_l), \quad \text{params} = W_o h_L + b_o

    and with `residual` (ResMADE), h_1 = W_1 x + V c + b_1 without activation, then one block per further width,
    h_l = h_{l-1} + W_l' f(W_l f(h_{l-1}) + b_l) + b_l'; if gated, what is added is multiplied by sigmoid(G_l c + g_l).

    Args:
        features: D.
        num_params: P, parameters of each row.
        hidden: Widths of the hidden layers; equal ones if residual.
        context_features: M; the context enters the first layer, and every row sees it.
        residual: ResMADE instead of MADE.
        gated: The context also opens and closes each residual block, unit by unit.
        activation: Any elementwise module without parameters.
        dropout: Probability, in the hidden layers (inside the blocks if residual), in training mode only.
        order: The coordinates in the order in which they are generated; by default 0, 1, ...
        degrees: Degrees of the hidden units, one tuple per layer (the same for all if residual); by default sorted and
            evenly spread, which is what the exact inverse likes best. `random_degrees` draws those of the MADE paper.

    Raises:
        ValueError: sizes, orders or degrees that do not fit each other.

    Cost: one dense pass, B * (D H + (L - 1) H^2 + H D P) multiply-adds; twice the second term with residual blocks.
    Source: Germain et al. (2015), arXiv:1502.03509; ResMADE: Durkan and Nash (2019), arXiv:1904.05626; gates: nflows.
    """

    program_is_forward = True

    def __init__(
        self,
        features: int,
        num_params: int,
        hidden: tuple[int, ...] = (512, 512),
        context_features: int = 0,
        *,
        residual: bool = False,
        gated: bool = False,
        activation: nn.Module | None = None,
        dropout: float = 0.0,
        order: tuple[int, ...] | None = None,
        degrees: tuple[Degrees, ...] | None = None,
    ) -> None:
        super().__init__()
        check_widths(hidden)
        check_sizes(features, num_params, context_features)
        if residual and len(set(hidden)) > 1:
            raise ValueError(f"residual blocks need equal hidden widths, got {tuple(hidden)}")
        if gated and not (residual and context_features):
            raise ValueError("gates are opened by a context and belong to residual blocks: gated needs both")
        self.features, self.num_params, self.context_features = features, num_params, context_features
        self.hidden, self.residual, self.gated, self.dropout = tuple(hidden), residual, gated, dropout
        self.activation = elementwise(activation)
        self._order = tuple(range(features)) if order is None else tuple(order)
        check_order(self._order, features)
        lowest = 0 if context_features else 1
        self.degrees = (
            tuple(sorted_degrees(features, width, lowest) for width in self.hidden)
            if degrees is None
            else tuple(tuple(layer) for layer in degrees)
        )
        self._check_degrees()
        inputs = input_degrees(self._order)
        units = [torch.tensor(layer) for layer in self.degrees]
        self.first = MaskedLinear(units[0], inputs)
        self.context = nn.Linear(context_features, self.hidden[0], bias=False) if context_features else None
        pairs = zip(units[1:], units[:-1], strict=True)
        self.layers = nn.ModuleList(MaskedLinear(out, source) for out, source in pairs)
        self.outer = nn.ModuleList(MaskedLinear(out, out) for out in units[1:]) if residual else None
        gates = (nn.Sequential(nn.Linear(context_features, len(layer)), nn.Sigmoid()) for layer in self.degrees[1:])
        self.gates = nn.ModuleList(gates) if gated else None
        # Rows lie parameter by parameter, (P, D): each parameter of all rows is then contiguous.
        self.out = MaskedLinear((inputs - 1).repeat(num_params), units[-1])
        blocks = [layer for layer in self.degrees[1:] for _ in range(3)]
        between = [self.degrees[0], *blocks] if residual else list(self.degrees)
        self._settle(self._as_program().layout_by_degrees(self._order, between))
        with torch.no_grad():  # start near the maps of zero parameters, which are tame
            for parameter in self.out.parameters():
                parameter.mul_(0.1)

    @property
    def order(self) -> tuple[int, ...]:
        """The coordinates in the order in which they are generated."""
        return self._order

    def forward(self, x: Vector, context: Context | None = None) -> Params:
        """(*B, D) -> (*B, D, P) in one pass."""
        check_vector(x, self.features, "x")
        check_context(context, self.context_features)
        broadcast_batch(x, context)
        h = self.first(x)
        if self.context is not None:
            h = h + self.context(context)
        rows: Tensor = self._plain(h) if self.outer is None else self.out(self._residual(h, context))
        return rows.reshape(*rows.shape[:-1], self.num_params, self.features).transpose(-1, -2)

    def _linears(self) -> list[nn.Module]:
        return [self.first, *self.layers, *(self.outer or ()), self.out]

    def _parts(self) -> tuple[nn.Module | None, ...]:
        mine = self._modules
        lists = [*mine["layers"]._modules.values()]  # type: ignore[union-attr]
        for name in ("outer", "gates"):
            inner = mine.get(name)
            lists += [] if inner is None else inner._modules.values()
        return (*mine.values(), *lists)

    def _as_program(self) -> Program:
        steps: list[Step] = [Linear(1, 0, self.first)]
        if self.context is not None:
            steps.append(Shift(1, self.context))
        sizes, top = [self.features, self.hidden[0]], 1
        layers: list[MaskedLinear] = list(self.layers)  # type: ignore[arg-type]
        outers: list[MaskedLinear] = list(self.outer or ())  # type: ignore[arg-type]
        if not self.residual:
            steps.append(Activate(1, 1, self.activation))
            for layer in layers:
                steps += [Linear(top + 1, top, layer), Activate(top + 1, top + 1, self.activation)]
                top += 1
                sizes.append(layer.out_features)
        for block, outer in enumerate(outers):  # no zip of two lengths, which torch 2.8 cannot trace
            inner, active, middle, after = layers[block], top + 1, top + 2, top + 3
            steps += [
                Activate(active, top, self.activation),
                Linear(middle, active, inner),
                Activate(middle, middle, self.activation),
                Linear(after, middle, outer),
                *([] if self.gates is None else [Gate(after, self.gates[block])]),
                Add(after, top),
            ]
            sizes += [outer.out_features] * 3
            top = after
        steps.append(Linear(top + 1, top, self.out))
        return Program(self.features, self.num_params, (*sizes, self.out.out_features), tuple(steps))

    def _plain(self, h: Tensor) -> Tensor:
        for layer in (*self.layers, self.out):
            h = self._after_activation(layer, h)
        return h

    def _residual(self, h: Tensor, context: Tensor | None) -> Tensor:
        for block, (inner, outer) in enumerate(zip(self.layers, self.outer or (), strict=True)):
            added = self._after_activation(outer, inner(self.activation(h)))
            h = h + (added if self.gates is None else added * self.gates[block](context))
        return h

    def _after_activation(self, layer: nn.Module, h: Tensor) -> Tensor:
        """The layer of the activation of h, which nobody else reads: the commonest one works in place."""
        rectified = type(self.activation) is nn.ReLU
        if rectified and not (self.dropout and self.training):
            fresh: Tensor = layer(h, after_relu=True)
        else:
            fresh = layer(self._drop(torch.relu_(h) if rectified else self.activation(h)))
        return fresh

    def _drop(self, h: Tensor) -> Tensor:
        return F.dropout(h, self.dropout, self.training) if self.dropout else h

    def _check_degrees(self) -> None:
        if tuple(len(layer) for layer in self.degrees) != self.hidden:
            raise ValueError(f"expected degrees for hidden widths {self.hidden}, one per unit")
        if any(not 0 <= m < max(self.features, 1) for layer in self.degrees for m in layer):
            raise ValueError(f"expected degrees of hidden units in 0..{self.features - 1}")
        if self.residual and len(set(self.degrees)) > 1:
            raise ValueError("residual blocks add layers unit by unit, so all layers need the same degrees")
