"""A teacher as the stages by which it turns noise into data, and what each of them did to a given point."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..autoregressive import AutoregressiveModel
from ..bases import Base, StandardLogistic, StandardNormal
from ..bijections import Autoregressive, Bijection, Chain, Inverse
from ..conditioners import Conditioner
from ..diagnostics.cdfs import family_cdf
from ..families import InterpolatedLogisticMixture, Laws, Logistic, LogisticMixture, Normal, NormalMixture
from ..flow import Flow
from ..model import Model
from ..univariate import Univariate

Stage = Bijection | AutoregressiveModel
LOGISTIC = (Logistic, LogisticMixture, InterpolatedLogisticMixture)  # families whose tails are logistic
NORMAL = (Normal, NormalMixture)


class Passage(NamedTuple):
    """What a stage did: row i turned z_i into x_i, with slope dx_i/dz_i at fixed earlier rows.

    Attributes:
        before: z, (*B, D).
        after: x, (*B, D).
        log_slope: log dx_i/dz_i, (*B, D); not finite where x lies so far out that z is infinite.
    """

    before: Tensor
    after: Tensor
    log_slope: Tensor


def stages_of(teacher: Model) -> tuple[Base, list[Stage]]:
    """The noise of a teacher, and its stages in generating order; an autoregressive model is one stage.

    Raises:
        TypeError: it is made of something else; the message names it.
    """
    if isinstance(teacher, AutoregressiveModel):
        return _noise_of(teacher), [teacher]
    if not isinstance(teacher, Flow):
        raise TypeError(_UNKNOWN.format(f"a {type(teacher).__name__}"))
    layers: list[Stage] = [*_layers(teacher.bijection)]
    if isinstance(teacher.base, Model):
        if teacher.base.context_encoder is not None:
            raise TypeError(_UNKNOWN.format("a base with a context encoder of its own"))
        base, first = stages_of(teacher.base)
        return base, [*first, *layers]
    try:
        teacher.base.rsample_and_log_prob((1,))
    except TypeError:
        raise TypeError(
            _UNKNOWN.format(f"a base, {type(teacher.base).__name__}, without reparameterised draws")
        ) from None
    return teacher.base, layers


_UNKNOWN = (
    "the teacher is made of {}: build the student yourself, for example models.iaf(features, layers=5), "
    "and append bijections.bounded where the teacher's support is not the whole line"
)


def steps_through(stage: Stage) -> bool:
    """Whether a stage generates one coordinate after the other, so that a student has to learn it."""
    return isinstance(stage, AutoregressiveModel) or _stepping(stage) is not None


def stepped_network(stage: Stage) -> Conditioner:
    """The network of a stage that steps."""
    layer = stage if isinstance(stage, AutoregressiveModel) else _stepping(stage)
    assert layer is not None
    return layer.conditioner


def generating_map(stage: Stage) -> Univariate:
    """The univariate map z_i -> x_i of a bijection that steps."""
    layer = _stepping(stage)
    assert layer is not None
    return layer.univariate.inverted


def order_of(stage: Stage) -> tuple[int, ...]:
    """The order in which a stage that steps generates the coordinates."""
    if isinstance(stage, AutoregressiveModel):
        return stage.conditioner.order
    return stage.order or tuple(range(stage.features))


@torch.no_grad()
def passage(stage: Stage, x: Tensor, context: Tensor | None) -> Passage:
    """The way back of x through a stage that steps: one parallel pass."""
    if isinstance(stage, AutoregressiveModel):
        return _through_laws(stage, x, context)
    layer = _stepping(stage)
    assert layer is not None
    z, log_slope = layer.univariate.forward(x, layer.conditioner(x, context))
    return Passage(z, x, -log_slope)


def _layers(bijection: Bijection) -> list[Bijection]:
    """In generating order, without chains and without inverses of chains."""
    if isinstance(bijection, Chain):
        return [layer for part in bijection.parts for layer in _layers(part)]  # type: ignore[arg-type]
    if isinstance(bijection, Inverse):
        inner = _layers(bijection.bijection)
        if len(inner) > 1 or inner[0] is not bijection.bijection:
            return [undone for layer in reversed(inner) for undone in _layers(_inverse(layer))]
    return [bijection]


def _inverse(layer: Bijection) -> Bijection:
    return layer.bijection if isinstance(layer, Inverse) else Inverse(layer)


def _stepping(stage: Any) -> Autoregressive | None:
    inner = stage.bijection if isinstance(stage, Inverse) else None
    return inner if isinstance(inner, Autoregressive) else None


def _noise_of(model: AutoregressiveModel) -> Base:
    """A law with the tails of the family's."""
    if isinstance(model.family, LOGISTIC):
        return StandardLogistic(model.features)
    if isinstance(model.family, NORMAL):
        return StandardNormal(model.features)
    raise TypeError(_UNKNOWN.format(f"steps whose laws are {type(model.family).__name__}"))


def _through_laws(model: AutoregressiveModel, x: Tensor, context: Tensor | None) -> Passage:
    r"""The noise of which x is the conditional quantile, z_i = F_u^{-1}(F(x_i | x_{<i})), and log p_u(z) - log p(x)."""
    laws = model.encoded_conditionals(x, context)
    assert isinstance(laws, Laws)
    level, _ = family_cdf(laws.family, x, laws.params)
    noise = _noise_of(model)
    z = torch.logit(level) if isinstance(noise, StandardLogistic) else torch.special.ndtri(level)
    log_noise = noise.to(z).log_prob_rows(z)  # type: ignore[operator]
    return Passage(z.to(x), x, log_noise.to(x) - laws.log_prob(x))
