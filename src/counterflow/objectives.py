"""Training objectives: functions of densities, in nats per event."""

from typing import Any

from jaxtyping import Float
from torch import Generator, Tensor

from .densities import Density, Reparameterised
from .shapes import LogDensity, Vector

Scalar = Float[Tensor, ""]


def log_prob_of(p: Density, x: Vector) -> LogDensity:
    """log p(x), with the shape that the contract promises.

    Raises:
        ValueError: p returned another shape; a torch distribution then lacks its Independent.
    """
    log_prob = p.log_prob(x)
    if log_prob.shape != x.shape[:-1]:
        raise ValueError(
            f"{type(p).__name__}.log_prob returned shape {tuple(log_prob.shape)} for x of shape {tuple(x.shape)}, "
            f"expected {tuple(x.shape[:-1])}: sum over the event (torch.distributions.Independent(p, 1) does)"
        )
    return log_prob


def forward_kl(p: Density, x: Vector, weight: Tensor | None = None) -> Scalar:
    r"""Monte-Carlo estimate of KL(data || p), up to the entropy of the data: maximum likelihood.

    .. math:: -\frac{\sum_n w_n \log p(x_n)}{\sum_n w_n}

    Args:
        p: Scores x; a conditional model is `given` its context first.
        x: Draws from the data, (*B, D).
        weight: One per draw, (*B); may be negative as long as the sum is not.

    Returns:
        Scalar, nats per event.

    Raises:
        ValueError: weights of another shape than the batch, or that do not sum to more than zero.

    Error: unbiased without weights; standard deviation falls as N**-0.5.    Cost: one score.
    """
    log_prob = log_prob_of(p, x)
    if weight is None:
        return -log_prob.mean()
    if weight.shape != log_prob.shape:
        raise ValueError(f"expected one weight per row, shape {tuple(log_prob.shape)}, got {tuple(weight.shape)}")
    total = weight.sum()
    if not bool(total > 0):
        raise ValueError(f"the weights sum to {float(total)}; a mean needs a positive sum")
    return -(weight * log_prob).sum() / total


def reverse_kl(q: Reparameterised, p: Density, num_samples: int = 1, *, generator: Generator | None = None) -> Scalar:
    r"""Monte-Carlo estimate of KL(q || p), up to the log normaliser of p.

    .. math:: E_{x \sim q} [\log q(x) - \log p(x)]

    Args:
        q: Draws x differentiably, shape (num_samples, *batch, D).
        p: Scores x; may be unnormalised.
        num_samples: Draws per context, at least 1.
        generator: The source of randomness; None is the global one.

    Returns:
        Scalar, nats per event; total gradient in the parameters of q.

    Raises:
        ValueError: num_samples < 1, or p returns the wrong shape.

    Error: unbiased; standard deviation falls as num_samples**-0.5.    Cost: one pass of q, one of p.
    Source: Papamakarios et al. (2021), arXiv:1912.02762.
    """
    if num_samples < 1:
        raise ValueError(f"expected at least one sample, got {num_samples}")
    shape: Any = (num_samples,)
    x, log_q = q.rsample_and_log_prob(shape, generator=generator)
    return (log_q - log_prob_of(p, x)).mean()
