"""The product with a masked weight that skips most of the masked half, with its gradients."""

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

# Found by timing on one thread: lower steps skip more of the masked half, but run below the machine's rate, sooner
# where the rows are few or read little.
_FEW_ROWS, _FEW_COLUMNS = 512, 128
_LOW, _MIDDLE, _HIGH = 32, 64, 128  # rows of a step
_ALIGNED = 16
_WORTH_STEPPING = 0.9  # steps that read more than this part of the weight gain nothing
_WORTH_SORTING = 0.1  # of the weight, which sorting has to save to pay for moving rows
_LEAST_WORK = 20_000_000  # multiply-adds of the dense product below which the steps cost more than they save


@dataclasses.dataclass(frozen=True, eq=False)
class Staircase:
    """What each run of rows of a masked weight reads, once its rows and columns are sorted by degree.

    This is structure only. Nothing computed from a weight is kept, so nothing can be stale.

    Attributes:
        rows: The rows in sorted order; None where they are not sorted because they lie well enough.
        columns: The columns in sorted order; None where they lie so.
        heights: Rows of each step.
        reads: How many of the first columns the rows of that step read at most.
    """

    rows: Tensor | None
    columns: Tensor | None
    heights: tuple[int, ...]
    reads: tuple[int, ...]

    def sort(self, weight: Tensor) -> Tensor:
        """The weight with its rows and columns in sorted order."""
        return _select(_select(weight, 0, self.rows), 1, self.columns)

    def unsort(self, weight: Tensor) -> Tensor:
        """Undo `sort`."""
        return _select(_select(weight, 0, _inverse(self.rows)), 1, _inverse(self.columns))


