"""What distillation minimises: objectives as values, which a configuration can hold."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..model import Given
from ..objectives import forward_kl, reverse_kl, reverse_kl_path, stepwise_kl, stepwise_kl_normal
from ..one_order import as_autoregressive
from ..shapes import Vector
from .steps import stepwise_view

Scalar = Float[Tensor, ""]
Objective = Callable[..., Scalar]  # (q, p, *, generator) -> nats per event


@dataclasses.dataclass(frozen=True)
class ReverseKL:
    """`reverse_kl` with so many draws: one draw of every step. Needs nothing but a density that scores."""

    num_samples: int = 256

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """KL(q || p), nats."""
        return reverse_kl(q, p, self.num_samples, generator=generator)


@dataclasses.dataclass(frozen=True)
class PathKL:
    """`reverse_kl_path` with so many draws: less noise near the optimum, one more direction of the student."""

    num_samples: int = 256

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """KL(q || p), nats."""
        return reverse_kl_path(q, p, self.num_samples, generator=generator)


@dataclasses.dataclass(frozen=True)
class StepwiseKL:
    """`stepwise_kl`: fresh draws of every step, for a student and a teacher with steps in one order."""

    num_samples: int = 256
    draws: int = 16

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """KL(q || p), nats."""
        return stepwise_kl(_steps(q), _steps(p), self.num_samples, draws=self.draws, generator=generator)


@dataclasses.dataclass(frozen=True)
class StepwiseNormalKL:
    """`stepwise_kl_normal`: the closed form of normal steps, with ClariNet's regulariser."""

    num_samples: int = 256
    regulariser: float = 0.0

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """KL(q || p), nats, and the regulariser."""
        steps = _steps(q), _steps(p)
        return stepwise_kl_normal(*steps, self.num_samples, regulariser=self.regulariser, generator=generator)


@dataclasses.dataclass(frozen=True, eq=False)
class ForwardKL:
    """Maximum likelihood of draws of the teacher, or of data. Holds the student to every mode.

    Args:
        rows: (N, D), from which a batch is picked at every step; None: fresh draws of the teacher at every step, which
            one given contexts needs.
        num_samples: Of a batch, for each context.
    """

    rows: Vector | None = None
    num_samples: int = 256

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """-E log q over a batch: KL(p || q) up to the entropy of p, nats."""
        return forward_kl(q, batch_of(self.rows, p, self.num_samples, generator))


@dataclasses.dataclass(frozen=True)
class OtherContexts:
    r"""The contrastive term: minus the divergence from the teacher given another context of the batch.

    .. math:: -KL(q(\cdot | c) \| p(\cdot | c')), \qquad c' \ne c

    Added with a weight well below 1 it keeps a student from one average answer to all contexts. It is not bounded
    from below: with a weight of 1 or more the sum has no minimum.

    Args:
        divergence: The objective that measures it.

    Raises:
        TypeError: student or teacher is not given contexts.
        ValueError: a single context.

    Source: van den Oord et al. (2018), arXiv:1711.10433, section 4.3, with weight 0.3.
    """

    divergence: Objective = ReverseKL(1)

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """Minus the divergence, nats per event."""
        if not (isinstance(q, Given) and isinstance(p, Given) and p.context is not None):
            raise TypeError("the contrastive term compares contexts: distil with contexts, of a model that takes them")
        count = len(p.context)
        if count < 2:
            raise ValueError("the contrastive term needs two contexts in a batch, got one")
        shift = int(torch.randint(1, count, (), generator=generator))
        encoded = None if p.encoded is None else p.encoded.roll(shift, 0)
        return -self.divergence(q, Given(p.model, p.context.roll(shift, 0), encoded), generator=generator)


@dataclasses.dataclass(frozen=True)
class Sum:
    """A weighted sum of objectives, or of terms of the user's own: any (q, p, *, generator) -> number.

    Args:
        terms: (weight, objective) pairs.
    """

    terms: tuple[tuple[float, Objective], ...]

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """The sum, nats where its terms are."""
        total: Scalar = sum(weight * term(q, p, generator=generator) for weight, term in self.terms)  # type: ignore[assignment]
        return total


def batch_of(rows: Tensor | None, p: Any, count: int, generator: Generator | None) -> Tensor:
    """Some of the rows, or fresh draws of p."""
    if rows is None:
        shape: Any = (count,)
        drawn: Tensor = p.sample(shape, generator=generator)
        return drawn
    return rows[torch.randint(len(rows), (count,), generator=generator)]


def _steps(density: Any) -> Any:
    view = stepwise_view(density)
    if view is None:
        return as_autoregressive(density)  # whose message names the layer that breaks the order
    return view
