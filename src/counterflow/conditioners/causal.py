"""What causal networks over a sequence of coordinates share: tokens of earlier coordinates, batches, the order."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..shapes import (
    Context,
    Params,
    RowParams,
    Scalars,
    Shape,
    Vector,
    broadcast_batch,
    check_context,
    check_vector,
)
from .conditioner import Conditioner, check_sizes
from .masks import check_order


class Tokens(nn.Module):
    """Row i is told of the coordinate before it: w x_{i-1} + b + position_i, and of a start for the first.

    Args:
        features: D.
        width: C.
        context_features: M; V c is added to every token.
        positions: Whether tokens know where they stand.
    """

    def __init__(self, features: int, width: int, context_features: int, *, positions: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width) / math.sqrt(2))
        self.bias = nn.Parameter(torch.zeros(width))
        self.start = nn.Parameter(0.1 * torch.randn(width))
        self.position = nn.Parameter(0.1 * torch.randn(features, width)) if positions else None
        self.context = nn.Linear(context_features, width, bias=False) if context_features else None

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """All tokens of coordinates in their order, (N, D) -> (N, D, C)."""
        before = F.pad(x[:, :-1], (1, 0))
        first = torch.arange(x.shape[1], device=x.device)[:, None] == 0
        tokens = before[..., None] * self.weight + torch.where(first, self.start, self.bias)
        tokens = tokens if self.position is None else tokens + self.position
        return tokens if self.context is None else tokens + self.context(context)[:, None]

    def one(self, place: int, before: Tensor | None, context: Tensor | None) -> Tensor:
        """Token number `place`, of the coordinate before it, (N,) -> (N, C), or (1, C) for the start."""
        token = self.start[None] if before is None else before[:, None] * self.weight + self.bias
        token = token if self.position is None else token + self.position[place]
        return token if self.context is None else token + self.context(context)


class CausalSequence(Conditioner):
    """A conditioner that reads its coordinates as a sequence, in its order.

    Args:
        features: D.
        num_params: P.
        context_features: M.
        order: The coordinates in the order in which they are generated; by default 0, 1, ...

    Raises:
        ValueError: sizes below one, or an order that is no permutation.
    """

    def __init__(
        self, features: int, num_params: int, context_features: int, order: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        check_sizes(features, num_params, context_features)
        self.features, self.num_params, self.context_features = features, num_params, context_features
        self._order = tuple(range(features)) if order is None else tuple(order)
        check_order(self._order, features)

    @property
    def order(self) -> tuple[int, ...]:
        """The coordinates in the order in which they are generated."""
        return self._order

    @abstractmethod
    def rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        """All rows, both in the order: (N, D) and (N or 1, M) -> (N, D, P)."""

    def forward(self, x: Vector, context: Context | None = None) -> Params:
        """(*B, D) -> (*B, D, P) in one pass."""
        check_vector(x, self.features, "x")
        check_context(context, self.context_features)
        batch = broadcast_batch(x, context)
        count = math.prod(batch)  # which may be a symbol of a tracer
        plain = self._order == tuple(range(self.features))
        flat = x.expand(*batch, self.features).reshape(count, self.features)
        rows = self.rows(flat if plain else flat[:, list(self._order)], flat_context(context, batch))
        if not plain:
            rows = rows[:, sorted(range(self.features), key=self._order.__getitem__)]
        return rows.reshape(*batch, self.features, self.num_params)


class SequenceStepper(ABC):
    """A causal network run one token at a time; a subclass remembers what it has seen of the tokens so far.

    Args:
        features: D.
        batch_shape: (*B).
    """

    def __init__(self, features: int, batch_shape: Shape) -> None:
        self._features, self._batch, self._count = features, tuple(batch_shape), math.prod(batch_shape)
        self._place = 0
        self._row = self.next_row(0, None)  # the memory of the subclass is there already

    @abstractmethod
    def next_row(self, place: int, before: Tensor | None) -> Tensor:
        """The row number `place`, told the coordinate before it, (N,) -> (N or 1, P); remembers that token."""

    def params(self) -> RowParams:
        """Parameters of the next row, (*B, P)."""
        return self._row.expand(self._count, -1).reshape(*self._batch, self._row.shape[-1])

    def push(self, value: Scalars) -> None:
        """That row's coordinate; the row after it is next."""
        self._place += 1
        if self._place < self._features:
            self._row = self.next_row(self._place, value.expand(self._batch).reshape(self._count))


def flat_context(context: Tensor | None, batch: Shape) -> Tensor | None:
    """One context per sample, (N, M), or (1, M) if it is the same for all; None for none."""
    if context is None:
        return None
    width = context.shape[-1]
    if math.prod(context.shape[:-1]) == 1:
        return context.reshape(1, width)
    return context.expand(*batch, width).reshape(math.prod(batch), width)


def head(width: int, num_params: int) -> nn.Linear:
    """The last layer, which starts near the maps of zero parameters, which are tame."""
    layer = nn.Linear(width, num_params)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.1)
    return layer