def staircase(out_degrees: Tensor, in_degrees: Tensor) -> Staircase | None:
    """The staircase of the mask out_degrees[r] >= in_degrees[c], or None where too little is masked to gain from it."""
    if out_degrees.is_meta or in_degrees.is_meta:  # sizes without values
        return None
    out_degrees, in_degrees = out_degrees.cpu(), in_degrees.cpu()
    columns = in_degrees.argsort(stable=True)
    reads = torch.searchsorted(in_degrees[columns], out_degrees, right=True)  # of each row
    rows = reads.argsort(stable=True)
    size, width = len(out_degrees) * len(in_degrees), len(in_degrees)
    as_they_lie, in_order = _steps(reads.tolist(), width), _steps(reads[rows].tolist(), width)
    sorting = _cost(as_they_lie) > _cost(in_order) + _WORTH_SORTING * size
    steps = in_order if sorting else as_they_lie
    if _cost(steps) > _WORTH_STEPPING * size:
        return None
    heights, most = zip(*steps, strict=True)
    return Staircase(_unless_sorted(rows) if sorting else None, _unless_sorted(columns), heights, most)


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether to run the steps: plain CPU tensors in full precision, none of torch's transforms, and enough work.

    Everything else is for the dense product, which torch can trace, batch, cast and differentiate in its own ways.
    """
    if torch.compiler.is_compiling() or _transformed() or torch._C._get_tracing_state() is not None:
        return False
    return (
        type(x) is Tensor
        and type(weight) in {Tensor, torch.nn.Parameter}
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype
        and weight.dtype in {torch.float32, torch.float64}
        and x.shape[-1:] == weight.shape[-1:]
        and x.numel() * len(weight) >= _LEAST_WORK
        and not torch.is_autocast_enabled("cpu")
    )


def staircase_linear(x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, stairs: Staircase) -> Tensor:
    r"""y = (W * mask) x + b, where each step of rows reads no more columns than it may.

    .. math:: y_{[r, r')} = (W \odot M)_{[r, r'), [0, c)} \, x_{[0, c)} + b_{[r, r')}

    The same steps make the gradients. Those that will be differentiated themselves (`create_graph`), or that torch
    batches, come from the dense formula.

    Args:
        x: (*B, in).
        weight: W, (out, in).
        bias: b, (out,).
        mask: 1 or 0, (out, in).
        stairs: The `staircase` of the mask.

    Returns:
        (*B, out).

    Cost: with k steps of equal height about (k + 1) / 2k of the dense product, for the value and for each gradient.
    """
    return _StaircaseLinear.apply(x, weight, bias, (mask, stairs))  # type: ignore[no-any-return, no-untyped-call]


def rectified_staircase_linear(z: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, stairs: Staircase) -> Tensor:
    """y = (W * mask) relu(z) + b. Overwrites z by relu(z); saves a pass over memory in each direction."""
    y, _ = _RectifiedStaircaseLinear.apply(z, weight, bias, (mask, stairs))  # type: ignore[no-untyped-call]
    return y  # type: ignore[no-any-return]


class _StaircaseLinear(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, shape: tuple[Tensor, Staircase]) -> Tensor:
        ctx.mask, ctx.stairs = shape
        masked = weight * ctx.mask
        ctx.save_for_backward(x, weight, masked)
        return _product(x, masked, bias, ctx.stairs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, masked = ctx.saved_tensors
        if _differentiated_or_batched(g):
            return *_dense_gradients(g, x, weight, ctx.mask), None
        return *_gradients(ctx, g, x, masked), None


class _RectifiedStaircaseLinear(Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, weight: Tensor, bias: Tensor, shape: tuple[Tensor, Staircase]
    ) -> tuple[Tensor, Tensor]:
        ctx.mask, ctx.stairs = shape
        h, masked = torch.relu_(z), weight * ctx.mask
        ctx.mark_dirty(z)
        ctx.save_for_backward(h, weight, masked)
        ctx.set_materialize_grads(False)  # h has a gradient only in the graph of a second derivative
        return _product(h, masked, bias, ctx.stairs), h

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, of_h: Tensor | None) -> tuple[Tensor | None, ...]:
        h, weight, masked = ctx.saved_tensors
        if g is None:
            return None if of_h is None else of_h * (h > 0), None, None, None
        if of_h is not None or _differentiated_or_batched(g):
            through, of_weight, of_bias = _dense_gradients(g, h, weight, ctx.mask)
            return (through if of_h is None else through + of_h) * (h > 0), of_weight, of_bias, None
        of_z, *others = _gradients(ctx, g, h, masked)
        if of_z is not None:  # made here and seen by nobody yet, so the derivative of relu works in place on it
            torch.ops.aten.threshold_backward.grad_input(of_z, h, 0, grad_input=of_z)
        return of_z, *others, None


def _gradients(ctx: Any, g: Tensor, x: Tensor, masked: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of x, weight and bias that are needed, by the steps."""
    of_x, of_weight, of_bias, _ = ctx.needs_input_grad
    stairs: Staircase = ctx.stairs
    flat = g.reshape(-1, len(masked)).contiguous()
    in_order = _select(flat, 1, stairs.rows)
    return (
        _input_gradient(in_order, masked, stairs).reshape(x.shape) if of_x else None,
        _weight_gradient(in_order, x.reshape(-1, x.shape[-1]), ctx.mask, stairs) if of_weight else None,
        flat.sum(0) if of_bias else None,
    )


def _product(x: Tensor, masked: Tensor, bias: Tensor, stairs: Staircase) -> Tensor:
    """(*B, in) -> (*B, out), into one result that is nobody's view, so that an activation may work in place on it."""
    flat = _select(x.reshape(-1, x.shape[-1]), 1, stairs.columns)
    result = x.new_empty(*x.shape[:-1], len(masked))
    y = result.view(-1, len(masked))
    back = _inverse(stairs.rows)
    into = y if back is None else torch.empty_like(y)
    into.copy_(_select(bias, 0, stairs.rows))
    parts = zip(into.split(stairs.heights, 1), stairs.sort(masked).t().split(stairs.heights, 1), strict=True)
    for (rows, weight), reads in zip(parts, stairs.reads, strict=True):
        rows.addmm_(flat.narrow(1, 0, reads), weight.narrow(0, 0, reads))
    if back is not None:
        torch.index_select(into, 1, back, out=y)
    return result


def _input_gradient(g: Tensor, masked: Tensor, stairs: Staircase) -> Tensor:
    """(N, out) with sorted rows -> (N, in): each step adds to the columns that it reads."""
    masked = stairs.sort(masked)
    gradient = g.new_empty(len(g), masked.shape[1])
    parts = zip(stairs.reads, g.split(stairs.heights, 1), masked.split(stairs.heights), strict=True)
    (most, rows, weight), *others = sorted(parts, key=lambda part: -part[0])
    torch.mm(rows, weight.narrow(1, 0, most), out=gradient.narrow(1, 0, most))
    gradient[:, most:] = 0
    for reads, rows, weight in others:
        gradient.narrow(1, 0, reads).addmm_(rows, weight.narrow(1, 0, reads))
    return _select(gradient, 1, _inverse(stairs.columns))


def staircase_weight_gradient(g: Tensor, x: Tensor, mask: Tensor, stairs: Staircase) -> Tensor:
    """dL/dW from dL/dy (N, out) and x (N, in)."""
    return _weight_gradient(_select(g.contiguous(), 1, stairs.rows), x, mask, stairs)


def _weight_gradient(g: Tensor, x: Tensor, mask: Tensor, stairs: Staircase) -> Tensor:
    """(N, out) with sorted rows, (N, in) -> (out, in): each step fills the columns that it reads."""
    x = _select(x, 1, stairs.columns)
    gradient = g.new_zeros(mask.shape)
    parts = zip(stairs.reads, g.t().split(stairs.heights), gradient.split(stairs.heights), strict=True)
    for reads, rows, block in parts:
        torch.mm(rows, x.narrow(1, 0, reads), out=block.narrow(1, 0, reads))
    return stairs.unsort(gradient).mul_(mask)


def _dense_gradients(g: Tensor, x: Tensor, weight: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weight and bias, by operations that torch differentiates and batches."""
    flat = g.reshape(-1, len(weight))
    return g @ (weight * mask), (flat.t() @ x.reshape(-1, x.shape[-1])) * mask, flat.sum(0)


def _transformed() -> bool:
    """Whether one of torch.func's transforms, or forward-mode differentiation, is at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _differentiated_or_batched(g: Tensor) -> bool:
    """Whether the backward pass has to be made of operations that torch can differentiate and batch."""
    return (
        torch.is_grad_enabled() or _transformed() or not torch._C._has_storage(g)
    )  # one of `is_grads_batched` has none


def _steps(reads: list[int], width: int) -> list[tuple[int, int]]:
    """(height, reads) of each step: the runs in which rows read ever more, cut at about equal heights."""
    count = len(reads)
    height = _LOW if count < _FEW_ROWS else _HIGH if width <= _FEW_COLUMNS else _MIDDLE
    ends = [*(row for row in range(1, count) if reads[row] < reads[row - 1]), count]
    steps = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        pieces = max(1, round((end - begin) / height))
        cuts = [begin + _ALIGNED * round(k * (end - begin) / pieces / _ALIGNED) for k in range(pieces)]
        steps += [(stop - start, reads[stop - 1]) for start, stop in zip(cuts, [*cuts[1:], end], strict=True)]
    return steps


def _cost(steps: list[tuple[int, int]]) -> int:
    """Multiply-adds per sample, where a step of few rows costs what a low one does."""
    return sum(max(height, _LOW) * reads for height, reads in steps)


def _unless_sorted(index: Tensor) -> Tensor | None:
    return None if torch.equal(index, torch.arange(len(index))) else index


def _inverse(index: Tensor | None) -> Tensor | None:
    return None if index is None else index.argsort()


def _select(x: Tensor, axis: int, index: Tensor | None) -> Tensor:
    return x if index is None else x.index_select(axis, index)
