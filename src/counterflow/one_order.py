"""A flow whose layers share one order, seen as the autoregressive model that it is."""

import dataclasses
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from .autoregressive import AutoregressiveModel
from .bases import DiagonalNormal, FactorisedBase, StandardNormal
from .bijections import Bijection, RowMaps
from .densities import Conditionals
from .families import Laws, Normal
from .flow import Flow
from .model import Given, Model
from .shapes import Context, LogDensity, Scalars, Shape, Vector, as_shape
from .shared_order import broken_order
from .univariate import Additive, Affine, Composed, Exp, Inverted, Line, Univariate


@dataclasses.dataclass(frozen=True)
class BaseLaws:
    """p(u_i) of a factorised base: the same laws whatever came before.

    Args:
        base: Gives log p(u_i) and draws of u_i.
        batch: (*B, D).
    """

    base: FactorisedBase
    batch: torch.Size

    def log_prob(self, u: Scalars, /) -> Scalars:
        """log p(u_i)."""
        return self.base.log_prob_rows(u)

    def rsample(self, sample_shape: Shape = (), /, *, generator: Generator | None = None) -> Scalars:
        """Fresh draws of every u_i."""
        return self.base.rsample_rows(torch.Size((*sample_shape, *self.batch)), generator=generator)

    def entropy(self) -> Scalars:
        """H[p(u_i)]; TypeError where there is no closed form."""
        return self.base.entropy_rows()


@dataclasses.dataclass(frozen=True)
class PushedLaws:
    """q(x_i | x_<i): the base's law of u_i given u_<i pushed through row i's univariate map, for any map.

    Args:
        base: Gives log p(u_i | u_<i) and draws of u_i.
        rows: The maps u_i -> x_i.
    """

    base: Conditionals
    rows: RowMaps

    def log_prob(self, x: Scalars, /) -> Scalars:
        """log p_u(tau^-1(x_i)) + log du_i/dx_i."""
        u, log_slope = self.rows.univariate.inverse(x, self.rows.params)
        return self.base.log_prob(u) + log_slope

    def rsample(self, sample_shape: Shape = (), /, *, generator: Generator | None = None) -> Scalars:
        """Fresh draws of u_i through the same maps: no pass of any network."""
        u = self.base.rsample(sample_shape, generator=generator)
        return self.rows.univariate.forward(u, self.rows.params)[0]

    def entropy(self) -> Scalars:
        """H[p(u_i | u_<i)] + log sigma_i, where the map is affine.

        Raises:
            TypeError: it is not; estimate -E log_prob(rsample()) instead.
        """
        form = _affine_form(self.rows.univariate, self.rows.params)
        if form is None:
            raise TypeError("the entropy of a spline's row has no closed form: average -log_prob over rsample")
        return self.base.entropy() + form.log_scale


class _AffineForm(NamedTuple):
    loc: Tensor
    log_scale: Tensor


def _identity(params: Tensor) -> _AffineForm:
    return _AffineForm(params.new_zeros(params.shape[:-1]), params.new_zeros(params.shape[:-1]))


def _affine_form(univariate: Univariate, params: Tensor) -> _AffineForm | None:
    """(loc, log scale) of a map that is affine whatever its parameters; None for the others."""
    if isinstance(univariate, Affine):
        return _AffineForm(params[..., 0], univariate.scale.log_scale(params[..., 1]))
    if isinstance(univariate, Additive):
        return _AffineForm(params[..., 0], torch.zeros_like(params[..., 0]))
    if isinstance(univariate, Line):
        return _identity(params)
    if isinstance(univariate, Inverted):
        inner = _affine_form(univariate.univariate, params)
        return None if inner is None else _AffineForm(-inner.loc * torch.exp(-inner.log_scale), -inner.log_scale)
    if not isinstance(univariate, Composed):
        return None
    loc, log_scale = _identity(params)
    for part, own in zip(univariate.parts, params.split([p.num_params for p in univariate.parts], -1), strict=True):
        step = _affine_form(part, own)
        if step is None:
            return None
        loc, log_scale = step.loc + step.log_scale.exp() * loc, log_scale + step.log_scale
    return _AffineForm(loc, log_scale)


