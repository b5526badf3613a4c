"""A causal convolution over the coordinates: gated dilated blocks as in WaveNet, stepped through queues."""

from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..shapes import Context, Shape, check_context
from ..spec import register
from .causal import CausalSequence, SequenceStepper, Tokens, flat_context, head
from .conditioner import Stepper


class _Block(nn.Module):
    """tanh(W_a s + V_a c) * sigmoid(W_b s + V_b c), of the taps s; what it adds to the stream, and to the skip sum."""

    def __init__(self, channels: int, context_features: int, kernel: int) -> None:
        super().__init__()
        self.taps = nn.Linear(kernel * channels, 2 * channels)
        self.context = nn.Linear(context_features, 2 * channels, bias=False) if context_features else None
        self.out = nn.Linear(channels, 2 * channels)

    def forward(self, taps: Tensor, added: Tensor | None) -> tuple[Tensor, Tensor]:
        """(..., kernel C) -> two of (..., C); `added` is what the context adds."""
        z = self.taps(taps)
        a, b = (z if added is None else z + added).chunk(2, -1)
        onward, skip = self.out(torch.tanh(a) * torch.sigmoid(b)).chunk(2, -1)
        return onward, skip


@register
class CausalConv(CausalSequence):
    r"""Dilated causal convolutions over x_1 .. x_D, whose row i reads x_<i: a WaveNet over the coordinates.

    .. math:: z = W_l * h_{l-1} + V_l c, \quad (r, s_l) = U_l [\tanh(z_a) \sigma(z_b)], \quad h_l = h_{l-1} + r, \quad
              \text{params} = W_o f(W_s f(\textstyle\sum_l s_l))

    Args:
        features: D, the length.
        num_params: P, parameters of each row.
        channels: C, the width of the stream.
        context_features: M; the context enters the tokens and every block, and every row sees it.
        kernel: Taps of each convolution, at least 2.
        dilations: Of the blocks; by default 1, kernel, kernel^2, ... until every row reads all before it. Fewer make a
            model with a memory of `memory` coordinates.
        positions: Whether rows know where they stand; False is one law for the whole of a stationary series.
        order: The coordinates in the order in which they are generated; by default 0, 1, ...

    Raises:
        ValueError: sizes below one, a kernel below two, or an order that is no permutation.

    Cost: B D L (2 kernel + 2) C^2 multiply-adds in one pass; the same in all for the stepper, which keeps queues.
    Source: van den Oord et al. (2016), arXiv:1609.03499; queues: Le Paine et al. (2016), arXiv:1611.09482.
    """

    def __init__(
        self,
        features: int,
        num_params: int,
        channels: int = 64,
        context_features: int = 0,
        *,
        kernel: int = 2,
        dilations: tuple[int, ...] | None = None,
        positions: bool = True,
        order: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(features, num_params, context_features, order)
        if channels < 1 or kernel < 2:
            raise ValueError(f"expected at least one channel and two taps, got {channels} and {kernel}")
        self.channels, self.kernel, self.positions = channels, kernel, positions
        self.dilations = _doubling(features, kernel) if dilations is None else tuple(dilations)
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"expected at least one dilation of 1 or more, got {self.dilations}")
        self.tokens = Tokens(features, channels, context_features, positions=positions)
        self.blocks = nn.ModuleList(_Block(channels, context_features, kernel) for _ in self.dilations)
        self.mix, self.head = nn.Linear(channels, channels), head(channels, num_params)

    @property
    def memory(self) -> int:
        """How many coordinates before it a row reads at most."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    def rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        """All rows in one pass."""
        h, total = self.tokens(x, context), None
        for block, dilation, added in zip(self.blocks, self.dilations, self.added(context), strict=True):
            # Tap j of position i is h of i - j dilation, and zero before the start.
            taps = [F.pad(h, (0, 0, j * dilation, 0))[:, : h.shape[1]] for j in range(self.kernel)]
            onward, skip = block(torch.cat(taps, -1), None if added is None else added[:, None])
            h, total = h + onward, skip if total is None else total + skip
        return self.read(total)

    def read(self, skip: Tensor | None) -> Tensor:
        """Parameters from the sum of skips."""
        assert skip is not None
        rows: Tensor = self.head(F.relu(self.mix(F.relu(skip))))
        return rows

    def added(self, context: Tensor | None) -> list[Tensor | None]:
        """What the context adds in each block, (N or 1, 2 C)."""
        layers = [block.context for block in self.blocks]
        return [None if context is None else layer(context) for layer in layers]  # type: ignore[operator]

    def stepper(self, batch_shape: Shape, context: Context | None = None) -> Stepper:
        """All rows one by one, each convolution evaluated once per row."""
        check_context(context, self.context_features)
        return _Queues(self, batch_shape, context)


class _Queues(SequenceStepper):
    """Each block remembers as many of its inputs as its taps reach back. Cost: one pass in all."""

    def __init__(self, network: CausalConv, batch_shape: Shape, context: Tensor | None) -> None:
        self._network, self._context = network, flat_context(context, batch_shape)
        self._added = network.added(self._context)
        lengths = [(network.kernel - 1) * dilation + 1 for dilation in network.dilations]
        self._seen: list[deque[Tensor]] = [deque(maxlen=length) for length in lengths]
        super().__init__(network.features, batch_shape)

    def next_row(self, place: int, before: Tensor | None) -> Tensor:
        """One token through all blocks."""
        network = self._network
        h, total = network.tokens.one(place, before, self._context), None
        for block, seen, dilation, added in zip(
            network.blocks, self._seen, network.dilations, self._added, strict=True
        ):
            seen.append(h)
            taps = [
                seen[-1 - j * dilation].expand_as(h) if j * dilation < len(seen) else torch.zeros_like(h)
                for j in range(network.kernel)
            ]
            onward, skip = block(torch.cat(taps, -1), added)
            h, total = h + onward, skip if total is None else total + skip
        return network.read(total)


def _doubling(features: int, kernel: int) -> tuple[int, ...]:
    """1, kernel, kernel^2, ... until the last row reads all D - 1 before it."""
    dilations = [1]
    while 1 + (kernel - 1) * sum(dilations) < features - 1:
        dilations.append(dilations[-1] * kernel)
    return tuple(dilations)
