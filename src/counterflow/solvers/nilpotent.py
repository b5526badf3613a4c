"""The gradient of the exact inverse of any conditioner: a nilpotent iteration for its triangular system."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from ..conditioners import Conditioner
from .implicit import Gradients, Point

# A row that is not final yet may pass the sizes that belong to its sample by this factor before it is started again.
GROWTH = 1e4
# The nilpotent iteration stops when its change is below this many roundings.
ROUNDINGS = 4


class Front:
    """How many rows of each sample are final, in an iteration whose row k reads only rows before k.

    Sweep k makes row k final, whatever stood in the later rows. So a final row is kept as it is, and rows that overflow
    or grow out of proportion are put back to zero, with all rows after them. Where even the row that should become
    final is not finite, the sweep is repeated with zeros after the final rows: then no value that is not final can
    have spoilt it. Where that happens twice, all later sweeps have zeros there. So at most D + 2 sweeps are made.

    Args:
        position: Of each column in the order in which rows become final, (D).
        size: The size that belongs to each sample, (N).
        known: Rows that are final from the start.
    """

    def __init__(self, position: Tensor, size: Tensor, known: int = 0) -> None:
        self._position, self._size = position, size
        self._known = torch.full_like(size, known, dtype=torch.long)
        self._repeats = torch.zeros_like(self._known)

    def advance(self, old: Tensor, fresh: Tensor, settled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the sweep old -> fresh is worth, (N, D) each.

        Args:
            old: What the sweep was given.
            fresh: What it returned.
            settled: Where the two agree to tolerance.

        Returns:
            Where to start the next sweep; which samples are done (N); and for these the answer, which is `fresh` if
            every row is final, else `old`, which the sweep has confirmed.
        """
        position, known = self._position, self._known[:, None]
        final = position < known
        fresh = torch.where(final, old, fresh)
        none_unknown = (old.masked_fill(final, 0) == 0).all(-1)
        moves = (fresh.isfinite() | (position != known)).all(-1) | none_unknown
        confirmed = (settled | final).all(-1)
        self._repeats = self._repeats + ~moves
        self._known = self._known + moves
        known = self._known[:, None]
        complete = self._known == len(position)
        wild = ~fresh.isfinite() | ~(fresh.abs() <= self._limit(fresh)[:, None])
        tame = torch.where(wild & (position >= known), position, len(position)).amin(-1)
        tame = torch.where(~moves | (self._repeats > 1), self._known, tame)
        restarted = torch.where(position < tame[:, None], fresh, 0)
        return restarted, complete | confirmed, torch.where(complete[:, None], fresh, old)

    def select(self, rows: Tensor) -> "Front":
        """The samples of a mask (N)."""
        chosen = Front(self._position, self._size[rows])
        chosen._known, chosen._repeats = self._known[rows], self._repeats[rows]
        return chosen

    def _limit(self, fresh: Tensor) -> Tensor:
        """Beyond which a row that is not final counts as grown out of proportion, (N)."""
        final = fresh.abs().masked_fill(self._position >= self._known[:, None], 0)
        return GROWTH * torch.maximum(self._size, final.amax(-1))


def positions(conditioner: Conditioner, device: torch.device) -> Tensor:
    """The position of each column in the conditioner's order, (D)."""
    return torch.tensor(conditioner.order, device=device).argsort()


class Triangular(NamedTuple):
    r"""The system J^T v = w, J = dF/du lower triangular in the conditioner's order, F the parallel direction at u.

    Attributes:
        conditioner: Whose order it is.
        diagonal: dx_i/du_i at fixed parameters, (*B, D).
        w: Right-hand side, (*B, D).
        pull: v -> N^T v, N the strictly lower part of J: one vector-Jacobian product of the conditioner.
    """

    conditioner: Conditioner
    diagonal: Tensor
    w: Tensor
    pull: Callable[[Tensor], Tensor]


