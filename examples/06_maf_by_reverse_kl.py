"""Train a MAF by reverse KL: on a log density, from draws that it has to solve for; held against a known evidence.

The target is the posterior of a Bayesian linear regression with unknown noise, on 40 patients of scikit-learn's
diabetes data: ten slopes and the logarithm of the noise, strongly dependent and not normal. It is given up to its
evidence Z. The prior is conjugate, so log Z is known in closed form, and the KL = log Z - E_q[log p~ - log q]
is a number that can be checked, not only a loss that went down.
"""

import math

import torch
from sklearn.datasets import load_diabetes

import counterflow as cf

PATIENTS, WIDTH, SHAPE, RATE = 40, 10.0, 2.0, 1.0  # of the data, and of the prior


class Regression:
    """log p(y, b, s) with y ~ N(X b, v), b ~ N(0, WIDTH v), v = exp(2 s) ~ InverseGamma(SHAPE, RATE); x = (b, s)."""

    def __init__(self) -> None:
        table, target = load_diabetes(return_X_y=True)
        columns = torch.tensor(table, dtype=torch.float32)
        y = torch.tensor(target, dtype=torch.float32)
        self.predictors = ((columns - columns.mean(0)) / columns.std(0))[:PATIENTS]
        self.y = ((y - y.mean()) / y.std())[:PATIENTS]

    def log_prob(self, x: torch.Tensor, /) -> torch.Tensor:
        """Up to nothing: with all constants, so that its integral is the evidence."""
        b, s = x[..., :-1], x[..., -1]
        v, (n, d) = (2 * s).exp(), self.predictors.shape
        squares = (self.y - b @ self.predictors.mT).square().sum(-1) + b.square().sum(-1) / WIDTH
        normal = -squares / (2 * v) - (n + d) * s - (n + d) / 2 * math.log(2 * math.pi) - d / 2 * math.log(WIDTH)
        prior = SHAPE * math.log(RATE) - math.lgamma(SHAPE) - 2 * (SHAPE + 1) * s - RATE / v
        return normal + prior + math.log(2) + 2 * s  # dv = 2 exp(2 s) ds

    def log_evidence(self) -> float:
        """The textbook's closed form, in float64."""
        predictors, y = self.predictors.double(), self.y.double()
        n, d = predictors.shape
        precision = predictors.mT @ predictors + torch.eye(d, dtype=torch.double) / WIDTH
        mean = torch.linalg.solve(precision, predictors.mT @ y)
        shape, rate = SHAPE + n / 2, RATE + (y @ y - mean @ precision @ mean).item() / 2
        gammas = math.lgamma(shape) - math.lgamma(SHAPE) + SHAPE * math.log(RATE) - shape * math.log(rate)
        return gammas - n / 2 * math.log(2 * math.pi) - d / 2 * math.log(WIDTH) - torch.logdet(precision).item() / 2


def main() -> None:
    """Fit the posterior, then read off the KL and the evidence."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks this small gain nothing from more
    p = Regression()
    features = p.predictors.shape[1] + 1
    q = cf.models.maf(features, layers=2, hidden=(64, 64), base=cf.bases.DiagonalNormal(features))
    cf.fit(q, loss=lambda q, _: cf.reverse_kl(q, p, 64), steps=1200, learning_rate=5e-3, progress=False)

    with torch.no_grad():
        x, log_q = q.rsample_and_log_prob(20_000, generator=torch.Generator().manual_seed(1))
        log_weight = p.log_prob(x) - log_q
    kl = p.log_evidence() - log_weight.mean().item()
    error = log_weight.std().item() / 20_000**0.5
    log_z = log_weight.logsumexp(0).item() - math.log(20_000)
    print(f"KL(q || posterior) = {kl:.4f} +- {error:.4f} nats, with the evidence in closed form")
    print(f"log evidence by importance weights {log_z:.4f}, exact {p.log_evidence():.4f}")
    assert kl > -5 * error  # a KL is not negative: draws, scores and evidence belong together
    assert kl < 0.08, kl
    assert abs(log_z - p.log_evidence()) < 0.03


if __name__ == "__main__":
    main()
