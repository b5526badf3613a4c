"""A conditional density over a pool of contexts, as one density of context and row together."""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ..model import Model
from ..shapes import LogDensity, Shape, Vector, as_shape


class Joint:
    r"""r(c) p(x | c), with r uniform over a pool of contexts.

    .. math:: KL(r q \| r p) = E_{c \sim r} KL(q(\cdot | c) \| p(\cdot | c))

    so that whatever compares two densities compares two conditional ones over the same pool. Log densities leave out
    log r(c), which is the same for both.

    Args:
        model: p(x | c).
        contexts: The pool, (N, M).
    """

    def __init__(self, model: Model, contexts: Tensor) -> None:
        self.model, self.contexts = model, contexts
        self.features = contexts.shape[-1] + model.features

    def log_prob(self, x: Vector, /) -> LogDensity:
        """log p(x | c) of rows (c, x)."""
        width = self.contexts.shape[-1]
        return self.model.log_prob(x[..., width:], x[..., :width])

    def rsample_and_log_prob(
        self, sample_shape: int | Shape = (), /, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        """Rows (c, x) and log p(x | c)."""
        c = self._picked(as_shape(sample_shape), generator)
        x, log_prob = self.model.rsample_and_log_prob((), c, generator=generator)
        return torch.cat([c, x], -1), log_prob

    def sample(self, sample_shape: int | Shape = (), /, *, generator: Generator | None = None) -> Vector:
        """Rows (c, x)."""
        c = self._picked(as_shape(sample_shape), generator)
        return torch.cat([c, self.model.sample((), c, generator=generator)], -1)

    def _picked(self, shape: Sequence[int], generator: Generator | None) -> Tensor:
        return self.contexts[torch.randint(len(self.contexts), tuple(shape), generator=generator)]
