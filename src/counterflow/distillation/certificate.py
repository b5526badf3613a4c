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
from ..univariate import OutsideSupport
from .correction import proposed
from .steps import stepwise_view
from .weights import Incomparable, WeightReport, report_of

STEP_DRAWS = 16  # of each step, for the divergence step by step
CHUNK = 4096
LEVELS = (0.01, 0.1, 0.5, 0.9, 0.99)  # of the quantiles on the teacher's draws
BARELY = 0.001  # of the student's own draws: the least dense of them mark the end of its region
FEWEST = 100  # draws of either, from which the end of that region says anything


@dataclasses.dataclass(frozen=True, eq=False)
class OnTeacherDraws:
    """What draws of the teacher say, which a student that has lost a mode cannot hide from.

    Attributes:
        kl: KL(p || q), nats per event; infinite if the student has no density at a draw.
        quantiles: Of log p - log q over the teacher's draws, at `LEVELS`: the upper ones grow where the student has
            little density.
        two_sample: A classifier's attempt to tell the student's draws from them, with its control.
        uncovered: The share of the teacher's draws where the student is less dense than at 99.9 % of its own draws:
            about the weight of the modes that it has lost.
        uncovered_if_same: What `uncovered` is on average, for as many draws, of a student that is its teacher: about
            0.001, and more with fewer than 1,000 draws of the student.
        outside: The share of the teacher's draws where the student has no density at all, because they are outside its
            support.
    """

    kl: Estimate
    quantiles: tuple[float, ...]
    two_sample: TwoSample | None
    uncovered: float
    uncovered_if_same: float
    outside: float

    @property
    def covering_told(self) -> bool:
        """Whether there are draws enough, 100 of either, for `uncovered` to say anything."""
        return self.uncovered_if_same < 1 / FEWEST and self.kl.rows >= FEWEST

    def sentences(self) -> list[str]:
        """The same in words."""
        if self.outside:
            lines = [
                f"KL(teacher, student) is infinite: {self.outside:.2%} of the teacher's draws ({self.kl.rows:,}) lie "
                "outside the student's support."
            ]
        else:
            lines = [
                f"KL(teacher, student) = {self.kl.mean:.4g} ± {self.kl.standard_error:.2g} nats "
                f"({self.kl.rows:,} draws of the teacher)."
            ]
        if self.covering_told:
            lines.append(
                f"{self.uncovered:.2%} of the teacher's draws lie where the student has next to no density "
                f"(about {self.uncovered_if_same:.2%} would, were the two the same)."
            )
        if self.two_sample is not None:
            found, control = self.two_sample.samples, self.two_sample.control
            lines.append(
                f"A classifier tells them apart with AUC {found.auc:.3f} ± {found.auc_error:.3f} "
                f"(teacher against teacher: {control.auc:.3f} ± {control.auc_error:.3f})."
            )
        return lines


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
            f"Weights teacher / student: effective share {w.effective_fraction:.3f}, k-hat {_number(w.k_hat)}.",
        ]
        if w.trusted:
            lines.append(
                f"Log normaliser of the teacher: {w.log_mean.mean:.4g} ± {w.log_mean.standard_error:.2g} "
                "(0 if it is normalised)."
            )
        else:
            known = w.lacking is None
            reason = "k-hat is above 0.7" if known else f"The tail of the weights cannot be told from {w.lacking}"
            lines.append(f"{reason}: means of the weights, and so the normaliser, cannot be trusted.")
        if self.on_teacher is not None:
            lines += self.on_teacher.sentences()
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
    log_q = _scores_or_none(q, x)
    ratio = _scores(p, x) - log_q
    if bool(ratio.isnan().any()) or bool((ratio == -math.inf).any()):
        raise Incomparable("log p or log q of a draw of the teacher is not a number")
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    try:
        apart = diagnostics.two_sample_test(x[: len(drawn)], drawn[: len(x)], generator=generator)
    except ValueError:  # too few of them
        apart = None
    edge, share = _edge(_scores(q, drawn))
    outside = float((ratio == math.inf).double().mean())  # with any, the mean has no estimate but infinity
    return OnTeacherDraws(
        kl=Estimate(math.inf, math.nan, len(ratio)) if outside else estimate(ratio),
        quantiles=tuple(ratio.quantile(levels, interpolation="nearest").tolist()),
        two_sample=apart,
        uncovered=float((log_q < edge).double().mean()),
        uncovered_if_same=share,
        outside=outside,
    )


def _edge(log_q: Tensor) -> tuple[Tensor, float]:
    """The k-th least log q of N draws of q, at 0.1 % of them; and how likely one more draw of q is to be below it.

    All N + 1 places of one more draw in the order of the others are equally likely: k / (N + 1).
    """
    k = 1 + math.floor(BARELY * (len(log_q) - 1))
    return log_q.kthvalue(k).values, k / (len(log_q) + 1)


def _scores(density: Density, x: Vector) -> Tensor:
    return torch.cat([log_prob_of(density, part).double() for part in x.split(CHUNK)])


def _scores_or_none(density: Density, x: Vector) -> Tensor:
    """Minus infinity where a bounded density refuses a row outside its support.

    Raises:
        OutsideSupport: it refuses every row.

    Cost: a call for about every row that is refused.
    """
    refusals: list[OutsideSupport] = []

    def scored(part: Tensor) -> Tensor:
        try:
            return log_prob_of(density, part).double()
        except OutsideSupport as error:
            if len(part) > 1:
                return torch.cat([scored(half) for half in part.tensor_split(2)])
            refusals.append(error)
            return part.new_full((1,), -math.inf, dtype=torch.float64)

    found = torch.cat([scored(part) for part in x.split(CHUNK)])
    if len(refusals) == len(found):
        raise refusals[0]
    return found


def _number(k_hat: float) -> str:
    """A tail of equal weights has none."""
    if math.isnan(k_hat):
        return "unknown"
    return f"{k_hat:.2f}" if math.isfinite(k_hat) else "infinite" if k_hat > 0 else "-inf (the largest are equal)"
