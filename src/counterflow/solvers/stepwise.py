"""The stepwise solver: one coordinate after the other, through the conditioner's stepper."""

import dataclasses

import torch

from ..conditioners import Conditioner
from ..shapes import Context, Vector, broadcast_batch
from ..spec import register
from ..univariate import Univariate
from .solver import Solution, Solver


@register
@dataclasses.dataclass(frozen=True)
class Stepwise(Solver):
    """Exact in D dependent steps; differentiable through every step.

    Cost: that of the stepper. A `MaskedMLP` evaluates each of its units once: the unmasked half of one parallel pass.
    """

    def solve(
        self, conditioner: Conditioner, univariate: Univariate, x: Vector, context: Context | None = None
    ) -> Solution:
        """u_i = tau^-1(x_i; params(u_<i)), i in the conditioner's order."""
        batch = broadcast_batch(x, context)
        columns = x.expand(*batch, conditioner.features).unbind(-1)
        stepper = conditioner.stepper(batch, context)
        solved: list[torch.Tensor] = [x.new_empty(0)] * conditioner.features
        log_det = x.new_zeros(batch)
        for i in conditioner.order:
            params = stepper.params()
            if params.dtype != x.dtype:
                raise TypeError(f"the conditioner computes in {params.dtype}, and x is {x.dtype}")
            # The stepper has seen u_<i and nothing else, so these parameters are final.
            solved[i], log_slope = univariate.inverse(columns[i], params)
            log_det = log_det + log_slope
            stepper.push(solved[i])
        return Solution(torch.stack(solved, -1), log_det)
