"""Matrices of other libraries, by their factors, as linear bijections of ours."""

import torch
from torch import Tensor

from ..bijections import Bijection, Inverse, LULinear, Permutation, Reflection


@torch.no_grad()
def lu_linear(lower: Tensor, upper: Tensor, bias: Tensor | None = None) -> LULinear:
    """v -> L U v + b, from L of unit diagonal and U of positive diagonal."""
    linear = LULinear(len(lower)).to(lower)
    linear.lower.copy_(lower.tril(-1))
    linear.upper.copy_(upper.triu(1))
    linear.log_diagonal.copy_(upper.diagonal().log())
    if bias is not None:
        linear.bias.copy_(bias)
    return linear


def permuted_lu(permutation: Tensor, lower: Tensor, signs: Tensor, upper: Tensor) -> list[Bijection]:
    """The parts of v -> L' S U' P' v, first to last, that is S (S L' S) U' P' v: S is a reflection.

    Args:
        permutation: (P' v)_i = v[permutation[i]], (D,).
        lower: L', of unit diagonal, (D, D).
        signs: The diagonal of S, 1 or -1, (D,).
        upper: U', of positive diagonal, (D, D).
    """
    turned = signs[:, None] * lower * signs
    parts: list[Bijection] = [Permutation(permutation.tolist()), lu_linear(turned, upper)]
    if bool((signs < 0).any()):
        parts.append(Reflection(tuple((signs < 0).tolist())).to(lower))
    return parts


def inverted(parts: list[Bijection]) -> list[Bijection]:
    """The parts of the inverse."""
    return [_inverse(part) for part in reversed(parts)]


def _inverse(part: Bijection) -> Bijection:
    if isinstance(part, Permutation):
        return Permutation(torch.tensor(part.indices).argsort().tolist())
    if isinstance(part, Inverse):
        return part.bijection
    return part if isinstance(part, Reflection) else Inverse(part)
