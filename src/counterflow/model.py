"""What every trainable density of ours offers: a checked door, a context encoder, and `given` a context."""

import itertools
from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn

from .densities import Conditionals, detached
from .shapes import Context, LogDensity, Scalars, Shape, Vector, as_shape, check_context, check_vector


class Model(nn.Module, ABC):
    """A density p(x | c) over (*B, D) with methods that take the context, and `given` to bind it.

    Batch axes of x and context broadcast. With a context encoder the context has whatever shape the encoder accepts,
    and the encoder's output, (*batch, M), is what the density sees. Subclasses implement the `encoded_` methods.
    """

    features: int
    context_features: int
    context_encoder: nn.Module | None

    def __init__(self, features: int, context_features: int, context_encoder: nn.Module | None) -> None:
        super().__init__()
        if context_encoder is not None and not context_features:
            raise ValueError("a context encoder was given to a model that takes no context (context_features is 0)")
        self.features, self.context_features = features, context_features
        self.context_encoder = context_encoder

    def log_prob(self, x: Vector, context: Context | None = None) -> LogDensity:
        """The log density log p(x | c) in nats per event, with the batch shape of x and context.

        Raises:
            TypeError: x is not floating point, or not in the model's precision.
            ValueError: x or the context is ill-shaped, missing or surplus.
        """
        self.check_event(x)
        return self.encoded_log_prob(x, self.encode(context))

    def sample(
        self,
        sample_shape: int | Shape = (),
        context: Context | None = None,
        *,
        generator: Generator | None = None,
    ) -> Vector:
        """Draws without gradient, of shape (*sample_shape, *batch of context, D); a sample_shape of 1000 means (1000,).

        Raises:
            ValueError: a negative size, or an ill-shaped, missing or surplus context.
        """
        with torch.no_grad():
            return self.encoded_sample(as_shape(sample_shape), self.encode(context), generator=generator)

    def sample_given_prefix(
        self,
        prefix: Scalars,
        sample_shape: int | Shape = (),
        context: Context | None = None,
        *,
        generator: Generator | None = None,
    ) -> Vector:
        r"""Draws of p(x_{>=k} | x_{<k}, c), the coordinates that come first being known: conditional sampling.

        Args:
            prefix: The k coordinates that come first in the model's order, in that order, shape (*P, k); k may be
                anything from 0 (then this is `sample`) to D.
            sample_shape: Draws for each prefix; 1000 means (1000,).
            context: As in `sample`; its batch axes and those of the prefix broadcast.
            generator: Of the draws.

        Returns:
            Whole rows, (*sample_shape, *batch, D), without gradient; the prefix stands in them bit for bit.

        Raises:
            TypeError: a prefix not of the model's precision; a model that does not generate one coordinate after the
                other; a flow whose base is not factorised.
            ValueError: a prefix of more than D coordinates; batch axes that do not broadcast; a flow whose
                layers do not share one order, and then the first that breaks it is named.

        Cost: of a flow, `sample` for the draws, and one inverse of each prefix.
        """
        with torch.no_grad():
            self.check_prefix(prefix)
            shape = as_shape(sample_shape)
            return self.encoded_sample_given_prefix(prefix, shape, self.encode(context), generator=generator)

    def rsample_and_log_prob(
        self,
        sample_shape: int | Shape = (),
        context: Context | None = None,
        *,
        generator: Generator | None = None,
    ) -> tuple[Vector, LogDensity]:
        """Reparameterised draws and their log density, from one and the same pass.

        Raises:
            TypeError: the model has no reparameterised draws.
        """
        return self.encoded_rsample_and_log_prob(as_shape(sample_shape), self.encode(context), generator=generator)

    def conditionals(self, x: Vector, context: Context | None = None) -> Conditionals:
        """The laws p(x_i | x_<i, c) of all rows, batch shape (*B, D).

        Raises:
            TypeError: the model has none.
        """
        self.check_event(x)
        return self.encoded_conditionals(x, self.encode(context))

    def given(self, context: Context) -> "Given":
        """p(. | c): encodes once, and keeps every capability of the model. A value for one step, not to be stored."""
        return Given(self, context, self.encode(context))

    @abstractmethod
    def encoded_log_prob(self, x: Vector, context: Context | None) -> LogDensity:
        """log p(x | c) of a checked x and an encoded context."""

    @abstractmethod
    def encoded_sample(self, sample_shape: Shape, context: Context | None, *, generator: Generator | None) -> Vector:
        """Draws, with an encoded context."""

    @abstractmethod
    def encoded_rsample_and_log_prob(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, LogDensity]:
        """Reparameterised draws and their log density, with an encoded context."""

    def encoded_sample_given_prefix(
        self, prefix: Scalars, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> Vector:
        """Draws of the rest of a checked prefix, with an encoded context."""
        raise TypeError(f"a {type(self).__name__} does not generate one coordinate after the other: it takes no prefix")

    def encoded_conditionals(self, x: Vector, context: Context | None) -> Conditionals:
        """The laws of all rows, with an encoded context."""
        raise TypeError(f"{type(self).__name__} has no conditionals here; as_autoregressive(flow) has those of a flow")

    def encoded_rsample_and_conditionals(
        self, sample_shape: Shape, context: Context | None, *, generator: Generator | None
    ) -> tuple[Vector, Conditionals]:
        """Draws and the laws that drew them, with an encoded context."""
        raise TypeError(f"{type(self).__name__} has no conditionals here; as_autoregressive(flow) has those of a flow")

    def encode(self, context: Tensor | None) -> Tensor | None:
        """The context as the density sees it, checked.

        Raises:
            TypeError: not a tensor, or not in the model's precision.
            ValueError: missing, surplus or ill-shaped.
        """
        if context is not None and self.context_encoder is not None:
            context = self.context_encoder(context)
        check_context(context, self.context_features)
        if context is not None and context.dtype != self._dtype(context.dtype):
            raise TypeError(f"the model computes in {self._dtype(context.dtype)}, and its context is {context.dtype}")
        return context

    def check_event(self, x: Tensor) -> None:
        """Refuse an x of the wrong shape or precision."""
        check_vector(x, self.features, "x")
        self._check_precision(x, "x")

    def check_prefix(self, prefix: Tensor) -> None:
        """Refuse a prefix with more than D coordinates, or of the wrong precision."""
        known = (0, *getattr(prefix, "shape", ()))[-1]
        check_vector(prefix, known, "a prefix")
        if known > self.features:
            raise ValueError(f"expected a prefix of at most {self.features} coordinates, got {known}")
        self._check_precision(prefix, "the prefix")

    def _check_precision(self, x: Tensor, name: str) -> None:
        expected = self._dtype(x.dtype)
        if x.dtype != expected:
            raise TypeError(
                f"the model computes in {expected} and {name} is {x.dtype}: convert one of them, "
                f"{name.split()[-1]}.to({expected}) or model.to({x.dtype})"
            )

    def _dtype(self, default: torch.dtype) -> torch.dtype:
        """The precision that the density computes in; an encoder may have its own."""
        parts = [part for name, part in self.named_children() if name != "context_encoder"]
        tensors = itertools.chain.from_iterable(itertools.chain(p.parameters(), p.buffers()) for p in parts)
        for tensor in tensors:  # no next(...) with a default, which the compiler of torch 2.8 cannot trace
            if tensor.is_floating_point():
                return tensor.dtype
        return default


class Given:
    """p(. | c) with the context bound: every method of the model, without its context argument.

    Args:
        model: The conditional density.
        context: What the user conditions on.
        encoded: The same as the model's `encode` returned it.

    Cost: the encoder has run once; the methods cost what the model's do.
    """

    def __init__(self, model: Model, context: Tensor | None, encoded: Tensor | None) -> None:
        self.model, self.context, self.encoded = model, context, encoded
        self.features = model.features

    def log_prob(self, x: Vector, /) -> LogDensity:
        """log p(x | c)."""
        self.model.check_event(x)
        return self.model.encoded_log_prob(x, self.encoded)

    def sample(self, sample_shape: int | Shape = (), /, *, generator: Generator | None = None) -> Vector:
        """Draws without gradient, (*sample_shape, *batch of context, D)."""
        with torch.no_grad():
            return self.model.encoded_sample(as_shape(sample_shape), self.encoded, generator=generator)

    def sample_given_prefix(
        self, prefix: Scalars, sample_shape: int | Shape = (), /, *, generator: Generator | None = None
    ) -> Vector:
        """Draws of p(x_{>=k} | x_{<k}, c), (*sample_shape, *batch, D), given the coordinates first in the order."""
        with torch.no_grad():
            self.model.check_prefix(prefix)
            shape = as_shape(sample_shape)
            return self.model.encoded_sample_given_prefix(prefix, shape, self.encoded, generator=generator)

    def rsample_and_log_prob(
        self, sample_shape: int | Shape = (), /, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        """Reparameterised draws and their log density."""
        return self.model.encoded_rsample_and_log_prob(as_shape(sample_shape), self.encoded, generator=generator)

    def conditionals(self, x: Vector, /) -> Conditionals:
        """p(x_i | x_<i, c)."""
        self.model.check_event(x)
        return self.model.encoded_conditionals(x, self.encoded)

    def rsample_and_conditionals(
        self, sample_shape: int | Shape = (), /, *, generator: Generator | None = None
    ) -> tuple[Vector, Conditionals]:
        """Draws, and the laws that drew them."""
        shape = as_shape(sample_shape)
        return self.model.encoded_rsample_and_conditionals(shape, self.encoded, generator=generator)

    def detached(self) -> "Given":
        """The same density with constant parameters, the encoder's included; gradients still reach the context."""
        model = detached(self.model)
        return Given(model, self.context, self.encoded if model.context_encoder is None else model.encode(self.context))
