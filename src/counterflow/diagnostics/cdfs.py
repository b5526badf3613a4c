"""Distribution functions of bases and families: what turns noise into numbers between 0 and 1."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..bases import Base, DiagonalNormal, NormalMixtureBase, StandardLogistic, StandardNormal, StudentT, Uniform
from ..families import (
    Bernoulli,
    Categorical,
    DiscretisedLogisticMixture,
    Family,
    InterpolatedLogisticMixture,
    Logistic,
    LogisticMixture,
    Normal,
    NormalMixture,
)
from ..families.mixing import components_of
from ..shapes import RowParams, Scalars, Vector

_ELSE = "marginal_pit and conditional_pit need samples only"


class Step(NamedTuple):
    """P(X < x), and P(X = x), which is 0 where X is continuous."""

    below: Tensor
    at: Tensor


def base_cdf(base: Base, u: Vector) -> Vector:
    r"""P(U_i < u_i | u_<i) of every coordinate, in double precision.

    The coordinates of a mixture are not independent; its components are, so that

    .. math:: F(u_i | u_{<i}) = \sum_k r_{ik} \Phi\left(\frac{u_i - m_{ki}}{s_{ki}}\right),
              \qquad r_{ik} \propto \pi_k \prod_{j<i} N(u_j; m_{kj}, s_{kj}^2)

    Args:
        base: One of ours, or any with a method `cdf_rows(u)` of its own, (\*B, D) -> (\*B, D).
        u: The noise.

    Raises:
        TypeError: a base whose distribution function is not known.
    """
    own: Any = getattr(base, "cdf_rows", None)
    if own is not None:
        return own(u).double()  # type: ignore[no-any-return]
    v = u.double()
    match base:
        case StandardNormal():
            return _ndtr(v)
        case StandardLogistic():
            return torch.sigmoid(v)
        case Uniform():
            return ((v - base.low) / (base.high - base.low)).clamp(0, 1)
        case DiagonalNormal():
            return _ndtr((v - base.loc) * torch.exp(-base.log_scale.double()))
        case StudentT():
            return _student_t(v, base.nu.double())
        case NormalMixtureBase():
            return _mixture(v, base.logits.double(), base.loc.double(), base.log_scale.double())
    raise TypeError(
        f"the base, a {type(base).__name__}, has no distribution function here: give it a method cdf_rows(u); {_ELSE}"
    )


def family_cdf(family: Family, x: Scalars, params: RowParams) -> Step:
    r"""P(X < x) and P(X = x) under the law that the parameters name, in double precision.

    Args:
        family: One of ours, or any with a method `cdf(x, params)` of its own, which is taken for continuous.
        x: (\*B).
        params: (\*B, P).

    Raises:
        TypeError: a family whose distribution function is not known.
    """
    own: Any = getattr(family, "cdf", None)
    if own is not None:
        below: Tensor = own(x, params).double()
        return Step(below, torch.zeros_like(below))
    v, p = x.double(), params.double()
    match family:
        case Bernoulli():
            one = torch.sigmoid(p[..., 0])
            return Step((1 - one) * (v > 0), torch.where(v > 0, one, 1 - one))
        case DiscretisedLogisticMixture():
            return _levels(family, v, p)
    below = _continuous_cdf(family, v, p)
    return Step(below, torch.zeros_like(below))


def _continuous_cdf(family: Family, x: Tensor, p: Tensor) -> Tensor:
    match family:
        case Normal():
            return _ndtr((x - p[..., 0]) * torch.exp(-family.scale.log_scale(p[..., 1])))
        case Logistic():
            return torch.sigmoid((x - p[..., 0]) * torch.exp(-family.scale.log_scale(p[..., 1])))
        case NormalMixture():
            weight, z, _ = _standardised(family, x, p)
            return (weight * _ndtr(z)).sum(-1).clamp(0, 1)
        case LogisticMixture():
            weight, z, _ = _standardised(family, x, p)
            return (weight * torch.sigmoid(z)).sum(-1).clamp(0, 1)
        case InterpolatedLogisticMixture():
            weight, z, inverse = _standardised(family, x, p)
            return (weight * _smeared(z, family.step * inverse)).sum(-1).clamp(0, 1)
        case Categorical():
            return _histogram(family, x, p)
    name = type(family).__name__
    raise TypeError(f"the family {name} has no distribution function here: give it a method cdf(x, params); {_ELSE}")


def _ndtr(z: Tensor) -> Tensor:
    """The standard normal distribution function."""
    below: Tensor = torch.special.ndtr(z)
    return below


def _student_t(u: Tensor, nu: Tensor) -> Tensor:
    from scipy.special import stdtr

    return torch.from_numpy(stdtr(nu.detach().cpu().numpy(), u.cpu().numpy())).to(u.device)


def _standardised(
    family: NormalMixture | LogisticMixture | InterpolatedLogisticMixture | DiscretisedLogisticMixture,
    x: Tensor,
    params: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each component its weight, (x - mu) / s, and 1 / s."""
    log_weight, mu, raw = components_of(params)
    inverse = torch.exp(-family.scale.log_scale(raw))
    return log_weight.exp(), (x[..., None] - mu) * inverse, inverse


def _smeared(z: Tensor, width: Tensor) -> Tensor:
    """The mean of sigmoid over [z - width / 2, z + width / 2], an interval that may be very short."""
    low = z - width / 2
    # log (1 + e^b) - log (1 + e^a), which is log1p(sigmoid(a) (e^{b - a} - 1)): no cancellation where b - a is small.
    short = torch.log1p(torch.sigmoid(low) * torch.expm1(width.clamp_max(1.0)))
    zero = torch.zeros_like(z)
    long = torch.logaddexp(z + width / 2, zero) - torch.logaddexp(low, zero)
    return torch.where(width < 1, short, long) / width


def _histogram(family: Categorical, x: Tensor, params: Tensor) -> Tensor:
    place = (x - family.low) * (family.bins / (family.high - family.low))
    k = place.nan_to_num(0.0).long().clamp(0, family.bins - 1)
    p = params.softmax(-1)
    before = (p.cumsum(-1) - p).gather(-1, k[..., None]).squeeze(-1)
    return (before + p.gather(-1, k[..., None]).squeeze(-1) * (place - k)).clamp(0, 1)


def _levels(family: DiscretisedLogisticMixture, x: Tensor, params: Tensor) -> Step:
    place = ((x - family.low) / family.step).round()
    weight, z, inverse = _standardised(family, x, params)
    half = 0.5 * family.step * inverse
    low, high = ((weight * torch.sigmoid(edge)).sum(-1).clamp(0, 1) for edge in (z - half, z + half))
    low = torch.where(place <= 0, torch.zeros_like(low), low)  # the outermost levels take the tails
    high = torch.where(place >= family.levels - 1, torch.ones_like(high), high)
    return Step(low, high - low)


def _mixture(u: Tensor, logits: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
    z = (u[..., None, :] - loc) * torch.exp(-log_scale)  # (*B, D) -> (*B, K, D)
    rows = -0.5 * z * z - log_scale
    before = rows.cumsum(-1) - rows  # what the coordinates j < i say of component k
    weights = (logits[:, None] + before).softmax(-2)
    below: Tensor = (weights * _ndtr(z)).sum(-2)
    return below.clamp(0, 1)
