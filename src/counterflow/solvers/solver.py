"""The contract of a solver: the inverse of x_i = tau(u_i; params(u_<i)), for u."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from ..conditioners import Conditioner
from ..shapes import Context, Vector
from ..univariate import Univariate


class Solution(NamedTuple):
    """What a solver found.

    Attributes:
        u: The solution, (*B, D).
        log_det: log |du/dx|, (*B).
        residual: Largest |F(u) - x|; None for a direct solver, which is exact to rounding.
        sweeps: Parallel passes used; None for a direct solver.
    """

    u: Tensor
    log_det: Tensor
    residual: float | None = None
    sweeps: int | None = None


class Solver(ABC):
    """A frozen value that says how to solve; it keeps nothing between calls."""

    @abstractmethod
    def solve(
        self, conditioner: Conditioner, univariate: Univariate, x: Vector, context: Context | None = None
    ) -> Solution:
        """u with x_i = tau(u_i; params(u_<i)), and log |du/dx|."""
