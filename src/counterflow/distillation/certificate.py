"""How far a student is from its teacher, in numbers with errors: on its own draws, and on the teacher's."""

import dataclasses
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from .. import diagnostics
from ..densities import Density
from ..diagnostics import Estimate, TwoSample, estimate
from ..objectives import log_prob_of, stepwise_terms
from ..shapes import Vector
from .correction import proposed
from .steps import stepwise_view
from .weights import WeightReport, report_of

STEP_DRAWS = 16  # of each step, for the divergence step by step
CHUNK = 4096
OUTSIDE = 0.001  # of the student's own draws: the least dense of them mark the end of its region


@dataclasses.dataclass(frozen=True, eq=False)
class OnTeacherDraws:
    """What draws of the teacher say, which a student that has lost a mode cannot hide from.

    Attributes:
        kl: KL(p || q), nats per event; infinite if the student has no density at a draw.
        quantiles: Of log p - log q over the teacher's draws, at 1, 10, 50, 90 and 99 %: the upper ones grow where the
            student has no density.
        two_sample: A classifier's attempt to tell the student's draws from them, with its control.
        uncovered: The share of the teacher's draws where the student is less dense than at 99.9 % of its own draws:
            0.001 for a perfect student, about the weight of the modes that it has lost for one that has lost some.
    """

    kl: Estimate
    quantiles: tuple[float, ...]
    two_sample: TwoSample | None
    uncovered: float


@dataclasses.dataclass(frozen=True, eq=False)
class Certificate:
    """How far q is from p.

    Attributes:
        features: D.
        kl: KL(q || p), nats per event, up to the log normaliser of p.
        steps: The same for each step, (D,), and its standard error, in the order of columns; None where one of the two
            has no steps.
        step_errors: See steps.
        weights: Of p / q: effective sample size, k-hat, log normaliser.
        on_teacher: Of draws of the teacher; None without them.
    """

    features: int
    kl: Estimate
    steps: Float[Tensor, " D"] | None
    step_errors: Float[Tensor, " D"] | None
    weights: WeightReport
    on_teacher: OnTeacherDraws | None

    @property
    def kl_per_dimension(self) -> float:
        """KL(q || p) / D."""
        return self.kl.mean / self.features

    def sentences(self) -> list[str]:
        """The same in words."""
        w = self.weights
        lines = [
            f"KL(student, teacher) = {self.kl.mean:.4g} ± {self.kl.standard_error:.2g} nats, "
            f"{self.kl_per_dimension:.2g} per dimension ({self.kl.rows:,} draws of the student).",
            f"Weights teacher / student: effective share {w.effective_fraction:.3f}, k-hat {w.k_hat:.2f}.",
        ]
        if w.trusted:
            lines.append(
                f"log normaliser of the teacher: {w.log_mean.mean:.4g} ± {w.log_mean.standard_error:.2g} "
                "(0 if it is normalised)."
            )
        else:
            lines.append("k-hat is above 0.7: means of the weights, and so the normaliser, cannot be trusted.")
        if self.on_teacher is not None:
            other = self.on_teacher
            lines.append(
                f"KL(teacher, student) = {other.kl.mean:.4g} ± {other.kl.standard_error:.2g} nats "
                f"({other.kl.rows:,} draws of the teacher)."
            )
            lines.append(
                f"{other.uncovered:.2%} of the teacher's draws lie where the student has next to no density "
                f"({OUTSIDE:.1%} would, were the two the same)."
            )
            if other.two_sample is not None:
                found, control = other.two_sample.samples, other.two_sample.control
                lines.append(
                    f"A classifier tells them apart with AUC {found.auc:.3f} ± {found.auc_error:.3f} "
                    f"(teacher against teacher: {control.auc:.3f} ± {control.auc_error:.3f})."
                )
        return lines


@torch.no_grad()
def certify(
    q: Any,
    p: Any,
    draws: int = 10_000,
    *,
    teacher_draws: Vector | None = None,
    generator: Generator | None = None,
) -> Certificate:
    r"""Measure a student against its teacher.

    .. math:: KL(q \| p) = E_q [\log q - \log p], \qquad KL(p \| q) = E_p [\log p - \log q]

    Args:
        q: The student: draws and scores its draws; scores any x, if there are draws of the teacher.
        p: The teacher; may be unnormalised.
        draws: Of the student.
        teacher_draws: Of the teacher, (N, D): exact ones, or held-out data if the teacher is trusted.
        generator: The source of randomness; None is the global one.

    Raises:
        ValueError: fewer than two draws, or log densities that are not numbers.

    Error: of every mean its standard error; that of the normaliser only where `weights.trusted`.
    Cost: draws passes of both; for the teacher's draws a score of both, and a classifier.
    """
    if draws < 2:
        raise ValueError(f"expected at least two draws, got {draws}")
    x, log_weight = proposed(q, p, draws, generator)
    steps = _steps(q, p, draws, generator)
    on_teacher = None if teacher_draws is None else _on_teacher(q, p, teacher_draws, x, generator)
    return Certificate(
        features=x.shape[-1],
        kl=estimate(-log_weight),
        steps=None if steps is None else steps[0],
        step_errors=None if steps is None else steps[1],
        weights=report_of(log_weight),
        on_teacher=on_teacher,
    )


def _steps(q: Any, p: Any, draws: int, generator: Generator | None) -> tuple[Tensor, Tensor] | None:
    """KL of every step with its standard error, if both have steps in one order."""
    student, teacher = stepwise_view(q), stepwise_view(p)
    if student is None or teacher is None:
        return None
    parts = []
    try:
        for start in range(0, draws, CHUNK):
            count = min(CHUNK, draws - start)
            terms = stepwise_terms(student, teacher, count, draws=STEP_DRAWS, generator=generator)
            parts.append((terms.cross_entropy - terms.entropy).double())
    except (TypeError, ValueError):  # no steps after all, or not the same
        return None
    values = torch.cat(parts)
    return values.mean(0), values.std(0) / len(values) ** 0.5


def _on_teacher(q: Density, p: Density, x: Vector, drawn: Vector, generator: Generator | None) -> OnTeacherDraws:
    log_q = _scores(q, x)
    ratio = _scores(p, x) - log_q
    if bool(ratio.isnan().any()) or bool((ratio == -math.inf).any()):
        raise ValueError("log p or log q of a draw of the teacher is not a number")
    levels = torch.tensor([0.01, 0.1, 0.5, 0.9, 0.99], dtype=torch.float64)
    try:
        apart = diagnostics.two_sample_test(x[: len(drawn)], drawn[: len(x)], generator=generator)
    except ValueError:  # too few of them
        apart = None
    edge = _scores(q, drawn).quantile(OUTSIDE)
    uncovered = float((log_q < edge).double().mean())
    beyond = bool((ratio == math.inf).any())  # no density of q at all: the mean has no estimate but infinity
    kl = Estimate(math.inf, math.nan, len(ratio)) if beyond else estimate(ratio)
    return OnTeacherDraws(kl, tuple(ratio.quantile(levels, interpolation="nearest").tolist()), apart, uncovered)


def _scores(density: Density, x: Vector) -> Tensor:
    return torch.cat([log_prob_of(density, part).double() for part in x.split(CHUNK)])