def nilpotent(system: Triangular) -> Tensor:
    r"""Solve J^T v = w by sweeps over all rows.

    .. math:: v \leftarrow (w - N^T v) / \mathrm{diag}

    N^T is strictly upper triangular, so that each sweep makes one more row final, from the last to the first.

    Error: stops when the change of a sample is at most 4 roundings of its largest entry, or when all rows are final.
    Cost: at most D - 1 vector-Jacobian products (two more where values overflow on the way); on trained networks often
        a good part of D.
    """
    features = system.w.shape[-1]
    w, diagonal = system.w.reshape(-1, features), system.diagonal.reshape(-1, features)
    v = w / diagonal
    # The last row reads no other, so it is final before the first sweep.
    front = Front(features - 1 - positions(system.conditioner, v.device), v.abs().amax(-1), known=1)
    tolerance = ROUNDINGS * torch.finfo(v.dtype).eps
    done = torch.full_like(v[:, 0], features == 1, dtype=torch.bool)
    while not bool(done.all()):
        fresh = (w - system.pull(v.reshape(system.w.shape)).reshape(v.shape)) / diagonal
        settled = (fresh - v).abs() <= tolerance * fresh.abs().amax(-1, keepdim=True)
        restarted, done, answer = front.advance(v, fresh, settled)
        # A sample that is done stays where it is, and stays done: its next sweep is this one again.
        v = torch.where(done[:, None], answer, restarted)
    return v.reshape(system.w.shape)


def nilpotent_pullback(point: Point) -> Gradients:
    """The gradients of an inverse by any conditioner.

    Cost: one parallel pass with its backward pass, one vector-Jacobian product if the loss reads the log-det, and those
        of `nilpotent`.
    """
    # What the conditioner reads and what the map is applied to are kept apart: the former gives N, the latter diag.
    read, mapped = _leaf(point.u, True), _leaf(point.u, True)
    given = None if point.context is None else _leaf(point.context, point.wants_context)
    leaves = {name: _leaf(tensor, name in point.wanted) for name, tensor in point.parameters.items()}
    with torch.enable_grad():
        params = functional_call(point.conditioner, leaves, (read, given))
        x, log_slope = point.univariate.forward(mapped, params)
    (diagonal,) = _vjp([(x, torch.ones_like(x))], [mapped])
    # l = -sum log slope
    grad_l = point.grad_log_det
    log_part = [] if grad_l is None else [(log_slope, (-grad_l)[..., None].expand_as(log_slope))]
    w = sum(_vjp(log_part, [mapped, read]), torch.zeros_like(point.u) if point.grad_u is None else point.grad_u)

    def pull(v: Tensor) -> Tensor:
        return _vjp([(x, v)], [read])[0]

    v = nilpotent(Triangular(point.conditioner, diagonal, w, pull))
    inputs = {name: leaf for name, leaf in leaves.items() if name in point.wanted}
    wanted = [*inputs.values(), *([given] if given is not None and point.wants_context else [])]
    found = _vjp([(x, -v), *log_part], wanted) if wanted else []
    of_parameters = dict(zip(inputs, found, strict=False))
    return Gradients(v, found[-1] if len(found) > len(inputs) else None, of_parameters)


def _leaf(tensor: Tensor, needed: bool) -> Tensor:
    return tensor.detach().requires_grad_(needed)


def _vjp(pairs: list[tuple[Tensor, Tensor]], inputs: list[Tensor]) -> list[Tensor]:
    """The sum of vector-Jacobian products of (output, vector) pairs; zero where an output does not read an input."""
    pairs = [(output, vector) for output, vector in pairs if output.requires_grad]
    if not pairs:
        return [torch.zeros_like(tensor) for tensor in inputs]
    outputs, vectors = zip(*pairs, strict=True)
    return list(torch.autograd.grad(outputs, inputs, vectors, retain_graph=True, materialize_grads=True))
