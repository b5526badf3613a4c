"""Forward and reverse Kullback-Leibler divergence from whole draws: functions of densities, in nats per event."""

from typing import Any

from jaxtyping import Float
from torch import Generator, Tensor, nn

from ..densities import Density, Reparameterised, detached
from ..model import Given
from ..shapes import LogDensity, Vector

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
    x, log_q = _draw(q, num_samples, generator)
    return (log_q - log_prob_of(p, x)).mean()


def reverse_kl_path(
    q: Reparameterised, p: Density, num_samples: int = 1, *, generator: Generator | None = None
) -> Scalar:
    r"""Monte-Carlo estimate of KL(q || p) as `reverse_kl`, with the path gradient ("sticking the landing").

    .. math:: E_{x \sim q} \left[ \left( \frac{\partial \log q(x)}{\partial x}
              - \frac{\partial \log p(x)}{\partial x} \right) \frac{dx}{d\theta} \right]

    The parameters of q act through the draws x = f(u; theta) alone; log q is scored with constant parameters. What that
    leaves out, the score d log q(x) / d theta at fixed x, has mean zero under q. Where q equals p the bracket is
    zero at every single draw, so the noise of the gradient vanishes as q approaches p.

    Args:
        q: Draws x differentiably, shape (num_samples, *batch, D), and scores any x; a module, or one `given` a context.
            What the context was made of acts through x alone too.
        p: Scores x; may be unnormalised.
        num_samples: Draws per context, at least 1.
        generator: The source of randomness; None is the global one.

    Returns:
        Scalar, nats per event; path gradient in the parameters of q.

    Raises:
        TypeError: q has no parameters that can be held constant, or no reparameterised draws.
        ValueError: num_samples < 1, or p returns the wrong shape.
        RuntimeError: dropout is active, so that x would be drawn by one function and scored by another.

    Error: unbiased, the value and the gradient.
    Cost: one draw and one score of q with their backward passes, one score of p. One of the two directions of a flow
        with autoregressive layers is the solver's.
    Source: Roeder et al. (2017), arXiv:1703.09194; for normalising flows Vaitl et al. (2022), arXiv:2207.08219.
    """
    x, _ = _draw(q, num_samples, generator)
    return (log_prob_of(_constant(q), x) - log_prob_of(p, x)).mean()


def _draw(q: Reparameterised, num_samples: int, generator: Generator | None) -> tuple[Vector, LogDensity]:
    """x ~ q, (num_samples, *batch, D), and log q(x)."""
    if num_samples < 1:
        raise ValueError(f"expected at least one sample, got {num_samples}")
    shape: Any = (num_samples,)
    return q.rsample_and_log_prob(shape, generator=generator)


def _constant(q: Reparameterised) -> Density:
    """The function that drew x, held constant: of a context the very encoding, since encoders may be random."""
    if not isinstance(q, Given):
        _refuse_dropout(q)
        return detached(q)
    _refuse_dropout(q.model)
    encoded = None if q.encoded is None else q.encoded.detach()
    return Given(detached(q.model), q.context, encoded)


def _refuse_dropout(q: object) -> None:
    """Dropout as torch's modules have it, or as a rate under the name `dropout`; that of an encoder has been drawn."""
    for name, part in q.named_modules() if isinstance(q, nn.Module) else ():
        rate = part.p if isinstance(part, nn.modules.dropout._DropoutNd) else getattr(part, "dropout", 0.0)
        if part.training and isinstance(rate, float) and rate > 0 and not name.startswith("context_encoder"):
            raise RuntimeError("dropout makes q a different function at every call: call eval() first")
