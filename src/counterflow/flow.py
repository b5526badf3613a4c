"""A flow: noise from a base, pushed through a bijection."""

from typing import Any

import torch
from torch import Generator, Tensor, nn

from .bases import Base
from .bijections import Bijection
from .model import Model
from .prefix import sample_given_prefix
from .shapes import Context, LogDensity, Scalars, Shape, Vector
from .spec import register


@register
class Flow(Model):
    r"""x = f(u, c) with u from the base.

    .. math:: \log p(x | c) = \log p_u(f^{-1}(x, c)) + \log\left|\frac{du}{dx}\right|

    Args:
        base: A `Base`, or any model of ours (a `Flow`, an `AutoregressiveModel`); one with context_features > 0 sees
            the context too.
        bijection: f.
        context_encoder: Any nn.Module, trained with the flow; it maps what the user calls the context to (*batch, M).

    Raises:
        ValueError: sizes of base and bijection that differ.
    """

    def __init__(self, base: Base | Model, bijection: Bijection, *, context_encoder: nn.Module | None = None) -> None:
        if base.features != bijection.features:
            raise ValueError(f"the base has {base.features} features, the bijection {bijection.features}")
        widths = {base.context_features, bijection.context_features} - {0}
        if len(widths) > 1:
            raise ValueError(
                f"the base takes a context of {base.context_features} features, "
                f"the bijection of {bijection.context_features}"
            )
        super().__init__(bijection.features, max(widths, default=0), context_encoder)
        self.base, self.bijection = base, bijection

    def encoded_log_prob(self, x: Vector, context: Context | None) -> LogDensity:
        """One inverse and one score of the base."""
        u, log_det = self.bijection.inverse(x, self._bijection_context(context))
        return self.base.log_prob(u, self._base_context(context)) + log_det

    def encoded_sample(self, sample_shape: Shape, context: Context | None, *, generator: Generator | None) -> Vector:
        """A draw of the base and one forward."""
        u = self.base.sample(*self._draw(sample_shape, context), generator=generator)
        return self.bijection(u, self._bijection_context(context))[0]  # type: ignore[no-any-return]

    def encoded_sample_given_prefix(
        self, prefix: Scalars, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> Vector:
        """The prefix's noise by an inverse, the rest of the noise from the base, and one forward."""
        return sample_given_prefix(self.base, self.bijection, prefix, sample_shape, context, generator=generator)

    def encoded_rsample_and_log_prob(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, LogDensity]:
        """A draw of the base and one forward; log q(x) = log p(u) - log |dx/du| needs no further pass."""
        u, log_prob = self.base.rsample_and_log_prob(*self._draw(sample_shape, context), generator=generator)
        x, log_det = self.bijection(u, self._bijection_context(context))
        return x, log_prob - log_det

    def initialise_(self, x: Vector, context: Context | None = None) -> None:
        """Data-dependent start of the layers that have one (`ActNorm`), and of a model as base, from training rows."""
        with torch.no_grad():
            self.check_event(x)
            encoded = self.encode(context)
            self.bijection.initialise_(x, self._bijection_context(encoded))
            if isinstance(self.base, Model):
                u, _ = self.bijection.inverse(x, self._bijection_context(encoded))
                initialise_(self.base, u, self._base_context(encoded))

    def _draw(self, sample_shape: Shape, context: Tensor | None) -> tuple[Any, ...]:
        """Sample shape and context for the base: one that takes no context is asked for the full batch shape."""
        if self.base.context_features or context is None:
            return torch.Size(sample_shape), context
        return torch.Size((*sample_shape, *context.shape[:-1])), None

    def _base_context(self, context: Tensor | None) -> Tensor | None:
        return context if self.base.context_features else None

    def _bijection_context(self, context: Tensor | None) -> Tensor | None:
        return context if self.bijection.context_features else None


def initialise_(flow: nn.Module, x: Vector, context: Context | None = None) -> None:
    """Data-dependent start of a module that has one; `fit` calls it once. It writes parameters; forward never does."""
    start = getattr(flow, "initialise_", None)
    if start is not None:
        start(x, context)
