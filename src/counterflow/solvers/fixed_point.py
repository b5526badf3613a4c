"""The fixed-point solver: parallel passes over all rows at once, for any conditioner."""

import dataclasses
import functools
import math

import torch
from torch import Tensor, nn

from ..conditioners import Conditioner
from ..shapes import Context, Vector, broadcast_batch, check_vector
from ..spec import register
from ..univariate import Univariate
from .implicit import implicit
from .nilpotent import Front, nilpotent_pullback, positions
from .solver import Solution, Solver


@register
@dataclasses.dataclass(frozen=True)
class FixedPoint(Solver):
    r"""Jacobi sweeps over all rows, each one parallel pass; exact after D of them, and usually done long before.

    .. math:: u \leftarrow \tau^{-1}(x; \mathrm{params}(u))

    Row k of the order reads only rows before it, so it is final after k + 1 sweeps, whatever the rest does. A sample
    stops earlier, for itself, when a sweep moves none of its coordinates by more than

    .. math:: |\Delta u_i| \le \text{tolerance} \cdot \max(1, |u_i|), \quad
              |\Delta u_i| \frac{dx_i}{du_i} \le \text{tolerance} \cdot \max(1, |x_i|)

    in the units of u and in those of x. Otherwise it runs on until all rows are final: rows that overflow or grow out
    of proportion are started again behind those that are final, and no unconverged answer is ever returned. Where
    rows depend strongly on each other that takes all D sweeps. NaN in x is NaN in u, in that row and in the rows that
    depend on it; other samples do not notice.

    Args:
        tolerance: As above, relative to values beyond 1 and absolute below, whatever the precision. Roundings of
            float32 are 1.2e-7. Zero asks for sweeps that change nothing at all.

    Raises:
        ValueError: a tolerance that is negative or not finite.

    Error: F(u) = x to the tolerance and the rounding of F, `Solution.residual` as measured. The distance to the exact u
        is that, stretched by the inverse map where it is ill-conditioned; tolerance 0 leaves the rounding alone.
    Cost: `Solution.sweeps` parallel passes, of the samples that are not done yet; at most D, or D + 2 after an
        overflow. The gradient is implicit (first order): see `nilpotent.nilpotent_pullback`.
    Source: Song et al. (2021), arXiv:2002.03629.
    """

    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"expected a finite tolerance of 0 or more, got {self.tolerance}")

    def solve(
        self,
        conditioner: Conditioner,
        univariate: Univariate,
        x: Vector,
        context: Context | None = None,
        *,
        guess: Tensor | None = None,
    ) -> Solution:
        """u with |F(u) - x| within tolerance, log |du/dx| at this u, the residual and the number of sweeps.

        Args:
            conditioner: Any; its rows read the rows before them.
            univariate: Any, defined for every x whatever its parameters.
            x: (*B, D).
            context: What the conditioner takes.
            guess: Where to start, (*B, D) or what broadcasts to it; zeros if there is none. One sweep confirms it
                if it is the solution; a bad one costs sweeps, never the answer. No gradient goes to it.

        Returns:
            The largest |F(u) - x| of the batch as residual: NaN if any sample is NaN.

        Raises:
            TypeError: the conditioner computes in another precision than that of x.
            ValueError: x, context or guess do not fit each other.
            RuntimeError: dropout is active, so that there is no one function to invert; or a transform of torch.func
                (vmap, grad, ...) is.
        """
        check_vector(x, conditioner.features, "x")
        if torch._C._are_functorch_transforms_active():
            raise RuntimeError("FixedPoint decides by values when to stop, torch.func cannot: use solver=Stepwise()")
        _refuse_dropout(conditioner)
        return implicit(
            conditioner,
            univariate,
            x,
            context,
            functools.partial(self._sweep, guess=guess),
            pullback=nilpotent_pullback,
        )

    def _sweep(
        self,
        conditioner: Conditioner,
        univariate: Univariate,
        x: Tensor,
        context: Tensor | None,
        guess: Tensor | None,
    ) -> Solution:
        batch = broadcast_batch(x, context)
        x, u = _flat(x, batch), _flat(_start(guess, x, batch), batch)
        given = None if context is None else _flat(context, batch)
        found, log_det, residual = torch.empty_like(x), torch.empty_like(x[:, 0]), torch.empty_like(x[:, 0])
        open_rows = torch.arange(len(x), device=x.device)
        front = Front(positions(conditioner, x.device), x.abs().amax(-1).clamp_min(1))
        sweeps = 0
        while len(open_rows):
            sweeps += 1
            params = conditioner(u, given)
            if params.dtype != x.dtype:
                raise TypeError(f"the conditioner computes in {params.dtype}, and x is {x.dtype}")
            fresh, log_slope = univariate.inverse(x, params)
            restarted, done, answer = front.advance(u, fresh, self._settled(u, fresh, x, log_slope))
            if bool(done.any()):
                # The pass that settles a sample was made at its answer (or reads the same rows of it): the residual
                # and the log-det there need no other one.
                reached, log_slope = univariate.forward(answer[done], params[done])
                rows = open_rows[done]
                found[rows], log_det[rows] = answer[done], -log_slope.sum(-1)
                residual[rows] = (reached - x[done]).abs().amax(-1)
                left = ~done
                open_rows, x, restarted = open_rows[left], x[left], restarted[left]
                given = None if given is None else given[left]
                front = front.select(left)
            u = restarted
        largest = float(residual.max()) if len(residual) else 0.0
        return Solution(found.reshape(*batch, found.shape[-1]), log_det.reshape(batch), largest, sweeps)

    def _settled(self, u: Tensor, fresh: Tensor, x: Tensor, log_slope: Tensor) -> Tensor:
        """Where the sweep u -> fresh moved no more than the tolerance; false for NaN."""
        change = (fresh - u).abs()
        within_u = change <= self.tolerance * u.abs().clamp_min(1)
        # To first order the sweep moved F(u) by dx/du times the change.
        within_x = change * (-log_slope).exp() <= self.tolerance * x.abs().clamp_min(1)
        return within_u & within_x


def _flat(value: Tensor, batch: torch.Size) -> Tensor:
    """(*B, K) -> (N, K), as a copy if it was repeated along some axes."""
    width = value.shape[-1]
    return value.expand(*batch, width).reshape(batch.numel(), width)


def _start(guess: Tensor | None, x: Tensor, batch: torch.Size) -> Tensor:
    if guess is None:
        return x.new_zeros(*batch, x.shape[-1])
    check_vector(guess, x.shape[-1], "the guess")
    try:
        return guess.detach().to(x).expand(*batch, x.shape[-1])
    except RuntimeError:
        raise ValueError(
            f"the batch axes of the guess {tuple(guess.shape[:-1])} do not broadcast to those of x {tuple(batch)}"
        ) from None


def _refuse_dropout(conditioner: nn.Module) -> None:
    """Dropout as torch's modules have it, or as a rate that a module keeps under the name `dropout`."""
    for part in conditioner.modules():
        rate = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
        if part.training and isinstance(rate, float) and rate > 0:
            raise RuntimeError("dropout makes this network a different function at every call: call eval() first")
