"""The contract of a base: where the noise u of a flow comes from."""

from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn

from ..shapes import Context, LogDensity, Shape, Vector, as_shape, broadcast_batch, check_vector


class Base(nn.Module, ABC):
    """A density over (*B, D) that draws. A `Flow` or an `AutoregressiveModel` may stand in its place."""

    features: int
    context_features: int = 0
    anchor: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"expected features >= 1, got {features}")
        self.features = features
        # Says where and in which precision to draw: follows .to(), is never written to a file.
        self.register_buffer("anchor", torch.empty(0), persistent=False)

    @abstractmethod
    def log_prob(self, u: Vector, context: Context | None = None) -> LogDensity:
        """log p(u), nats per event."""

    @abstractmethod
    def rsample_and_log_prob(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        """Reparameterised draws and their log density.

        Raises:
            TypeError: the base has no reparameterised draws; `sample` still works.
        """

    def sample(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> Vector:
        """Draws without gradient, (*sample, *batch of context, D)."""
        with torch.no_grad():
            return self.rsample_and_log_prob(sample_shape, context, generator=generator)[0]

    def _shape(self, sample_shape: int | Shape, context: Tensor | None) -> torch.Size:
        batch = () if context is None else context.shape[:-1]
        return torch.Size((*as_shape(sample_shape), *batch, self.features))


class FactorisedBase(Base):
    """Bases whose coordinates are independent: the ones whose conditionals are known laws.

    They accept a context, for its batch axes, and ignore what it says.
    """

    @abstractmethod
    def log_prob_rows(self, u: Vector) -> Vector:
        """log p(u_i), one per coordinate."""

    @abstractmethod
    def rsample_rows(self, shape: torch.Size, *, generator: Generator | None = None) -> Vector:
        """Reparameterised draws of a full shape (*B, D)."""

    def entropy_rows(self) -> Vector:
        """H[p(u_i)] in nats, (D,).

        Raises:
            TypeError: there is no closed form here.
        """
        raise TypeError(f"the entropy of {type(self).__name__} has no closed form here")

    def log_prob(self, u: Vector, context: Context | None = None) -> LogDensity:
        """sum_i log p(u_i)."""
        check_vector(u, self.features, "u")
        if context is not None:
            u = u.expand(*broadcast_batch(u, context), self.features)
        return self.log_prob_rows(u).sum(-1)

    def rsample_and_log_prob(
        self, sample_shape: int | Shape = (), context: Context | None = None, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        """u, and sum_i log p(u_i)."""
        u = self.rsample_rows(self._shape(sample_shape, context), generator=generator)
        return u, self.log_prob_rows(u).sum(-1)


def draw_uniform(shape: torch.Size, like: Tensor, generator: Generator | None) -> Tensor:
    """Uniform on the open interval (0, 1): torch.rand may return 0, whose logarithm is infinite."""
    u = torch.rand(shape, dtype=like.dtype, device=like.device, generator=generator)
    return u.clamp_min(torch.finfo(like.dtype).tiny)
