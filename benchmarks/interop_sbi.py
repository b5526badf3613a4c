"""Section `sbi` of benchmarks/interop.py: two moons, whose posterior is known exactly."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from typing import Any

import torch
from torch import Tensor

SIMULATIONS, DRAWS, OBSERVATIONS = 10_000, 2_000, 5


def two_moons() -> dict[str, Any]:
    """NPE by sbi's default estimator (a MAF of nflows), its neural spline flow, and ours."""
    from sbi.inference import NPE
    from sbi.utils import BoxUniform
    from sbi.utils.metrics import c2st

    from counterflow.interop import sbi as ours

    prior = BoxUniform(-torch.ones(2), torch.ones(2))
    torch.manual_seed(0)
    theta = prior.sample((SIMULATIONS,))
    x = _simulated(theta)
    observed = _simulated(prior.sample((OBSERVATIONS,)))
    exact = [_posterior(one) for one in observed]
    kinds = {
        "sbi default: nflows MAF": "maf",
        "sbi nsf: nflows": "nsf",
        "ours: maf()": ours.maf(),
        "ours: nsf()": ours.nsf(),
    }
    found: dict[str, Any] = {}
    for label, kind in kinds.items():
        torch.manual_seed(1)
        with contextlib.chdir(tempfile.mkdtemp()):
            start = time.process_time()
            inference = NPE(prior, density_estimator=kind, show_progress_bars=False)
            estimator = inference.append_simulations(theta, x).train(training_batch_size=200)
            training = time.process_time() - start
        posterior = inference.build_posterior(estimator)
        start = time.process_time()
        posterior.sample((10_000,), x=observed[:1], show_progress_bars=False)
        sampling = time.process_time() - start
        scores = []
        for one, right in zip(observed, exact, strict=True):
            drawn = posterior.sample((DRAWS,), x=one[None], show_progress_bars=False)
            scores.append(float(c2st(drawn, right, seed=1)))
        found[label] = {"training": training, "sampling": sampling, "c2st": scores}
    return {
        "what": f"{SIMULATIONS:,} simulations, batches of 200, sbi's own training and early stopping. C2ST: accuracy "
        f"of sbi's classifier between {DRAWS:,} draws and as many of the exact posterior; 0.5 is perfect. Processor "
        "seconds.",
        "estimators": found,
    }


def _simulated(theta: Tensor) -> Tensor:
    angle = math.pi * (torch.rand(len(theta)) - 0.5)
    radius = 0.1 + 0.01 * torch.randn(len(theta))
    crescent = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], -1)
    a, b = theta.unbind(-1)
    return crescent + torch.stack([-(a + b).abs(), b - a], -1) / math.sqrt(2)


def _posterior(x: Tensor) -> Tensor:
    """Exact draws: |a + b| and b - a follow from the crescent, the sign is random; those in the box are kept."""
    kept: list[Tensor] = []
    while sum(map(len, kept)) < DRAWS:
        count = 4 * DRAWS
        angle = math.pi * (torch.rand(count) - 0.5)
        radius = 0.1 + 0.01 * torch.randn(count)
        total = math.sqrt(2) * (radius * angle.cos() + 0.25 - x[0])
        apart = math.sqrt(2) * (x[1] - radius * angle.sin())
        signed = total * (2 * torch.randint(2, (count,)) - 1)
        theta = torch.stack([(signed - apart) / 2, (signed + apart) / 2], -1)
        kept.append(theta[(total > 0) & (theta.abs() < 1).all(-1)])
    return torch.cat(kept)[:DRAWS]
