"""Section `teachers` of benchmarks/distil.py: MAFs of real data, their students, and what the weights repair."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import distillation as d
from counterflow import models
from counterflow.diagnostics import estimate, two_sample_test

CELLS = Path(__file__).resolve().parent / "results" / "density"
POOL = 50_000  # exact draws of the teacher, from which the start and the forward term take their batches
BATCHES, DRAWS = 5, 100_000
CORRECTED = 5000
ROUNDING = 0.5  # nats


@dataclass(frozen=True)
class Plan:
    """How a teacher and its student are trained.

    Attributes:
        activation, steps, rate, validate_every: Of the teacher; as in benchmarks/density.py.
        hidden, bend: Widths and activation of the student's networks.
        start: Steps of `MatchedLayers`.
        polish: Steps of path reverse KL.
        forward: Weight of forward KL beside it.
    """

    activation: type[nn.Module]
    steps: int
    rate: float
    validate_every: int | None
    hidden: tuple[int, ...]
    bend: type[nn.Module]
    start: int
    polish: int
    forward: float


PLANS = {
    "digits": Plan(nn.ReLU, 1500, 1e-3, 17, (256, 256), nn.SiLU, 3000, 500, 0.5),
    "maf_hepmass_mini": Plan(nn.Tanh, 3000, 3e-3, None, (256, 256), nn.SiLU, 5000, 1000, 0.5),
    # The teacher's ReLUs draw a row 10^5 standard deviations out now and then: a student that is bounded has none of
    # those, and forward KL, which would ask it to, is left out.
    "bsds300": Plan(nn.ReLU, 1500, 3e-3, 250, (512, 512), nn.Tanh, 3000, 4500, 0.0),
}
SETS = tuple(PLANS)


def measured(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train (or read) teacher and student, and hold one against the other."""
    plan, data = PLANS[name], _data(name)
    teacher, test = _teacher(name, plan, data, seed, folder)
    start = time.process_time()
    student, stages = _student(name, plan, teacher, seed, folder)
    generator = torch.Generator().manual_seed(1000 + seed)
    exact = _drawn(teacher, 2 * CORRECTED, generator)
    return {
        "features": data.features,
        "teacher": {
            "test": test,
            "same in density.py": _reference(name),
            "parameters": _size(teacher),
            "lost": _lost(teacher),
        },
        "student": {"hidden": plan.hidden, "parameters": _size(student), **stages},
        "weights": _weights(student, teacher, generator),
        "certificate": _certificate(student, teacher, exact, generator),
        "corrected": _corrected(student, teacher, exact, generator),
        "cpu_s": time.process_time() - start,
    }


def _data(name: str) -> datasets.DensityData:
    return _digits() if name == "digits" else datasets.load(name)


def _digits() -> datasets.DensityData:
    """scikit-learn's 1,797 digits: (p + U[0, 1)) / 17, then logit; 1,300 to train, 200 to stop by, the rest to test."""
    from sklearn.datasets import load_digits

    noise = np.random.default_rng(datasets.DEQUANTISATION_SEED)
    pixels = load_digits().data
    x = (pixels[noise.permutation(len(pixels))] + noise.random(pixels.shape)) / 17
    x = np.log(x / (1 - x))
    mean, std = x[:1300].mean(0), x[:1300].std(0)
    z = torch.from_numpy(((x - mean) / std).astype(np.float32))
    return datasets.DensityData("digits", z[:1300], z[1300:1500], z[1500:], float(-np.log(std).sum()))


def _teacher(name: str, plan: Plan, data: Any, seed: int, folder: Path) -> tuple[cf.Flow, dict[str, float]]:
    path = folder / f"teacher-{name}-{seed}.safetensors"
    if not path.exists():
        torch.manual_seed(seed)
        teacher = models.maf(data.features, layers=5, hidden=(100, 100), activation=plan.activation())
        cf.fit(
            teacher,
            data.train,
            validation=data.validation,
            steps=plan.steps,
            batch_size=256,
            learning_rate=plan.rate,
            patience=20,
            validate_every=plan.validate_every,
            seed=seed,
            progress=False,
        )
        cf.save(path, teacher)
    teacher = cf.load(path)
    with torch.no_grad():
        scores = torch.cat([teacher.log_prob(x) for x in data.test.split(5000)]) + data.log_det
    found = estimate(scores)
    return teacher, {"mean": found.mean, "standard error": found.standard_error}


def _reference(name: str) -> list[float] | None:
    """Held-out scores of the same architecture in benchmarks/density.py, by seed."""
    cells = sorted(CELLS.glob(f"{name}-counterflow-*.json"))
    return [json.loads(cell.read_text())["test_mean"] for cell in cells] or None


