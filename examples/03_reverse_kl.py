"""Train an IAF by reverse KL on an unnormalised log density, and hold the estimate of the KL against quadrature.

The target is a banana in two dimensions, known up to a constant; the constant, log Z = log 2 pi, is used only to check.
Reverse KL needs draws of q with their log density, which an IAF gives in one pass; its base learns too. The same
flow then scores foreign points, a grid, by its exact inverse: so KL(q || p) can be integrated, and log Z estimated.
"""

import math

import torch

import counterflow as cf

LOG_Z = math.log(2 * math.pi)


class Banana:
    """log p~(x) = -x_1^2 / 8 - 2 (x_2 - x_1^2 / 4)^2, so that Z = 2 pi."""

    def log_prob(self, x: torch.Tensor, /) -> torch.Tensor:
        """log p(x) + log Z."""
        return -(x[..., 0] ** 2) / 8 - 2 * (x[..., 1] - x[..., 0] ** 2 / 4) ** 2


@torch.no_grad()
def kl_by_draws(q: cf.Flow, p: Banana, generator: torch.Generator) -> tuple[float, float]:
    """KL(q || p) in nats and its standard error, from 40 batches of 500 draws."""
    batches = torch.stack([cf.reverse_kl(q, p, 500, generator=generator) for _ in range(40)]) + LOG_Z
    return batches.mean().item(), batches.std().item() / 40**0.5


@torch.no_grad()
def kl_by_quadrature(q: cf.Flow, p: Banana) -> float:
    """The integral of q (log q - log p) over [-12, 12] x [-6, 30], by the rectangle rule at 500 x 500 points."""
    x = torch.cartesian_prod(torch.linspace(-12, 12, 500), torch.linspace(-6, 30, 500))
    cell = (24 / 499) * (36 / 499)
    log_q = q.log_prob(x)
    mass = log_q.exp().sum().item() * cell
    assert abs(mass - 1) < 1e-2, f"the flow has mass {mass} on the grid"
    return ((log_q - p.log_prob(x) + LOG_Z) * log_q.exp()).sum().item() * cell


def main() -> None:
    """Before and after: two ways to the same KL; then log Z."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks this small gain nothing from more
    p, generator = Banana(), torch.Generator().manual_seed(1)
    q = cf.models.iaf(features=2, layers=2, hidden=(32, 32), base=cf.bases.DiagonalNormal(2))

    for when in ("before", "after"):
        if when == "after":
            cf.fit(q, loss=lambda q, _: cf.reverse_kl(q, p, 256), steps=1500, learning_rate=5e-3, progress=False)
        drawn, error = kl_by_draws(q, p, generator)
        integrated = kl_by_quadrature(q, p)
        print(f"KL(q || p) {when} training: {drawn:.4f} +- {error:.4f} by draws, {integrated:.4f} by quadrature")
        assert abs(drawn - integrated) < 5 * error + 1e-4  # wrong less than once in a million runs, or in float32
    assert integrated < 0.02

    # Importance weights p~ / q estimate Z; their spread says how far q can be trusted.
    with torch.no_grad():
        x, log_q = q.rsample_and_log_prob(20_000, generator=generator)
        log_weight = p.log_prob(x) - log_q
    log_z = log_weight.logsumexp(0).item() - math.log(20_000)
    efficiency = (2 * log_weight.logsumexp(0) - (2 * log_weight).logsumexp(0)).exp().item() / 20_000
    print(f"log Z: {log_z:.4f}, exact {LOG_Z:.4f}; effective sample size {efficiency:.1%}")
    assert abs(log_z - LOG_Z) < 0.02
    assert efficiency > 0.9


if __name__ == "__main__":
    main()
