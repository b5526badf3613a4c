"""A masked network run one row at a time, every unit evaluated once.

Units are sorted by degree. Once the coordinates at positions 0 .. k are known, exactly the units of degree k + 1 become
computable, in every layer, from a prefix of the layer below: over all rows each unmasked weight is used once.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..shapes import Context, RowParams, Scalars, Shape
from .masked_linear import MaskedLayers, MaskedLinear


class _Rows:
    """Rows that arrive in order, (units, N): a preallocated buffer, or a list of pieces where autograd needs them."""

    def __init__(self, size: int, like: Tensor, count: int) -> None:
        self._buffer = None if torch.is_grad_enabled() else like.new_empty(size, count)
        self._pieces: list[Tensor] = []
        self._filled = 0
        self._empty = like.new_empty(0, count)

    def append(self, rows: Tensor) -> None:
        if self._buffer is None:
            self._pieces.append(rows)
        else:
            self._buffer[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)

    def all(self) -> Tensor:
        """Every row so far."""
        if self._buffer is not None:
            return self._buffer[: self._filled]
        if len(self._pieces) > 1:
            self._pieces = [torch.cat(self._pieces)]
        return self._pieces[0] if self._pieces else self._empty


class _Sorted:
    """One masked layer with its units and sources sorted by degree."""

    def __init__(self, layer: MaskedLinear, rows: Tensor, columns: Tensor) -> None:
        self.weight = layer.masked_weight[rows][:, columns]
        self.bias = layer.bias[rows, None]  # (out, 1)

    def __call__(self, start: int, stop: int, source: Tensor) -> Tensor:
        """Units start .. stop from the prefix of the sources that has arrived."""
        return torch.addmm(self.bias[start:stop], self.weight[start:stop, : len(source)], source)


class MaskedStepper:
    """The stepper of a `MaskedMLP`.

    Under no_grad it writes into buffers. With gradients it keeps the pieces and joins them at every step, which costs
    memory for D partial copies of each layer.
    """

    def __init__(self, net: MaskedLayers, batch_shape: Shape, context: Context | None) -> None:
        device = net.first.weight.device
        degrees = [torch.tensor(layer, device=device) for layer in net.degrees]
        by_degree = [layer.argsort(stable=True) for layer in degrees]
        order = torch.tensor(net.order, device=device)
        self._batch_shape, self._features, self._num_params = batch_shape, len(net.order), net.num_params
        self._count = torch.Size(batch_shape).numel()
        self._activation: Callable[[Tensor], Tensor] = net.activation
        self._first = _Sorted(net.first, by_degree[0], order)
        pairs = list(zip(by_degree[1:], by_degree[:-1], strict=True))
        self._inner = [_Sorted(layer, *pair) for layer, pair in zip(net.layers, pairs, strict=True)]
        # Blocks keep the degrees of their layer; the index of the next layer is the same.
        self._outer = [_Sorted(layer, rows, rows) for layer, rows in zip(net.outer, by_degree[1:], strict=False)]
        rows = (torch.arange(net.num_params, device=device) * len(order))[None, :] + order[:, None]  # (D, P)
        self._out = _Sorted(net.out, rows.flatten(), by_degree[-1])
        self._bias = self._context_bias(net, context, by_degree[0])
        # ends[l][k]: how many units of layer l have degree <= k
        steps = torch.arange(len(net.order) + 1, device=device)
        self._ends = [
            torch.searchsorted(d[i], steps, right=True).tolist() for d, i in zip(degrees, by_degree, strict=True)
        ]
        like = net.first.weight
        self._x = _Rows(len(net.order), like, self._count)
        # The buffers that layers read: activations, and for residual blocks also the running sum.
        widths = [len(layer) for layer in net.degrees]
        self._sums = [_Rows(width, like, self._count) for width in widths] if net.outer else []
        self._active = [_Rows(width, like, self._count) for width in widths]
        self._middle = [_Rows(width, like, self._count) for width in widths[1:]]
        self._known = 0
        self._evaluate()

    def params(self) -> RowParams:
        """Parameters of the next row, (*B, P)."""
        start = self._known * self._num_params
        top = self._sums[-1] if self._outer else self._active[-1]
        return self._out(start, start + self._num_params, top.all()).t().reshape(*self._batch_shape, self._num_params)

    def push(self, value: Scalars) -> None:
        """Record that row's coordinate and evaluate the units that now can be."""
        self._x.append(value.expand(self._batch_shape).reshape(1, self._count))
        self._known += 1
        if self._known < self._features:
            self._evaluate()

    def _evaluate(self) -> None:
        """All units of degree `known`, layer by layer; the last row of x pushed has that degree."""
        k = self._known
        for layer, ends in enumerate(self._ends):
            start, stop = (ends[k - 1] if k else 0), ends[k]
            if start == stop:
                continue
            if layer == 0:
                fresh = self._first(start, stop, self._x.all())
                if self._bias is not None:
                    fresh = fresh + self._bias[start:stop]
            elif not self._outer:
                fresh = self._inner[layer - 1](start, stop, self._active[layer - 1].all())
            else:
                middle = self._middle[layer - 1]
                middle.append(self._activation(self._inner[layer - 1](start, stop, self._active[layer - 1].all())))
                below = self._sums[layer - 1].all()[start:stop]
                fresh = below + self._outer[layer - 1](start, stop, middle.all())
            if self._outer:
                self._sums[layer].append(fresh)
            self._active[layer].append(self._activation(fresh))

    def _context_bias(self, net: MaskedLayers, context: Tensor | None, rows: Tensor) -> Tensor | None:
        """What the context adds to the first layer, (units, N)."""
        if net.context is None or context is None:
            return None
        added: Tensor = net.context(context)[..., rows]
        return added.expand(*self._batch_shape, len(rows)).reshape(self._count, len(rows)).t()
