"""Operations that ONNX lacks in double precision or computes with few digits, in terms of others that it has.

onnxruntime has no softplus in double precision; and torch's exporter writes log1p(y) as log(1 + y), expm1(y) as
exp(y) - 1 and log sigmoid as the log of a sigmoid, each of which loses the digits that it exists to keep.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_aten = torch.ops.aten


def _log1p(y: Tensor) -> Tensor:
    """The rounding of 1 + y cancels in log(w) / (w - 1); Source: Kahan, as in Higham (2002), section 1.14.1."""
    w = 1 + y
    exact = w == 1
    return torch.where(exact, y, torch.log(w) * y / torch.where(exact, torch.ones_like(w), w - 1))


def _expm1(y: Tensor) -> Tensor:
    """2 exp(y / 2) sinh(y / 2), with sinh = tanh cosh: exp(y) - 1 = tanh(y / 2) (exp(y) + 1)."""
    return torch.tanh(0.5 * y) * (torch.exp(y) + 1)


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """max(x, 0) + log1p(exp(-|x|)), of beta x over beta; torch's threshold only spares it an overflow."""
    z = beta * x
    return (torch.relu(z) + _log1p(torch.exp(-z.abs()))) / beta


def _log_sigmoid(x: Tensor) -> Tensor:
    return -_softplus(-x)


# For `ExportedProgram.run_decompositions`.
WRITTEN_OUT: dict[Any, Callable[..., Any]] = {
    _aten.log1p.default: _log1p,
    _aten.expm1.default: _expm1,
    _aten.softplus.default: _softplus,
    _aten.log_sigmoid.default: _log_sigmoid,
    _aten.log_sigmoid_forward.default: lambda x: (_log_sigmoid(x), torch.zeros_like(x)),
}
