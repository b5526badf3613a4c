"""The path gradient of an IAF ("sticking the landing"): the same gradient on average, with less noise near the end.

Reverse KL moves the parameters in two ways: through the draws, and through log q at fixed draws. The second has mean
zero and is noise. `reverse_kl_path` leaves it out by scoring each draw with constant parameters, which for an IAF is
its exact inverse, on top of the draw. The target is the posterior of a logistic regression on ten measurements of
scikit-learn's breast cancer data. Two flows that start alike are trained for the same number of steps.
"""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer

import counterflow as cf

DRAWS, STEPS = 64, 800
LOSSES = {"total": cf.reverse_kl, "path": cf.reverse_kl_path}


class Posterior:
    """log p(y | X, b) + log N(b; 0, 25) for labels y = +-1, up to a constant; b holds an intercept."""

    def __init__(self) -> None:
        table, label = load_breast_cancer(return_X_y=True)
        columns = torch.tensor(table[:, :10], dtype=torch.float32)
        columns = (columns - columns.mean(0)) / columns.std(0)
        self.predictors = torch.cat([columns, torch.ones(len(columns), 1)], 1)
        self.sign = 2 * torch.tensor(label, dtype=torch.float32) - 1

    def log_prob(self, b: torch.Tensor, /) -> torch.Tensor:
        """The log-likelihood and the log-prior."""
        return F.logsigmoid(self.sign * (b @ self.predictors.mT)).sum(-1) - b.square().sum(-1) / 50


def gradients(q: cf.Flow, p: Posterior, name: str, count: int = 60) -> torch.Tensor:
    """Independent estimates of the gradient in all parameters, (count, parameters)."""
    found = []
    for seed in range(count):
        loss = LOSSES[name](q, p, DRAWS, generator=torch.Generator().manual_seed(seed))
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(q.parameters()))]))
    return torch.stack(found)


@torch.no_grad()
def quality(q: cf.Flow, p: Posterior) -> tuple[float, float]:
    """log Z - KL(q || posterior), a lower bound of log Z; and the effective sample size of p / q, as a share."""
    x, log_q = q.rsample_and_log_prob(20_000, generator=torch.Generator().manual_seed(1))
    log_weight = p.log_prob(x) - log_q
    share = (2 * log_weight.logsumexp(0) - (2 * log_weight).logsumexp(0)).exp().item() / 20_000
    return log_weight.mean().item(), share


def main() -> None:
    """Train by either gradient, compare where they arrive; then compare the two gradients there."""
    torch.set_num_threads(1)  # networks this small gain nothing from more
    p, bound = Posterior(), {}
    features = p.predictors.shape[1]
    for name, loss in LOSSES.items():
        torch.manual_seed(0)
        q = cf.models.iaf(features, layers=2, hidden=(64, 64), base=cf.bases.DiagonalNormal(features))
        cf.fit(q, loss=lambda q, _, f=loss: f(q, p, DRAWS), steps=STEPS, learning_rate=5e-3, progress=False)
        bound[name], share = quality(q, p)
        print(f"trained by the {name} gradient: lower bound {bound[name]:.3f}, effective sample size {share:.0%}")

    total, path = (gradients(q, p, name) for name in LOSSES)
    noise = {name: g.var(0).sum().sqrt().item() for name, g in (("total", total), ("path", path))}
    print(f"standard deviation of one gradient at the end: total {noise['total']:.2f}, path {noise['path']:.2f}")
    # Same mean: 60 paired differences, whose mean is as small as its own standard error says.
    difference = total - path
    excess = difference.mean(0).norm().item() / (difference.var(0).sum() / len(difference)).sqrt().item()
    print(f"difference of their means: {excess:.2f} of its standard error")
    assert excess < 2
    assert noise["path"] < 0.5 * noise["total"]
    assert bound["path"] > bound["total"] + 0.01


if __name__ == "__main__":
    main()
