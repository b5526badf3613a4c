"""Section `speed` of benchmarks/distil.py: draws per second of 784-d teachers by every way, and of their students."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import counterflow as cf
from counterflow import bijections, conditioners, families, models, solvers
from counterflow import distillation as d
from counterflow.distillation.throughput import throughput

FEATURES = 784
TEACHERS: dict[str, Callable[[], Any]] = {
    "MAF, 5 layers of (1024, 1024)": lambda: models.maf(FEATURES, layers=5, hidden=(1024, 1024)),
    "convolution, 10 blocks of 64 channels": lambda: cf.AutoregressiveModel(
        conditioners.CausalConv(FEATURES, 30, 64), families.LogisticMixture(10)
    ),
    "attention, 4 blocks of width 64": lambda: cf.AutoregressiveModel(
        conditioners.CausalAttention(FEATURES, 30, 64, layers=4), families.LogisticMixture(10)
    ),
}
MANY = {"MAF": 1000, "convolution": 100, "attention": 20}  # what a pass of so many draws leaves free of 24 GiB
CELLS = tuple(TEACHERS)


def measured(name: str, seed: int) -> dict[str, Any]:
    """All ways of drawing, for one draw and for many. Weights are as they start: no way depends on their values."""
    torch.manual_seed(seed)
    teacher = TEACHERS[name]().eval()
    return {str(batch): _timed(name, teacher, batch) for batch in (1, MANY[name.split(maxsplit=1)[0].rstrip(",")])}


def _timed(name: str, teacher: Any, batch: int) -> dict[str, Any]:
    cell: dict[str, Any] = {}
    for label, student in _students(name, teacher).items():
        found = throughput(student, teacher, rows=batch)
        cell[label] = found.student
        cell.setdefault("teacher, naive loop", found.naive)
        cell.setdefault("teacher, exact", found.exact)
    if name.startswith("MAF"):
        with_stepper = _with_solver(teacher, solvers.Stepwise())
        cell["teacher, stepper in PyTorch"] = batch / _least(lambda: with_stepper.sample(batch))
    return cell


def _students(name: str, teacher: Any) -> dict[str, cf.Flow]:
    """Of the teacher's own shape, or of the networks of Parallel WaveNet; and a smaller one."""
    small = models.iaf(FEATURES, layers=2, hidden=(256, 256), activation=nn.SiLU())
    if name.startswith("MAF"):
        return {
            "student of the same size": d.student_of(teacher, network=d.Masked((1024, 1024))),
            "small student": small,
        }
    if name.startswith("convolution"):
        return {"student of convolutions": _convolutional(), "small student": small}
    return {"small student": small}


def _convolutional() -> cf.Flow:
    """Two affine layers of causal convolutions of 32 channels."""
    layers = [
        bijections.Autoregressive(conditioners.CausalConv(FEATURES, 2, 32), cf.univariate.Affine()) for _ in range(2)
    ]
    return cf.Flow(cf.bases.StandardLogistic(FEATURES), bijections.Chain(layers))


def _with_solver(teacher: cf.Flow, solver: Any) -> cf.Flow:
    import copy

    other = copy.deepcopy(teacher)
    for module in other.modules():
        if isinstance(module, bijections.Autoregressive):
            module.solver = solver
    return other


@torch.no_grad()
def _least(call: Callable[[], Any]) -> float:
    call()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
