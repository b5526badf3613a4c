"""Section `sbi` of benchmarks/interop.py: two moons, whose posterior is known exactly, and the times of draws."""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SIMULATIONS, DRAWS, OBSERVATIONS = 10_000, 2_000, 5
FEATURES, ROWS = 10, 10_000  # of the times


def two_moons() -> dict[str, Any]:
    """NPE by sbi's default estimator (a MAF of nflows), its neural spline flow, and ours."""
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
        start = time.process_time()
        posterior, epochs = _trained(prior, kind, theta, x, training_batch_size=200)
        training = time.process_time() - start
        start = time.process_time()
        posterior.sample((10_000,), x=observed[:1], show_progress_bars=False)
        sampling = time.process_time() - start
        scores = []
        for one, right in zip(observed, exact, strict=True):
            drawn = posterior.sample((DRAWS,), x=one[None], show_progress_bars=False)
            scores.append(float(c2st(drawn, right, seed=1)))
        found[label] = {"training": training, "epochs": epochs, "sampling": sampling, "c2st": scores}
    return {
        "what": f"{SIMULATIONS:,} simulations, batches of 200, sbi's own training and early stopping. C2ST: accuracy "
        f"of sbi's classifier between {DRAWS:,} draws and as many of the exact posterior; 0.5 is perfect. Processor "
        "seconds.",
        "estimators": found,
    }


def accelerating() -> dict[str, Any]:
    """Posteriors that sbi trained, before `accelerated` and after; the prior is normal, so that no draw is rejected."""
    from counterflow.interop import sbi as ours

    torch.manual_seed(0)
    prior = torch.distributions.MultivariateNormal(torch.zeros(FEATURES), torch.eye(FEATURES))
    theta = prior.sample((2_000,))
    x = theta @ (torch.eye(FEATURES) + torch.randn(FEATURES, FEATURES) / 4) + 0.5 * torch.randn(len(theta), FEATURES)
    found: dict[str, Any] = {}
    for kind in ("maf", "maf_rqs", "nsf", "zuko_maf"):
        posterior, _ = _trained(prior, kind, theta, x, max_num_epochs=2)
        start = time.process_time()
        fast = ours.accelerated(posterior)
        converting = time.process_time() - start
        cell: dict[str, Any] = {"converting": converting}
        points = prior.sample((ROWS, 1))
        for label, one in (("before", posterior), ("after", fast)):
            net = one.posterior_estimator
            with torch.no_grad():
                cell[label] = {
                    "sampling": _least(lambda one=one: one.sample((ROWS,), x=x[:1], show_progress_bars=False)),
                    "scoring": _least(lambda net=net, points=points: net.log_prob(points, x[:1])),
                }
        with torch.no_grad():
            scores = [one.posterior_estimator.log_prob(points, x[:1]) for one in (fast, posterior)]
        cell["log_prob difference"] = float(((scores[0] - scores[1]).abs() / (1 + scores[1].abs())).max())
        found[kind] = cell
    return {
        "what": f"sbi's own estimators of {FEATURES} parameters of a linear simulator with as many data, 2,000 "
        f"simulations, two epochs: {ROWS:,} draws for one observation, and as many scores, least of the calls within "
        "two seconds. Processor seconds, one thread. Largest difference of log densities, relative above 1.",
        "estimators": found,
    }


def lampe() -> dict[str, Any]:
    """Draws of the flow that lampe makes itself, and of ours by the same arguments."""
    from lampe.inference import NPE

    from counterflow.interop import lampe as ours

    torch.manual_seed(0)
    x, flows = torch.randn(FEATURES), {}
    for label, options in (
        ("its default, a MAF of zuko", {}),
        ("ours, maf", {"build": ours.maf, "layers": 3, "hidden": (64, 64)}),
    ):
        net = NPE(FEATURES, FEATURES, **options)
        law = net.flow(x)
        flows[label] = net, lambda law=law: law.sample((ROWS,)), law.log_prob
    return {
        "what": f"Flows of {FEATURES} parameters given as many data, untrained: lampe's own, and ours by the same "
        f"arguments. {ROWS:,} draws for one observation and as many scores, least of the calls within two seconds. "
        "Processor seconds, one thread.",
        "flows": _measured(flows),
    }


def nessai() -> dict[str, Any]:
    """Draws of the flows that nessai makes itself, and of ours by the same arguments and of the same size."""
    from nessai.flows.utils import configure_model

    from counterflow.interop import nessai as ours

    torch.manual_seed(0)
    flows, width = {}, 2 * FEATURES  # nessai's defaults: 4 blocks, 2 layers, twice as many neurons as parameters
    for label, options in (
        ("its default, a RealNVP", {"ftype": "realnvp"}),
        ("MAF, residual blocks", {"ftype": "maf"}),
        ("MAF, plain layers", {"ftype": "maf", "use_residual_blocks": False}),
        ("ours, Maf", {"flow": ours.Maf}),
        ("ours, Maf with five layers", {"flow": ours.Maf, "n_layers": 5}),
        ("NSF, of couplings", {"ftype": "nsf"}),
        ("ours, Nsf", {"flow": ours.Nsf}),
        ("ours, Nsf with five layers", {"flow": ours.Nsf, "n_layers": 5}),
    ):
        sizes = {"n_inputs": FEATURES, "n_neurons": width, "n_blocks": 4, "n_layers": 2}
        net = configure_model(sizes | options).eval()
        flows[label] = net, lambda net=net: net.sample_and_log_prob(ROWS), net.log_prob
    return {
        "what": f"Flows of {FEATURES} parameters, untrained: nessai's own in its default sizes (4 blocks, 2 layers, "
        f"{width} neurons), and ours by the same arguments. {ROWS:,} draws with their log densities, as its sampler "
        "asks for them, and as many scores, least of the calls within two seconds. Processor seconds, one thread. A "
        "layer of nessai is a block of two with a skip; five layers are as many as its network has.",
        "flows": _measured(flows),
    }


@torch.no_grad()
def _measured(flows: dict[str, Any]) -> dict[str, Any]:
    """Weights and times of flows, each with how it draws and how it scores."""
    value, found = torch.randn(ROWS, FEATURES), {}
    for label, (net, draw, score) in flows.items():
        weights = sum(parameter.numel() for parameter in net.parameters())
        scoring = _least(lambda score=score: score(value))
        found[label] = {"weights": weights, "sampling": _least(draw), "scoring": scoring}
    return found


def _trained(prior: Any, kind: Any, theta: Tensor, x: Tensor, **options: Any) -> tuple[Any, int]:
    """The posterior of sbi's NPE, and how many epochs it was trained for; seeded."""
    from sbi.inference import NPE

    torch.manual_seed(1)
    with contextlib.chdir(tempfile.mkdtemp()):  # sbi writes its logs where it runs
        inference = NPE(prior, density_estimator=kind, show_progress_bars=False)
        estimator = inference.append_simulations(theta, x).train(**options)
    return inference.build_posterior(estimator), int(inference.summary["epochs_trained"][-1])


def _least(call: Callable[[], Any]) -> float:
    """Processor seconds of the fastest call of those that fit in two seconds, after one that is not counted."""
    call()
    found: list[float] = []
    while not found or sum(found) < 2:
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


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
