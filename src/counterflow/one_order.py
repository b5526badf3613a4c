"""A flow whose layers share one order, seen as the autoregressive model that it is."""

import dataclasses
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from .bases import DiagonalNormal, FactorisedBase, StandardNormal
from .bijections import RowMaps
from .densities import Conditionals
from .families import Laws, Normal
from .flow import Flow
from .model import Given, Model
from .shapes import Context, LogDensity, Scalars, Shape, Vector, as_shape
from .shared_order import broken_order
from .univariate import Additive, Affine, Composed, Exp, Inverted, Line, Univariate


@dataclasses.dataclass(frozen=True)
class PushedLaws:
    """q(x_i | x_<i): the base's law of u_i pushed through row i's univariate map, for any map.

    Args:
        base: Gives log p(u_i) and draws of u_i.
        rows: The maps u_i -> x_i.
    """

    base: FactorisedBase
    rows: RowMaps

    def log_prob(self, x: Scalars, /) -> Scalars:
        """log p_u(tau^-1(x_i)) + log du_i/dx_i."""
        u, log_slope = self.rows.univariate.inverse(x, self.rows.params)
        return self.base.log_prob_rows(u) + log_slope

    def rsample(self, sample_shape: Shape = (), /, *, generator: Generator | None = None) -> Scalars:
        """Fresh draws of u_i through the same maps: no pass of any network."""
        shape = torch.Size((*sample_shape, *self.rows.params.shape[:-1]))
        return self.rows.univariate.forward(self.base.rsample_rows(shape, generator=generator), self.rows.params)[0]

    def entropy(self) -> Scalars:
        """H[p(u_i)] + log sigma_i, where the map is affine.

        Raises:
            TypeError: it is not; estimate -E log_prob(rsample()) instead.
        """
        form = _affine_form(self.rows.univariate, self.rows.params)
        if form is None:
            raise TypeError("the entropy of a spline's row has no closed form: average -log_prob over rsample")
        return self.base.entropy_rows() + form.log_scale


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

    def __init__(self, flow: Flow, base: FactorisedBase) -> None:
        super().__init__(flow.features, flow.context_features, flow.context_encoder)
        self.flow, self.base = flow, base

    @property
    def order(self) -> tuple[int, ...]:
        """The coordinates in the order in which they are generated."""
        return self.flow.bijection.order or tuple(range(self.features))

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
        _, rows = self.flow.bijection.inverse_rows(x, context)
        return self._laws(rows)

    def encoded_rsample_and_conditionals(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, Conditionals]:
        """One forward of the flow, which yields the parameters of every row of every layer."""
        batch = () if context is None else context.shape[:-1]
        shape = torch.Size((*sample_shape, *batch, self.features))
        u = self.base.rsample_rows(shape, generator=generator)
        x, rows = self.flow.bijection.forward_rows(u, context)
        return x, self._laws(rows)

    def _laws(self, rows: RowMaps) -> Conditionals:
        """A normal law in closed form if the base is normal and all maps are affine; else the base pushed forward."""
        form = _affine_form(rows.univariate, rows.params)
        if form is None or not isinstance(self.base, StandardNormal | DiagonalNormal):
            return PushedLaws(self.base, rows)
        loc, log_scale = form
        if isinstance(self.base, DiagonalNormal):
            loc, log_scale = loc + log_scale.exp() * self.base.loc, log_scale + self.base.log_scale
        return Laws(Normal(Exp()), torch.stack([loc, log_scale], -1))


def as_autoregressive(flow: Flow | Given) -> OneOrder | Given:
    r"""The explicit conditionals p(x_i | x_<i) of a flow whose layers all share one coordinate order.

    Row i of K composed layers is one univariate map of u_i whose parameters read only the rows before i, so
    p(x_i | x_<i) is the base's law of u_i pushed through it, for any univariate map.

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
    if not isinstance(flow.base, FactorisedBase):
        raise TypeError(f"the base, a {type(flow.base).__name__}, has no independent coordinates of known law")
    broken = broken_order(flow.bijection)
    if broken is not None:
        raise TypeError(broken)
    return OneOrder(flow, flow.base)
