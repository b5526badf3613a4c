"""Reflections: some coordinates change their sign."""

import torch
from torch import Tensor

from ..shapes import Context, LogDensity, Vector
from ..spec import register
from .bijection import Bijection


@register
class Reflection(Bijection):
    """x_i = -u_i where `reflected`, else u_i; volume preserving. Around an `LULinear` it makes any sign of determinant.

    Args:
        reflected: For each coordinate whether its sign changes.

    Raises:
        ValueError: no coordinates.
    """

    _signs: Tensor

    def __init__(self, reflected: tuple[bool, ...]) -> None:
        super().__init__()
        self.reflected = tuple(bool(r) for r in reflected)
        self.features = len(self.reflected)
        if not self.reflected:
            raise ValueError("expected at least one coordinate")
        self.register_buffer("_signs", torch.tensor([-1.0 if r else 1.0 for r in self.reflected]), persistent=False)

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """The reflected u, and 0."""
        self.check(u, "u", context)
        return u * self._signs, u.new_zeros(u.shape[:-1])

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """The reflected x, and 0."""
        self.check(x, "x", context)
        return x * self._signs, x.new_zeros(x.shape[:-1])
