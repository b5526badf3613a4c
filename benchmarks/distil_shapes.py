"""Section `shapes` of benchmarks/distil.py: densities with several modes, and the students that keep them."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import Generator, Tensor

import counterflow as cf
from counterflow import distillation as d
from counterflow import models, univariate

STEPS, DRAWS, POOL = 2000, 20_000, 50_000


class Bimodal:
    """Two normals of unequal weight, 0.3 and 0.7, at -3 and 3 on the first axis, with standard deviation 0.6."""

    features = 2
    weights, places, scale = (0.3, 0.7), (-3.0, 3.0), 0.6

    def log_prob(self, x: Tensor) -> Tensor:
        parts = []
        for weight, place in zip(self.weights, self.places, strict=True):
            z = (x - torch.tensor([place, 0.0])) / self.scale
            parts.append(math.log(weight / (2 * math.pi * self.scale**2)) - 0.5 * z.square().sum(-1))
        return torch.logaddexp(*parts)

    def draws(self, count: int, generator: Generator) -> Tensor:
        right = torch.rand(count, generator=generator) < self.weights[1]
        centre = torch.where(right, self.places[1], self.places[0])[:, None] * torch.tensor([1.0, 0.0])
        return centre + self.scale * torch.randn(count, 2, generator=generator)

    def modes(self, x: Tensor) -> dict[str, float]:
        """The share of draws on the left; 0.3 is right."""
        return {"left": float((x[:, 0] < 0).double().mean())}


class Ring:
    """Radius normal(3, 0.3), cut at 0, the angle uniform: log p = log N(r; 3, 0.3) - log(2 pi r)."""

    features = 2
    radius, width = 3.0, 0.3

    def log_prob(self, x: Tensor) -> Tensor:
        r = x.norm(dim=-1).clamp_min(1e-6)
        z = (r - self.radius) / self.width
        return -0.5 * z.square() - math.log(self.width * math.sqrt(2 * math.pi)) - (2 * math.pi * r).log()

    def draws(self, count: int, generator: Generator) -> Tensor:
        r = self.radius + self.width * torch.randn(count, generator=generator)
        angle = 2 * math.pi * torch.rand(count, generator=generator)
        return torch.stack([r * angle.cos(), r * angle.sin()], -1)

    def modes(self, x: Tensor) -> dict[str, float]:
        """The least share of draws in any of eight sectors; 0.125 is right."""
        sector = ((torch.atan2(x[:, 1], x[:, 0]) / (2 * math.pi) * 8).floor() % 8).long()
        return {"least of 8 sectors": float(sector.bincount(minlength=8).min()) / len(x)}


TARGETS = {"bimodal": Bimodal(), "ring": Ring()}
ONE_ORDER = {"permutation": None, "univariate": univariate.Affine()}
SPLINES = {"univariate": univariate.RationalQuadratic(bins=16, bound=6.0)}
STUDENTS = {
    "affine, one order": ONE_ORDER,
    "affine, alternating orders": {},
    "splines, one order": {**SPLINES, "permutation": None},
    "splines, alternating orders": SPLINES,
}
OBJECTIVES = ("reverse KL", "reverse and forward KL")
CELLS = tuple(f"{target}; {student}; {how}" for target in TARGETS for student in STUDENTS for how in OBJECTIVES)


def measured(name: str, seed: int) -> dict[str, Any]:
    """Distil one target into one student by one objective."""
    which, kind, how = name.split("; ")
    target = TARGETS[which]
    pool = target.draws(POOL, torch.Generator().manual_seed(seed))
    torch.manual_seed(seed)
    student = models.iaf(2, **{"layers": 4, "hidden": (64, 64), **STUDENTS[kind]})
    reverse = d.ReverseKL(256)
    objective = reverse if how == "reverse KL" else d.Sum(((1.0, reverse), (1.0, d.ForwardKL(pool, 256))))
    start = time.process_time()
    d.distil(student, target, objective=objective, steps=STEPS, learning_rate=2e-3, progress=False)
    seconds = time.process_time() - start
    return {"cpu_s": seconds, **_judged(student, target, seed)}


def _judged(student: cf.Flow, target: Any, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1000 + seed)
    exact = target.draws(DRAWS, generator)
    found = d.certify(student, target, DRAWS, teacher_draws=exact, generator=generator)
    assert found.on_teacher is not None
    return {
        "kl": found.kl.mean,
        "kl_error": found.kl.standard_error,
        "forward_kl": found.on_teacher.kl.mean,
        "forward_kl_error": found.on_teacher.kl.standard_error,
        "uncovered": found.on_teacher.uncovered,
        "effective_fraction": found.weights.effective_fraction,
        "k_hat": found.weights.k_hat,
        "modes": target.modes(student.sample(DRAWS, generator=generator)),
        "modes_of_target": target.modes(exact),
    }
