"""Causal self-attention over the coordinates: a small GPT over real numbers, stepped with a key and value cache."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..shapes import Context, Shape, check_context
from ..spec import register
from .causal import CausalSequence, SequenceStepper, Tokens, flat_context, head
from .conditioner import Stepper


class _Block(nn.Module):
    """h + attention(norm(h)), then h + MLP(norm(h)), with the norms inside."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.project, self.merge = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def questions(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of T tokens, each (N, heads, T, C / heads)."""
        split = self.project(self.norms[0](h)).unflatten(-1, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (N, T, 3, heads, c) -> three of (N, heads, T, c)
        return query, key, value

    def onward(self, h: Tensor, attended: Tensor) -> Tensor:
        """The stream after this block, (N, T, C)."""
        h = h + self.merge(attended.transpose(1, 2).flatten(-2))
        added: Tensor = self.outer(F.gelu(self.inner(self.norms[1](h))))
        return h + added


@register
class CausalAttention(CausalSequence):
    r"""A transformer over x_1 .. x_D, whose row i attends to the tokens of x_<i: a GPT over real-valued sequences.

    .. math:: A = \operatorname{softmax}\left(\frac{Q K^T}{\sqrt{c}} + \text{mask}\right) V

    Args:
        features: D, the length.
        num_params: P, parameters of each row.
        width: C of the stream, divisible by `heads`.
        context_features: M; V c is added to every token, and every row sees it.
        layers: Blocks of attention and MLP.
        heads: Of the attention.
        order: The coordinates in the order in which they are generated; by default 0, 1, ...

    Raises:
        ValueError: sizes below one, a width that the heads do not divide, or an order that is no permutation.

    Cost: B L (12 D C^2 + 2 D^2 C) multiply-adds in one pass, and B heads D^2 numbers of memory per block; the same
        arithmetic in all for the stepper, which keeps keys and values.
    Source: Vaswani et al. (2017), arXiv:1706.03762; norms inside: Radford et al. (2019), GPT-2.
    """

    def __init__(
        self,
        features: int,
        num_params: int,
        width: int = 64,
        context_features: int = 0,
        *,
        layers: int = 2,
        heads: int = 4,
        order: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(features, num_params, context_features, order)
        if width < 1 or layers < 1 or heads < 1 or width % heads:
            raise ValueError(
                f"expected at least one layer and a width that the heads divide, got {layers} layers, width {width}, "
                f"{heads} heads"
            )
        self.width, self.layers, self.heads = width, layers, heads
        self.tokens = Tokens(features, width, context_features, positions=True)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), head(width, num_params)

    def rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        """All rows in one pass."""
        h = self.tokens(x, context)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        for block in self.blocks:
            query, key, value = block.questions(h)  # type: ignore[operator]
            h = block.onward(h, _attend(query, key, value, later))  # type: ignore[operator]
        return self.read(h)

    def read(self, h: Tensor) -> Tensor:
        """Parameters from the stream."""
        rows: Tensor = self.head(self.norm(h))
        return rows

    def stepper(self, batch_shape: Shape, context: Context | None = None) -> Stepper:
        """All rows one by one, each token seen once."""
        check_context(context, self.context_features)
        return _Cache(self, batch_shape, context)


def _attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(c)) V over the last two axes; written out, so that it has derivatives of every order."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    return scores.softmax(-1) @ value


class _Cache(SequenceStepper):
    """Keys and values of the tokens so far. Cost: one pass in all."""

    def __init__(self, network: CausalAttention, batch_shape: Shape, context: Tensor | None) -> None:
        self._network, self._context = network, flat_context(context, batch_shape)
        self._kept: list[tuple[Tensor, Tensor] | None] = [None] * network.layers
        super().__init__(network.features, batch_shape)

    def next_row(self, place: int, before: Tensor | None) -> Tensor:
        """One token through all blocks."""
        network = self._network
        h = network.tokens.one(place, before, self._context)[:, None]
        for level, block in enumerate(network.blocks):
            query, key, value = block.questions(h)  # type: ignore[operator]
            kept = self._kept[level]
            if kept is not None:
                # The first token may be one for all samples; it is repeated when theirs differ.
                key, value = (
                    torch.cat([old.expand(len(new), -1, -1, -1), new], 2)
                    for old, new in zip(kept, (key, value), strict=True)
                )
            self._kept[level] = key, value
            h = block.onward(h, _attend(query, key, value))  # type: ignore[operator]
        return network.read(h[:, 0])
