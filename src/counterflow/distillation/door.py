"""What a teacher and a student must be for one to be distilled into the other, each failure in the user's words."""

from typing import Any

import torch
from torch import Generator, Tensor

from ..objectives import log_prob_of

PROBE = 64


def check_pair(student: Any, teacher: Any, generator: Generator | None = None) -> None:
    """Try one small step before the first.

    Raises:
        TypeError: the teacher does not score, or the student does not draw differentiably.
        ValueError: sizes or supports that differ, a log density of another shape, NaN, one that does not depend on x,
            or a teacher of discrete data.
    """
    if not hasattr(teacher, "log_prob"):
        raise TypeError(f"expected a teacher with log_prob(x), got a {type(teacher).__name__}")
    _check_sizes(student, teacher)
    _check_discrete(teacher)
    shape: Any = (PROBE,)
    x, log_q = student.rsample_and_log_prob(shape, generator=generator)
    if not bool(log_q.isfinite().all()):
        raise ValueError("the student's own log density is not finite at its own draws")
    point = x.detach().requires_grad_()
    with torch.enable_grad():
        log_p = _scored(teacher, point)
    if bool(log_p.isnan().any()):
        raise ValueError("the teacher's log density is NaN at draws of the student")
    if bool((log_p == -torch.inf).any()):
        share = float((log_p == -torch.inf).double().mean())
        raise ValueError(_supports(f"the teacher has no density at {share:.0%} of the student's draws"))
    _check_gradient(log_p, point, teacher)


def _scored(teacher: Any, x: Tensor) -> Tensor:
    try:
        return log_prob_of(teacher, x)
    except ValueError as error:
        if "support" in str(error):
            said = str(error).split(", but found")[0]  # torch adds all the values
            raise ValueError(_supports(said)) from None
        raise


def _supports(problem: str) -> str:
    return (
        f"{problem}: the student must live on the teacher's support; append bijections.bounded(low, high) "
        "(or positive, or logit) to its bijection"
    )


def _check_sizes(student: Any, teacher: Any) -> None:
    theirs = getattr(teacher, "features", None)
    shape = getattr(teacher, "event_shape", None)
    if theirs is None and shape is not None:
        if len(shape) != 1:
            raise ValueError(
                f"the teacher's events have shape {tuple(shape)}, expected one axis: "
                "torch.distributions.Independent(teacher, 1) makes one of the last batch axis"
            )
        theirs = shape[0]
    if theirs is not None and theirs != student.features:
        raise ValueError(f"the student has {student.features} features, the teacher {theirs}")


def _check_discrete(teacher: Any) -> None:
    """A teacher that draws whole numbers only is one of discrete data."""
    if getattr(getattr(teacher, "support", None), "is_discrete", False):
        raise ValueError(_DISCRETE)
    if not hasattr(teacher, "sample"):
        return
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            drawn = teacher.sample((PROBE,))
        except (NotImplementedError, TypeError, ValueError):  # it scores only, or needs a context
            return
    if isinstance(drawn, Tensor) and drawn.numel() and bool((drawn == drawn.round()).all()):
        raise ValueError(_DISCRETE)


_DISCRETE = (
    "the teacher draws whole numbers: a continuous student has no density on them. Dequantise: fit the teacher to "
    "x + u with u uniform in [0, 1), or give it an InterpolatedLogisticMixture"
)


def _check_gradient(log_p: Tensor, x: Tensor, teacher: Any) -> None:
    """Every coordinate must act on log p: the last one of a piecewise constant autoregressive teacher does not."""
    gradient = None
    if log_p.requires_grad:
        (gradient,) = torch.autograd.grad(log_p.sum(), x, allow_unused=True)
    acts = torch.zeros(x.shape[-1], dtype=torch.bool) if gradient is None else (gradient != 0).any(0)
    if gradient is not None and bool(gradient.isnan().any()):
        raise ValueError("the gradient of the teacher's log density is NaN at draws of the student")
    if not bool(acts.all()):
        which = "x" if not bool(acts.any()) else f"coordinate {int(acts.int().argmin())} of x"
        raise ValueError(
            f"the log density of the teacher ({type(teacher).__name__}) has no gradient in {which}, so the student "
            "could not learn from it: a piecewise constant density (Categorical) needs a LogisticMixture or an "
            "InterpolatedLogisticMixture in its place, and log_prob must be computed by torch, with gradients"
        )
