"""What distillation minimises: objectives as values, which a configuration can hold."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..objectives import forward_kl, reverse_kl, reverse_kl_path, stepwise_kl, stepwise_kl_normal
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
    """Maximum likelihood of rows: draws of the teacher, or data. Holds the student to every mode.

    Args:
        rows: (N, D), from which a batch is picked at every step.
        num_samples: Of a batch.
    """

    rows: Vector
    num_samples: int = 256

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """-E log q over a batch: KL(p || q) up to the entropy of p, nats."""
        picked = torch.randint(len(self.rows), (self.num_samples,), generator=generator)
        return forward_kl(q, self.rows[picked])


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


def _steps(density: Any) -> Any:
    view = stepwise_view(density)
    if view is None:
        from ..one_order import as_autoregressive

        return as_autoregressive(density)  # whose message names the layer that breaks the order
    return view
