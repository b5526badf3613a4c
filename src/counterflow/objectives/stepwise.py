r"""Reverse KL step by step: both densities expose their conditionals in the same order of coordinates.

With the chain rule for densities, for a student q and a teacher p over x_1 .. x_D,

.. math:: KL(q \| p) = \sum_t E_{x_{<t} \sim q} \left[ H(q_t, p_t) - H(q_t) \right], \qquad
          q_t = q(\cdot | x_{<t}), \; p_t = p(\cdot | x_{<t}).

One draw of the student gives every prefix at once. For each prefix both laws of x_t are known, so the inner expectation
can be taken more finely than by the one x_t that was drawn: from fresh draws of q_t, which need no network, or in
closed form.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..densities import AutoregressiveDensity, Conditionals, StepwiseSampler
from ..families import Laws, Normal
from ..shapes import Vector

Scalar = Float[Tensor, ""]


class StepwiseTerms(NamedTuple):
    """Of every draw and step, (num_samples, *batch, D), nats: KL is the sum over steps of their difference.

    Attributes:
        x: The draws.
        cross_entropy: H(q_t, p_t), estimated from fresh draws of x_t.
        entropy: H(q_t).
    """

    x: Vector
    cross_entropy: Vector
    entropy: Vector


def stepwise_terms(
    q: StepwiseSampler,
    p: AutoregressiveDensity,
    num_samples: int = 1,
    *,
    draws: int = 16,
    generator: Generator | None = None,
) -> StepwiseTerms:
    r"""Cross entropy and entropy of every step, from one pass of each network.

    .. math:: H(q_t, p_t) \approx -\frac1K \sum_k \log p(x_t^{(k)} | x_{<t}), \qquad x_t^{(k)} \sim q_t

    The entropy is in closed form where q_t has one, else minus the mean of log q_t over the same draws.

    Args:
        q: A student whose steps are known laws: `as_autoregressive(iaf(..., permutation=None))`.
        p: A teacher with conditionals, in the same order.
        num_samples: Draws per context, at least 1.
        draws: K, of each x_t.
        generator: The source of randomness; None is the global one.

    Raises:
        TypeError: q or p has no such steps; the message of `as_autoregressive` names the layer.
        ValueError: num_samples or draws < 1, or two different orders.

    Error: unbiased; the inner one falls as K**-0.5.
    Cost: one pass of q, one of p, K evaluations of the laws.
    Source: van den Oord et al. (2018), arXiv:1711.10433, eq. 6 to 8.
    """
    if draws < 1:
        raise ValueError(f"expected at least one draw of each step, got {draws}")
    x, student, teacher = _laws(q, p, num_samples, generator)
    fresh = student.rsample((draws,), generator=generator)  # (K, *S, D)
    cross_entropy = -teacher.log_prob(fresh).mean(0)
    entropy = _closed_entropy(student)
    if entropy is None:
        entropy = -student.log_prob(fresh).mean(0)
    return StepwiseTerms(x, cross_entropy, entropy)


def stepwise_kl(
    q: StepwiseSampler,
    p: AutoregressiveDensity,
    num_samples: int = 1,
    *,
    draws: int = 16,
    generator: Generator | None = None,
) -> Scalar:
    r"""KL(q || p) from fresh draws of every step.

    .. math:: \sum_t E_{x_{<t}} \left[ H(q_t, p_t) - H(q_t) \right]

    Args:
        q: A student whose steps are known laws.
        p: A teacher with conditionals, in the same order.
        num_samples: Draws per context, at least 1.
        draws: Of each step.
        generator: The source of randomness; None is the global one.

    Returns:
        Scalar, nats per event; total gradient in the parameters of q.

    Raises:
        TypeError, ValueError: see `stepwise_terms`.

    Error, Cost, Source: those of `stepwise_terms`.
    """
    terms = stepwise_terms(q, p, num_samples, draws=draws, generator=generator)
    return (terms.cross_entropy - terms.entropy).sum(-1).mean()


def stepwise_kl_normal(
    q: StepwiseSampler,
    p: AutoregressiveDensity,
    num_samples: int = 1,
    *,
    regulariser: float = 0.0,
    generator: Generator | None = None,
) -> Scalar:
    r"""KL(q || p) of normal steps, each in closed form, with the distance of log scales that keeps peaked steps tame.

    .. math:: \sum_t E_{x_{<t}} \left[ \log\frac{\sigma_p}{\sigma_q}
              + \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{2 \sigma_p^2} - \frac12
              + \lambda (\log \sigma_q - \log \sigma_p)^2 \right]

    Args:
        q: A student with normal steps.
        p: A teacher with normal steps, in the same order.
        num_samples: Draws per context, at least 1.
        generator: The source of randomness; None is the global one.
        regulariser: lambda; 0 is the divergence itself, 4 is ClariNet's.

    Returns:
        Scalar, nats per event; total gradient in the parameters of q.

    Raises:
        TypeError: a step whose law is not normal.
        ValueError: num_samples < 1, two different orders, or a negative regulariser.

    Error: unbiased for lambda = 0; what is left varies with the prefixes alone.
    Cost: one pass of q, one of p.
    Source: Ping et al. (2019), arXiv:1807.07281, eq. 6 and 7.
    """
    if regulariser < 0:
        raise ValueError(f"expected a regulariser of at least 0, got {regulariser}")
    _, student, teacher = _laws(q, p, num_samples, generator)
    (mu_q, log_q), (mu_p, log_p) = _normal(student, "student"), _normal(teacher, "teacher")
    apart = log_p - log_q
    kl = apart + 0.5 * (torch.exp(-2 * apart) + ((mu_q - mu_p) * torch.exp(-log_p)).square()) - 0.5
    return (kl + regulariser * apart.square()).sum(-1).mean()


def _laws(
    q: StepwiseSampler, p: AutoregressiveDensity, num_samples: int, generator: Generator | None
) -> tuple[Vector, Conditionals, Conditionals]:
    if num_samples < 1:
        raise ValueError(f"expected at least one sample, got {num_samples}")
    ours, theirs = _order(q), _order(p)
    if ours is not None and theirs is not None and ours != theirs:
        raise ValueError(
            f"the student generates its coordinates in the order {_shown(ours)}, the teacher in {_shown(theirs)}: "
            "their steps do not condition on the same; use reverse_kl, or build the student in the teacher's order"
        )
    shape: Any = (num_samples,)
    x, student = q.rsample_and_conditionals(shape, generator=generator)
    teacher = p.conditionals(x)
    return x, student, teacher


def _order(density: Any) -> tuple[int, ...] | None:
    """In which a density generates its coordinates; None if it does not say."""
    model = getattr(density, "model", density)  # of a density given a context
    order = getattr(model, "order", None)
    order = getattr(getattr(model, "conditioner", None), "order", None) if order is None else order
    return None if order is None else tuple(order)


def _shown(order: tuple[int, ...]) -> str:
    return str(order) if len(order) <= 8 else f"({', '.join(map(str, order[:6]))}, ...)"


def _closed_entropy(laws: Conditionals) -> Tensor | None:
    try:
        return laws.entropy()
    except TypeError:
        return None


def _normal(laws: Conditionals, whose: str) -> tuple[Tensor, Tensor]:
    """Location and log scale of normal laws."""
    if not isinstance(laws, Laws) or not isinstance(laws.family, Normal):
        kind = type(laws.family).__name__ if isinstance(laws, Laws) else "the base pushed through maps"
        raise TypeError(f"the steps of the {whose} are not normal ({kind}): use stepwise_kl, which draws")
    mu, raw = laws.params.unbind(-1)
    return mu, laws.family.scale.log_scale(raw)
