"""Solvers: the inverse of an autoregressive map."""

from .blocked import Blocked
from .fixed_point import FixedPoint
from .parallel import evaluate
from .solver import Solution, Solver
from .stepwise import Stepwise

__all__ = ["Blocked", "FixedPoint", "Solution", "Solver", "Stepwise", "evaluate"]
