"""Simulation-based inference with sbi, its density estimator one of ours: two moons, and a test of calibration.

pip install 'counterflow[sbi]'
python examples/05_sbi.py
"""

import contextlib
import math
import tempfile
import warnings

import torch

from counterflow import diagnostics
from counterflow.interop import sbi as flows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of sbi's own imports
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

PRIOR = BoxUniform(-torch.ones(2), torch.ones(2))


def two_moons(theta: torch.Tensor) -> torch.Tensor:
    """A crescent whose place depends on |a + b| and a - b: every observation has two crescents of causes."""
    angle = math.pi * (torch.rand(len(theta)) - 0.5)
    radius = 0.1 + 0.01 * torch.randn(len(theta))
    crescent = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], -1)
    a, b = theta.unbind(-1)
    return crescent + torch.stack([-(a + b).abs(), b - a], -1) / math.sqrt(2)


def main() -> None:
    """Train, look at one posterior, test the calibration of all."""
    torch.set_num_threads(1)  # networks this small gain nothing from more
    torch.manual_seed(0)
    theta = PRIOR.sample((20_000,))
    inference = NPE(PRIOR, density_estimator=flows.nsf(layers=3, hidden=(48, 48)), show_progress_bars=False)
    inference.append_simulations(theta, two_moons(theta))
    inference.train(max_num_epochs=20, training_batch_size=400, learning_rate=4e-3)
    # Once more and slower: steps of 4e-3 end beside the optimum, and the ranks below see it.
    estimator = inference.train(
        max_num_epochs=6, training_batch_size=400, learning_rate=4e-4, force_first_round_loss=True
    )
    posterior = inference.build_posterior(estimator)

    draws = posterior.sample((4000,), x=torch.zeros(1, 2), show_progress_bars=False)
    upper = float((draws.sum(-1) > 0).double().mean())
    print(
        f"Of two crescents the upper one has {upper:.2f} of the draws (0.5 is right), all of them in the prior's box."
    )

    truths = PRIOR.sample((400,))
    seen = two_moons(truths)
    drawn = posterior.sample_batched((127,), x=seen, show_progress_bars=False)
    generator = torch.Generator().manual_seed(0)
    ranks = diagnostics.simulation_based_calibration(drawn, truths, generator=generator)
    coverage = diagnostics.tarp(drawn, truths, generator=generator)
    p_values = ranks.uniformity.p_value
    print(f"Ranks of the truth among draws: p = {p_values.round(3)} for the two parameters; below 0.01 they are not")
    print("uniform, so that the posterior is wrong: train for longer, or simulate more.")
    print(f"TARP: expected coverage is off by {coverage.statistic:.3f} at most (p = {coverage.p_value:.2f}).")
    ranked = diagnostics.density_ranks(estimator.net, truths, seen, draws=127, generator=generator)
    densest = diagnostics.coverage(ranked, levels=(0.5, 0.9)).coverage
    print(f"The densest 50 % and 90 % of the posteriors hold {densest[0]:.2f} and {densest[1]:.2f} of the truths.")
    assert bool((p_values > 0.01).all())  # of a right posterior 1 run in 50 fails this
    assert coverage.p_value > 0.01
    assert abs(densest[1] - 0.9) < 0.06  # four standard errors
    assert 0.35 < upper < 0.65
    assert bool((draws.abs() <= 1).all())


with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # sbi writes its logs where it runs
    main()