def _student(name: str, plan: Plan, teacher: cf.Flow, seed: int, folder: Path) -> tuple[cf.Flow, dict[str, Any]]:
    """Matched layer by layer, then polished on the density; what each stage reached and cost."""
    path = folder / f"student-{name}-{seed}.safetensors"
    said = path.with_suffix(".json")
    if path.exists() and said.exists():
        return cf.load(path), json.loads(said.read_text())
    torch.manual_seed(seed)
    student = d.student_of(teacher, network=d.Masked(plan.hidden, activation=plan.bend))
    pool = _drawn(teacher, POOL, None)
    stages = {"untrained": _kl(student, teacher)}
    alone = d.PathKL(256)
    both = d.Sum(((1.0, d.PathKL(128)), (plan.forward, d.ForwardKL(pool, 128)))) if plan.forward else alone
    for stage, objective, steps, rate in (
        ("start", d.MatchedLayers(pool, 256), plan.start, 2e-3),
        ("polish", both, plan.polish, 5e-4),
    ):
        begun = time.process_time()
        d.distil(student, teacher, objective=objective, steps=steps, learning_rate=rate, progress=False)
        stages[stage] = {"steps": steps, "cpu_s": time.process_time() - begun, **_kl(student, teacher)}
    cf.save(path, student)
    said.write_text(json.dumps(stages))
    return student, stages


def _kl(student: cf.Flow, teacher: cf.Flow) -> dict[str, float]:
    found = d.certify(student, teacher, 20_000, generator=torch.Generator().manual_seed(5))
    return {"kl": found.kl.mean, "error": found.kl.standard_error}


def _weights(student: cf.Flow, teacher: cf.Flow, generator: torch.Generator) -> dict[str, Any]:
    """Five batches of 100,000 draws of the student."""
    reports, kls = [], []
    for _ in range(BATCHES):
        found = d.certify(student, teacher, DRAWS, generator=generator)
        reports.append(found.weights)
        kls.append(found.kl)
    trusted = all(report.trusted for report in reports)
    return {
        "draws": DRAWS,
        "kl": statistics.mean(kl.mean for kl in kls),
        "kl_error": statistics.mean(kl.standard_error for kl in kls) / BATCHES**0.5,
        "effective_fraction": [report.effective_fraction for report in reports],
        "k_hat": [report.k_hat for report in reports],
        "log_normaliser": [[r.log_mean.mean, r.log_mean.standard_error] for r in reports] if trusted else None,
    }


def _certificate(student: cf.Flow, teacher: cf.Flow, exact: Tensor, generator: torch.Generator) -> dict[str, Any]:
    found = d.certify(student, teacher, CORRECTED, teacher_draws=exact[:CORRECTED], generator=generator)
    other = found.on_teacher
    assert other is not None
    assert other.two_sample is not None
    return {
        "forward_kl": other.kl.mean,
        "forward_kl_error": other.kl.standard_error,
        "uncovered": other.uncovered,
        **_auc(other.two_sample),
    }


def _corrected(student: cf.Flow, teacher: cf.Flow, exact: Tensor, generator: torch.Generator) -> dict[str, Any]:
    """Each way of correction against other exact draws of the teacher than those of the certificate."""
    other = exact[CORRECTED:]
    found: dict[str, Any] = {}
    resampled = d.importance_resample(student, teacher, CORRECTED, proposals=20 * CORRECTED, generator=generator)
    found["resampled"] = {"distinct": resampled.distinct, **_told_apart(resampled.x, other, generator)}
    chains = d.metropolis(student, teacher, CORRECTED, steps=20, generator=generator)
    apart = _told_apart(chains.x, other, generator)
    found["metropolis"] = {"acceptance": chains.acceptance, "stuck": chains.stuck, **apart}
    try:
        kept = d.reject(student, teacher, CORRECTED, most=300, generator=generator)
    except ValueError as error:
        found["rejected"] = {"refused": str(error)}
    else:
        apart = _told_apart(kept.x, other, generator)
        found["rejected"] = {"acceptance": kept.acceptance, "error": kept.error, **apart}
    return found


def _told_apart(x: Tensor, exact: Tensor, generator: torch.Generator) -> dict[str, float]:
    return _auc(two_sample_test(x, exact, generator=generator))


def _auc(apart: Any) -> dict[str, float]:
    found, control = apart.samples, apart.control
    return {"auc": found.auc, "auc_error": found.auc_error, "control": control.auc, "control_error": control.auc_error}


@torch.no_grad()
def _drawn(teacher: cf.Flow, count: int, generator: torch.Generator | None) -> Tensor:
    """Exact draws; those that lie too far out for single precision to score are drawn again, see `_lost`."""
    kept: list[Tensor] = []
    while sum(map(len, kept)) < count:
        x, drawn = teacher.rsample_and_log_prob(5000, generator=generator)
        kept.append(x[(teacher.log_prob(x) - drawn).abs() < ROUNDING])
    return torch.cat(kept)[:count]


@torch.no_grad()
def _lost(teacher: cf.Flow) -> float:
    """The share of draws whose log density from their noise and from their value differ, by rounding alone."""
    x, drawn = teacher.rsample_and_log_prob(50_000, generator=torch.Generator().manual_seed(7))
    return float(((teacher.log_prob(x) - drawn).abs() < ROUNDING).logical_not().double().mean())


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
