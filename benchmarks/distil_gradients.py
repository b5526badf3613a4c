"""Section `gradients` of benchmarks/distil.py: the noise of each objective's gradient, at equal cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import counterflow as cf
from counterflow import conditioners, families
from counterflow import distillation as d
from counterflow.densities import detached

FEATURES, BATCH, REPEATS, TIMED = 16, 64, 60, 15
STATES = {"far: untrained": 0, "near: after 300 steps of matched layers": 300}
FAMILIES = {"normal steps": families.Normal(), "steps of 4 logistics": families.LogisticMixture(4)}
OBJECTIVES: dict[str, Callable[[], Any]] = {
    "single draw": lambda: d.ReverseKL(BATCH),
    "single draw, path gradient": lambda: d.PathKL(BATCH),
    "16 fresh draws of each step": lambda: d.StepwiseKL(BATCH, 16),
    "closed form of each step": lambda: d.StepwiseNormalKL(BATCH),
}
CELLS = tuple(f"{family}; {state}" for family in FAMILIES for state in STATES)


def measured(name: str, seed: int) -> dict[str, Any]:
    """Standard deviation and cost of the gradient of every objective that the pair has, in one state of training."""
    which, state = name.split("; ")
    family = FAMILIES[which]
    torch.manual_seed(seed)
    teacher = cf.AutoregressiveModel(conditioners.CausalConv(FEATURES, family.num_params, 32), family)
    with torch.no_grad():  # a teacher whose steps depend on the past
        for parameter in teacher.conditioner.head.parameters():
            parameter.mul_(20)
    student = d.student_of(teacher, network=d.Masked((64, 64)), layers=2)
    if STATES[state]:
        start = d.MatchedLayers(teacher.sample(20_000), 256)
        d.distil(student, teacher, objective=start, steps=STATES[state], learning_rate=3e-3, progress=False)
    found = d.certify(student, teacher, 20_000, generator=torch.Generator().manual_seed(seed))
    cell: dict[str, Any] = {"kl": found.kl.mean, "kl_error": found.kl.standard_error, "objectives": {}}
    for label, objective in OBJECTIVES.items():
        if label.startswith("closed") and not isinstance(family, families.Normal):
            continue
        cell["objectives"][label] = _noise(student, detached(teacher), objective())
    base = cell["objectives"]["single draw"]
    for entry in cell["objectives"].values():
        entry["at_equal_cost"] = _cost_weighted(base) / _cost_weighted(entry)
    return cell


def _cost_weighted(entry: dict[str, float]) -> float:
    """The deviation of a mean over as many repetitions as fit in a second."""
    return float(entry["std"] * entry["cpu_s"] ** 0.5)


def _noise(student: cf.Flow, teacher: Any, objective: Any) -> dict[str, float]:
    """The root of the summed variances of all parameters' gradients, and processor seconds of one gradient."""
    gradients = torch.stack([_gradient(student, teacher, objective) for _ in range(REPEATS)])
    start = time.process_time()
    for _ in range(TIMED):
        _gradient(student, teacher, objective)
    seconds = (time.process_time() - start) / TIMED
    return {
        "std": float(gradients.var(0).sum().sqrt()),
        "norm": float(gradients.mean(0).norm()),
        "cpu_s": seconds,
    }


def _gradient(student: cf.Flow, teacher: Any, objective: Any) -> Tensor:
    loss = objective(student, teacher)
    parameters = [parameter for parameter in student.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([g.double().reshape(-1) for g in found if g is not None])
