"""Solvers: the inverse of an autoregressive map."""

from .solver import Solution, Solver
from .stepwise import Stepwise

__all__ = ["Solution", "Solver", "Stepwise"]
