"""The start of a student that has its teacher's shape: layers are taught by the teacher's own, at the same points."""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..bijections import Bijection, Chain
from ..flow import Flow
from ..model import Given, Model
from ..shapes import Vector
from .objectives import batch_of
from .stages import Passage, Stage, order_of, passage, stages_of, steps_through

Scalar = Float[Tensor, ""]

FAR = 3.0  # standard deviations: beyond it an error counts less and less; teachers draw rows a million of them away


@dataclasses.dataclass(frozen=True, eq=False)
class MatchedLayers:
    r"""How far the maps of a student's layers are from those of its teacher, along draws of the teacher.

    .. math:: E_{x \sim p} \sum_{l, i} \rho\left(\frac{\hat x_{li} - x_{li}}{x_{li}'}\right)
              + \rho(\log \hat x_{li}' - \log x_{li}'), \qquad \rho(e) = 9 \log(1 + e^2 / 18) \approx e^2 / 2

    The teacher takes x back to its noise in one pass, and so shows where each of its layers l sends z_l, and with which
    slopes x' = dx_i/dz_i; the student's layer is asked for the same at the same z_l. For affine maps it is, to second
    order, the sum over layers of the divergence of each row given the same z. It has no noise at its optimum, does
    not see tails, and needs no pass of the whole student: a start, before an objective on the density itself.

    Args:
        rows: Draws of the teacher, (N, D), from which a batch is picked; None: fresh draws at every step, which
            a teacher given contexts needs.
        num_samples: Of a batch, for each context.

    Source: the regression of layer on layer is our own; `benchmarks/distil.py` measures what it is worth.
    """

    rows: Vector | None = None
    num_samples: int = 256

    def __call__(self, q: Any, p: Any, *, generator: Generator | None = None) -> Scalar:
        """The sum above; 0 if every layer is the teacher's.

        Raises:
            TypeError: student or teacher is no model, or the teacher has no such stages.
            ValueError: their layers are not those of `student_of`.
        """
        student, ours = _model(q, "student")
        teacher, theirs = _model(p, "teacher")
        pairs = _paired(student, teacher)
        x = batch_of(self.rows, p, self.num_samples, generator)
        total = x.new_zeros(())
        for part, stage in reversed(pairs):
            seen = theirs if stage.context_features else None
            if not steps_through(stage):
                assert isinstance(stage, Bijection)
                with torch.no_grad():
                    x, _ = stage.inverse(x, seen)
                continue
            step = passage(stage, x, seen)
            total = total + _distance(part, step, ours if part.context_features else None)
            x = step.before
        return total


def _distance(part: Bijection, step: Passage, context: Tensor | None) -> Tensor:
    known = step.log_slope.isfinite() & step.before.isfinite()
    z = torch.where(known, step.before, 0.0)
    log_slope = torch.where(known, step.log_slope, 0.0)
    x, rows = part.forward_rows(z, context)
    _, ours = rows.univariate.forward(z, rows.params)
    moved = _robust((x - step.after) * torch.exp(-log_slope))
    per_row = moved + _robust(ours - log_slope)
    return torch.where(known, per_row, 0.0).sum(-1).mean()


def _robust(error: Tensor) -> Tensor:
    """e^2 / 2 for errors well below FAR, and a logarithm for those far above, whose pull falls as 1 / e."""
    return FAR**2 * torch.log1p(0.5 * (error / FAR).square())


def _model(density: Any, whose: str) -> tuple[Model, Tensor | None]:
    """The model, and its encoded context."""
    if isinstance(density, Given):
        return density.model, density.encoded
    if isinstance(density, Model):
        return density, None
    raise TypeError(f"expected the {whose} as a model of ours, got a {type(density).__name__}")


def _paired(student: Model, teacher: Model) -> list[tuple[Bijection, Stage]]:
    _, stages = stages_of(teacher)
    bijection = student.bijection if isinstance(student, Flow) else None
    if bijection is None:
        raise ValueError("the student is no flow: distillation.student_of(teacher) makes one of the teacher's shape")
    parts: list[Any] = (
        [bijection] if len(stages) == 1 else list(bijection.parts) if isinstance(bijection, Chain) else []
    )
    fits = len(parts) == len(stages) and all(
        part.order is not None and part.order == order_of(stage)
        for part, stage in zip(parts, stages, strict=True)
        if steps_through(stage)
    )
    if not fits:
        raise ValueError(
            f"the student's {len(parts)} layers are not those of its teacher's {len(stages)} stages: "
            "distillation.student_of(teacher) makes a student of the teacher's shape"
        )
    return list(zip(parts, stages, strict=True))
