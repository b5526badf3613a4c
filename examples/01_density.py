"""Fit a density to data whose true density is known, and compare: held-out log-likelihood, scores row by row, samples.

The data are the two-dimensional mixture of four ridges below. A MAF of spline layers is fitted by maximum likelihood;
the truth and a fitted Gaussian are its yardsticks. The gap to the truth is an estimate of KL(truth || flow).
"""

import math

import torch

import counterflow as cf
from counterflow.diagnostics import FittedGaussian, compare

torch.manual_seed(0)
torch.set_num_threads(1)  # networks this small gain nothing from more


def ridges() -> torch.distributions.Distribution:
    """Four long, thin normals, turned by 45 degrees each."""
    angles = torch.arange(4) * math.pi / 4
    along = torch.stack([angles.cos(), angles.sin()], -1)
    across = torch.stack([-angles.sin(), angles.cos()], -1)
    root = torch.stack([along, 0.1 * across], -1)  # (4, 2, 2), columns scaled by the standard deviations
    parts = torch.distributions.MultivariateNormal(2.0 * across, root @ root.mT)
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(logits=torch.zeros(4)), parts)


def main() -> None:
    """Fit, compare, draw."""
    truth = ridges()
    train, test = truth.sample((8000,)), truth.sample((4000,))

    flow = cf.models.nsf(features=2, layers=3, hidden=(64, 64))
    history = cf.fit(flow, train, validation=0.1, epochs=30, batch_size=500, learning_rate=3e-3, progress=False)
    print(f"{history.steps} steps, {history.stopped_because}, best step {history.best_step}")

    to_truth = compare(flow, truth, test)
    to_gaussian = compare(flow, FittedGaussian(train), test)
    print(f"held-out log-likelihood  {to_truth.model.mean:.3f} +- {to_truth.model.standard_error:.3f} nats per row")
    print(f"flow minus Gaussian      {to_gaussian.difference.mean:+.3f} +- {to_gaussian.difference.standard_error:.3f}")
    print(f"flow minus truth         {to_truth.difference.mean:+.3f} +- {to_truth.difference.standard_error:.3f}")

    draws = flow.sample(4000, generator=torch.Generator().manual_seed(1))
    near = (truth.log_prob(draws) > truth.log_prob(test).quantile(0.01)).float().mean()
    print(f"share of samples where the truth puts 99 % of its mass: {near:.3f}")

    kl = -to_truth.difference.mean  # of truth to flow, in nats
    assert kl < 0.12, kl
    assert to_gaussian.difference.mean > 20 * to_gaussian.difference.standard_error
    assert near > 0.94, near


if __name__ == "__main__":
    main()