class OneOrder(Model):
    """The conditionals of a flow whose layers share one order; made by `as_autoregressive`, shares its modules."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow.features, flow.context_features, flow.context_encoder)
        self.flow = flow

    @property
    def base(self) -> FactorisedBase | AutoregressiveModel:
        """The flow's."""
        return self.flow.base  # type: ignore[return-value]

    @property
    def order(self) -> tuple[int, ...]:
        """The coordinates in the order in which they are generated."""
        own = self.base.conditioner.order if isinstance(self.base, AutoregressiveModel) else None
        return own or self.flow.bijection.order or tuple(range(self.features))

    def encoded_log_prob(self, x: Vector, context: Context | None) -> LogDensity:
        """The flow's."""
        return self.flow.encoded_log_prob(x, context)

    def encoded_sample(self, sample_shape: Shape, context: Context | None, *, generator: Generator | None) -> Vector:
        """The flow's."""
        return self.flow.encoded_sample(sample_shape, context, generator=generator)

    def encoded_sample_given_prefix(
        self, prefix: Scalars, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> Vector:
        """The flow's."""
        return self.flow.encoded_sample_given_prefix(prefix, sample_shape, context, generator=generator)

    def encoded_rsample_and_log_prob(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, LogDensity]:
        """The flow's."""
        return self.flow.encoded_rsample_and_log_prob(sample_shape, context, generator=generator)

    def rsample_and_conditionals(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> tuple[Vector, Conditionals]:
        """x ~ q, and the laws q(x_i | x_<i) that drew it, from one pass."""
        shape = as_shape(sample_shape)
        return self.encoded_rsample_and_conditionals(shape, self.encode(context), generator=generator)

    def encoded_conditionals(self, x: Vector, context: Context | None) -> Conditionals:
        """One inverse of the flow, which yields the parameters of every row of every layer."""
        u, rows = self.flow.bijection.inverse_rows(x, _seen_by(self.flow.bijection, context))
        return _pushed(self._base_laws(u, context), rows)

    def encoded_rsample_and_conditionals(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, Conditionals]:
        """One forward of the flow, which yields the parameters of every row of every layer."""
        batch = () if context is None else context.shape[:-1]
        shape = torch.Size((*sample_shape, *batch, self.features))
        if isinstance(self.base, FactorisedBase):
            u = self.base.rsample_rows(shape, generator=generator)
        else:
            own = _seen_by(self.base, context)
            drawn = sample_shape if own is not None else shape[:-1]
            u, _ = self.base.encoded_rsample_and_log_prob(drawn, own, generator=generator)
        x, rows = self.flow.bijection.forward_rows(u, _seen_by(self.flow.bijection, context))
        return x, _pushed(self._base_laws(u, context), rows)

    def _base_laws(self, u: Tensor, context: Tensor | None) -> Conditionals:
        """p(u_i | u_<i)."""
        if isinstance(self.base, FactorisedBase):
            return BaseLaws(self.base, u.shape)
        return self.base.encoded_conditionals(u, _seen_by(self.base, context))


def _seen_by(part: Bijection | Model, context: Tensor | None) -> Tensor | None:
    return context if part.context_features else None


def _pushed(base: Conditionals, rows: RowMaps) -> Conditionals:
    """A normal law in closed form if those of the base are normal and all maps are affine; else the base pushed on."""
    form, normal = _affine_form(rows.univariate, rows.params), _normal_form(base)
    if form is None or normal is None:
        return PushedLaws(base, rows)
    loc = form.loc + form.log_scale.exp() * normal.loc
    return Laws(Normal(Exp()), torch.stack([loc, form.log_scale + normal.log_scale], -1))


def _normal_form(laws: Conditionals) -> _AffineForm | None:
    """(loc, log scale) of normal laws; None for the others."""
    if isinstance(laws, Laws) and isinstance(laws.family, Normal):
        loc, raw = laws.params.unbind(-1)
        return _AffineForm(loc, laws.family.scale.log_scale(raw))
    base = laws.base if isinstance(laws, BaseLaws) else None
    if isinstance(base, StandardNormal):
        return _AffineForm(torch.zeros_like(base.anchor.sum()), torch.zeros_like(base.anchor.sum()))
    if isinstance(base, DiagonalNormal):
        return _AffineForm(base.loc, base.log_scale)
    return None


def as_autoregressive(flow: Flow | Given) -> OneOrder | Given:
    r"""The explicit conditionals p(x_i | x_<i) of a flow whose layers all share one coordinate order.

    Row i of K composed layers is one univariate map of u_i whose parameters read only the rows before i, so
    p(x_i | x_<i) is the base's law of u_i given u_<i pushed through it, for any univariate map. The base has
    independent coordinates, or is an `AutoregressiveModel` of the same order.

    Args:
        flow: A `Flow`, or a flow `given` a context.

    Returns:
        A density with `conditionals` and `rsample_and_conditionals`; given a context, if the flow was.

    Raises:
        TypeError: the base is not factorised, or a layer breaks the order; the message names it.

    Cost: nothing here; its methods cost one pass of the flow in the direction they need.
    """
    if isinstance(flow, Given):
        model = flow.model
        if not isinstance(model, Flow):
            raise TypeError(f"expected a flow given a context, got a {type(model).__name__}")
        inner = as_autoregressive(model)
        assert isinstance(inner, OneOrder)
        return Given(inner, flow.context, flow.encoded)
    base, ordered = flow.base, flow.bijection.order
    if not isinstance(base, FactorisedBase | AutoregressiveModel):
        raise TypeError(
            f"the base, a {type(base).__name__}, has neither independent coordinates of known law nor conditionals"
        )
    broken = broken_order(flow.bijection)
    if broken is not None:
        raise TypeError(broken)
    if isinstance(base, AutoregressiveModel) and ordered and ordered != base.conditioner.order:
        raise TypeError(
            f"bijection breaks the order: it generates in the order {ordered}, the base in {base.conditioner.order}"
        )
    return OneOrder(flow)
