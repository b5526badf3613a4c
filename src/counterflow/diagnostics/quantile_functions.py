"""Quantiles of a density of one column: that of its base where it is known, pushed through the flow."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..autoregressive import AutoregressiveModel
from ..bases import Base, DiagonalNormal, NormalMixtureBase, StandardLogistic, StandardNormal, StudentT, Uniform
from ..families import Family, Logistic, LogisticMixture, Normal, NormalMixture
from ..families.mixing import components_of
from ..flow import Flow
from ..model import Model
from ..one_order import OneOrder
from ..shapes import Context, RowParams, Scalars, Vector

HALVINGS = 60  # of the interval between the components' quantiles


def base_space_quantile(model: Model | Base, level: Vector, context: Context | None = None) -> Vector:
    r"""x with P(X <= x | c) = level: the inverse of `base_space_cdf` for a single column, in double precision.

    .. math:: F_x^{-1}(p | c) = f(F_u^{-1}(p | c), c)

    since f, the map of the flow, increases.

    Args:
        model: A `Flow` or an `AutoregressiveModel`, in `eval()` mode, or a base, of one column.
        level: Between 0 and 1, (\*B, 1), in double precision.
        context: Of each.

    Raises:
        TypeError: the quantiles of the base or of the family are not known here.
        ValueError: more than one column.

    Error: rounding; of a mixture 2**-60 of the distance between the quantiles of its components.
    Cost: one forward of the flow; all rows at once.
    """
    if model.features != 1:
        raise ValueError(f"expected a density of one column, got {model.features}")
    if isinstance(model, Base):
        return _base_quantile(model, level)
    encoded = model.encode(context)
    if isinstance(model, OneOrder):
        model = model.flow
    if isinstance(model, Flow):
        u = base_space_quantile(model.base, level, encoded if model.base.context_features else None)
        given = encoded if model.bijection.context_features else None
        return model.bijection(u.to(_dtype(model)), given)[0].double()  # type: ignore[no-any-return]
    if isinstance(model, AutoregressiveModel):
        params = model.conditioner(torch.zeros_like(level, dtype=_dtype(model)), encoded)
        return _family_quantile(model.family, level[..., 0], params[..., 0, :].double())[..., None]
    raise TypeError(f"the quantiles of a {type(model).__name__} are not known")


def _base_quantile(base: Base, level: Vector) -> Vector:
    match base:
        case StandardNormal():
            return _NORMAL.quantile(level)
        case StandardLogistic():
            return torch.logit(level)
        case Uniform():
            return base.low + (base.high - base.low) * level
        case DiagonalNormal():
            return base.loc + base.log_scale.double().exp() * _NORMAL.quantile(level)
        case StudentT():
            return _student_t(level, base.nu.double())
        case NormalMixtureBase():
            weight, loc, scale = base.logits.double().softmax(-1), base.loc.double(), base.log_scale.double().exp()
            return _mixture(_NORMAL, level[..., 0], weight, loc[:, 0], scale[:, 0])[..., None]
    raise TypeError(f"the quantiles of a {type(base).__name__} are not known")


def _family_quantile(family: Family, level: Scalars, params: RowParams) -> Scalars:
    match family:
        case Normal():
            return params[..., 0] + family.scale.log_scale(params[..., 1]).exp() * _NORMAL.quantile(level)
        case Logistic():
            return params[..., 0] + family.scale.log_scale(params[..., 1]).exp() * torch.logit(level)
        case NormalMixture() | LogisticMixture():
            log_weight, loc, raw = components_of(params)
            scale = family.scale.log_scale(raw).exp()
            law = _NORMAL if isinstance(family, NormalMixture) else _LOGISTIC
            return _mixture(law, level, log_weight.exp(), loc, scale)
    raise TypeError(f"the quantiles of a {type(family).__name__} are not known")


def _student_t(level: Tensor, nu: Tensor) -> Tensor:
    from scipy.special import stdtrit

    return torch.from_numpy(stdtrit(nu.detach().cpu().numpy(), level.cpu().numpy())).to(level.device)


class _Law(NamedTuple):
    cdf: Callable[[Tensor], Tensor]
    quantile: Callable[[Tensor], Tensor]


_NORMAL, _LOGISTIC = _Law(torch.special.ndtr, torch.special.ndtri), _Law(torch.sigmoid, torch.logit)


def _mixture(law: _Law, level: Scalars, weight: Tensor, loc: Tensor, scale: Tensor) -> Scalars:
    """By bisection between the smallest and the largest quantile of the components (*B, K); it is nowhere else."""
    each = loc + scale * law.quantile(level)[..., None]
    low, high = each.amin(-1), each.amax(-1)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        under = (weight * law.cdf((middle[..., None] - loc) / scale)).sum(-1) < level
        low, high = torch.where(under, middle, low), torch.where(under, high, middle)
    return 0.5 * (low + high)


def _dtype(model: Model) -> torch.dtype:
    return next((t.dtype for t in model.state_dict().values() if t.is_floating_point()), torch.float32)
