"""Linear bijections: permutations, an LU-factored matrix, rescaling, and ActNorm."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..shapes import Context, LogDensity, Vector
from ..spec import register
from ..univariate import Line
from .bijection import Bijection, RowMaps
from .data_space import affine_rows


@register
class Permutation(Bijection):
    """x_i = u_{indices[i]}; volume preserving.

    Args:
        indices: A permutation of 0 .. D - 1.

    Raises:
        ValueError: it is not.
    """

    _indices: Tensor
    _restore: Tensor

    def __init__(self, indices: Iterable[int]) -> None:
        super().__init__()
        self.indices = tuple(int(i) for i in indices)
        self.features = len(self.indices)
        if not self.indices or sorted(self.indices) != list(range(self.features)):
            raise ValueError(f"expected a permutation of 0..{self.features - 1}, got {self.indices}")
        forward = torch.tensor(self.indices)
        self._reverses = self.indices == tuple(range(self.features - 1, -1, -1))
        self.register_buffer("_indices", forward, persistent=False)
        self.register_buffer("_restore", forward.argsort(), persistent=False)

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """u permuted, and 0."""
        self.check(u, "u", context)
        return self._move(u, self._indices), u.new_zeros(u.shape[:-1])

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """x permuted back, and 0."""
        self.check(x, "x", context)
        return self._move(x, self._restore), x.new_zeros(x.shape[:-1])

    def _move(self, v: Tensor, indices: Tensor) -> Tensor:
        return v.flip(-1) if self._reverses else v.index_select(-1, indices)  # a flip has the cheaper gradient

    @property
    def order(self) -> tuple[int, ...] | None:
        """None, unless nothing moves."""
        return () if self.indices == tuple(range(self.features)) else None

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """u itself, if nothing moves."""
        return self.forward(u, context)[0], self._rows(u)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """x itself, if nothing moves."""
        return self.inverse(x, context)[0], self._rows(x)

    def _rows(self, like: Tensor) -> RowMaps:
        if self.order is None:
            raise TypeError("a permutation mixes coordinates: its rows are not univariate maps")
        return RowMaps(Line(), like.new_empty(*like.shape, 0))


@register
class LULinear(Bijection):
    r"""x = L U u + b, with L unit lower triangular and U upper triangular of diagonal exp(log_diagonal).

    .. math:: \log\left|\frac{dx}{du}\right| = \sum_i \text{log\_diagonal}_i

    It starts as the identity. The forward is two matrix products, the inverse two triangular solves, both D^2
    multiply-adds per row; where only the normalising direction is hot (maximum likelihood), wrap it in `Inverse`.

    Source: Kingma and Dhariwal (2018), arXiv:1807.03039; Oliva et al. (2018), arXiv:1801.09819.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"expected features >= 1, got {features}")
        self.features = features
        self.lower = nn.Parameter(torch.zeros(features, features))
        self.upper = nn.Parameter(torch.zeros(features, features))
        self.log_diagonal = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """L U u + b, and the sum of the log diagonal."""
        self.check(u, "u", context)
        lower, upper = self._factors()
        return nn.functional.linear(u, lower @ upper, self.bias), self.log_diagonal.sum().expand(u.shape[:-1])

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """U^-1 L^-1 (x - b), and minus the sum of the log diagonal."""
        self.check(x, "x", context)
        lower, upper = self._factors()
        rows = (x - self.bias).reshape(-1, self.features)  # (N, D); row vectors, so the matrices act from the right
        if x.dtype in (torch.float16, torch.bfloat16):  # no triangular solve in 16 bits
            lower, upper, rows = lower.float(), upper.float(), rows.float()
        v = torch.linalg.solve_triangular(lower.mT, rows, upper=True, left=False, unitriangular=True)
        u = torch.linalg.solve_triangular(upper.mT, v, upper=False, left=False)
        return u.to(x.dtype).reshape(x.shape), -self.log_diagonal.sum().expand(x.shape[:-1])

    def _factors(self) -> tuple[Tensor, Tensor]:
        identity = torch.eye(self.features, dtype=self.lower.dtype, device=self.lower.device)
        return self.lower.tril(-1) + identity, self.upper.triu(1) + torch.diag(self.log_diagonal.exp())


class _Diagonal(Bijection):
    """x = loc + exp(log_scale) u: what `Rescale`, `DiagonalAffine` and `ActNorm` share."""

    log_scale: Tensor

    def _loc(self) -> Tensor:
        return torch.zeros_like(self.log_scale)

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """loc + exp(log_scale) u, and the sum of log_scale."""
        self.check(u, "u", context)
        return self._loc() + self.log_scale.exp() * u, self.log_scale.sum().expand(u.shape[:-1])

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """(x - loc) exp(-log_scale), and minus the sum of log_scale."""
        self.check(x, "x", context)
        return (x - self._loc()) * torch.exp(-self.log_scale), -self.log_scale.sum().expand(x.shape[:-1])

    @property
    def order(self) -> tuple[int, ...]:
        """Any order will do."""
        return ()

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """x, and the affine map of each coordinate."""
        return self.forward(u, context)[0], affine_rows(self._loc(), self.log_scale, u)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """u, and the affine map of each coordinate."""
        return self.inverse(x, context)[0], affine_rows(self._loc(), self.log_scale, x)


@register
class Rescale(_Diagonal):
    """x_i = s_i u_i with learnable s_i > 0: the last layer of NICE, without which it preserves volume.

    Source: Dinh et al. (2015), arXiv:1410.8516, section 3.3.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.log_scale = nn.Parameter(torch.zeros(features))


class _LearntDiagonal(_Diagonal):
    """The same with a learnable loc."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.loc = nn.Parameter(torch.zeros(features))
        self.log_scale = nn.Parameter(torch.zeros(features))

    def _loc(self) -> Tensor:
        return self.loc


@register
class DiagonalAffine(_LearntDiagonal):
    """x_i = loc_i + s_i u_i, learnable: an `ActNorm` without a start from data, so that fitting goes on where it is."""


@register
class ActNorm(_LearntDiagonal):
    """x_i = loc_i + s_i u_i, learnable, with a data-dependent start that is explicit: call `initialise_`, once.

    Source: Kingma and Dhariwal (2018), arXiv:1807.03039.
    """

    @torch.no_grad()
    def initialise_(self, x: Vector, context: Context | None = None) -> None:
        """Make `inverse` standardise x.

        Raises:
            ValueError: fewer than two rows, or a constant column.
        """
        mean, scale = _moments(x, self.features)
        self.loc.copy_(mean)
        self.log_scale.copy_(scale.log())

    @torch.no_grad()
    def initialise_reversed_(self, u: Vector, context: Context | None = None) -> None:
        """Make `forward` standardise u."""
        mean, scale = _moments(u, self.features)
        self.loc.copy_(-mean / scale)
        self.log_scale.copy_(-scale.log())


def _moments(x: Tensor, features: int) -> tuple[Tensor, Tensor]:
    rows = x.reshape(-1, features)
    if len(rows) < 2:
        raise ValueError(f"a data-dependent start needs at least two rows, got {len(rows)}")
    mean, scale = rows.mean(0), rows.std(0)
    if not bool((scale > 0).all()):
        raise ValueError(f"column {int((scale <= 0).nonzero()[0])} is constant: ActNorm cannot standardise it")
    return mean, scale
