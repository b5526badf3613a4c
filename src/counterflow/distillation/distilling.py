"""Probability density distillation: a student learns to draw what a teacher can only score, from its own draws."""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..densities import detached
from ..families import Laws, Normal
from ..model import Model
from ..objectives import log_prob_of
from ..training import ExponentialAverage, History, fit
from ..training.schedule import Schedule, WarmupCosine
from .door import check_pair
from .objectives import Objective, ReverseKL, StepwiseKL, StepwiseNormalKL
from .steps import stepwise_view

FilePath = str | os.PathLike[str]


def distil(
    student: Model,
    teacher: Any,
    *,
    objective: Objective | None = None,
    contexts: Tensor | None = None,
    steps: int = 2000,
    batch_size: int = 64,
    held_out: int = 2048,
    learning_rate: float = 1e-3,
    optimiser: Callable[[Sequence[nn.Parameter]], Optimizer] | None = None,
    schedule: Schedule = WarmupCosine(),
    clip: float | None = 10.0,
    patience: int | None = None,
    average: ExponentialAverage | None = ExponentialAverage(0.99),
    validate_every: int | None = None,
    checkpoint: FilePath | None = None,
    resume: bool = False,
    log: FilePath | None = None,
    progress: bool | None = None,
) -> History:
    r"""Minimise KL(q || p) over the parameters of the student q, on draws of the student.

    .. math:: KL(q \| p) = E_{x \sim q} [\log q(x) - \log p(x)] = H(q, p) - H(q)

    The weights that are kept are those with the least divergence on held-out noise, which is the same each time. The
    teacher is frozen: its parameters are constants here, and its `requires_grad` is as before. What it and the student
    draw comes from torch's global stream, which `distil` does not seed.

    Args:
        student: Trained in place; samples in one pass, e.g. `models.iaf`.
        teacher: Anything with `log_prob(x)`, a module or not; given contexts, a model of ours.
        objective: (q, p, *, generator) -> nats; None: the closed form where both have normal steps in one order, fresh
            draws of each step where they have steps, else `ReverseKL`.
        contexts: (N, M) of a conditional student and teacher; each step picks `batch_size` of them.
        steps: Updates at most.
        batch_size: Contexts per step.
        held_out: Draws by which the weights to keep are chosen, with contexts about so many in all.
        learning_rate: Of AdamW.
        optimiser: Instead of AdamW; as in `fit`, like all that follow.
        schedule: Factor on the learning rate, step by step.
        clip: Bound on the norm of the whole gradient.
        patience: Stop after this many validations without a better one.
        average: Of the weights.
        validate_every: Steps between held-out values; None: 100, or a twentieth of the steps if that is less.
        checkpoint: File for the state of the training.
        resume: Go on from there.
        log: CSV file, one line per record.
        progress: Show a bar; None: on a terminal.

    Returns:
        The history, whose losses are the objective's, and whose held-out values are KL(q || p) in nats per event.

    Raises:
        TypeError, ValueError: student and teacher do not fit each other; see `check_pair`.
        TrainingDiverged, TrainingInterrupted: As in `fit`.

    Cost: per step, one pass of the student and one of the teacher, with their gradients.
    Source: van den Oord et al. (2018), arXiv:1711.10433.
    """
    frozen = detached(teacher) if isinstance(teacher, nn.Module) else teacher
    given = _pair(contexts, student, frozen)
    check_pair(*given(student, None if contexts is None else contexts[:1].expand(1, -1)))
    some = None if contexts is None else contexts[:1]
    chosen = default_objective(*given(student, some)) if objective is None else objective

    def loss(module: Model, _: Any) -> Tensor:
        if contexts is None:
            return chosen(*given(module, None), generator=None)
        picked = torch.randint(len(contexts), (batch_size,), device=contexts.device)
        return chosen(*given(module, contexts[picked]), generator=None)

    more: dict[str, Any] = {} if optimiser is not None else {"learning_rate": learning_rate}
    return fit(
        student,
        loss=loss,
        validation=functools.partial(held_out_kl, given=given, contexts=contexts, draws=held_out),
        steps=steps,
        optimiser=optimiser,
        schedule=schedule,
        clip=clip,
        patience=patience,
        average=average,
        validate_every=max(1, min(100, steps // 20)) if validate_every is None else validate_every,
        checkpoint=checkpoint,
        resume=resume,
        log=log,
        progress=progress,
        in_words=functools.partial(kl_in_words, features=student.features),
        **more,
    )


def default_objective(q: Any, p: Any) -> Objective:
    """The least noisy objective that the two have."""
    student, teacher = stepwise_view(q), stepwise_view(p)
    if student is None or teacher is None:
        return ReverseKL()
    try:
        shape: Any = (2,)
        with torch.random.fork_rng(devices=[]):
            x, laws = student.rsample_and_conditionals(shape)
        theirs = teacher.conditionals(x)
        StepwiseKL(num_samples=2, draws=1)(q, p)
    except (TypeError, ValueError):  # no steps, or not in one order
        return ReverseKL()
    normal = all(isinstance(one, Laws) and isinstance(one.family, Normal) for one in (laws, theirs))
    return StepwiseNormalKL() if normal else StepwiseKL()


@torch.no_grad()
def held_out_kl(module: Any, *, given: Any, contexts: Tensor | None, draws: int) -> Tensor:
    """KL(q || p) in nats, always on the same noise."""
    generator = torch.Generator().manual_seed(0)
    some = None if contexts is None else contexts[: min(len(contexts), draws)]
    q, p = given(module, some)
    shape: Any = (draws if some is None else max(1, draws // len(some)),)
    x, log_q = q.rsample_and_log_prob(shape, generator=generator)
    kl: Tensor = (log_q - log_prob_of(p, x)).double().mean()
    return kl


def kl_in_words(kl_nats: float, *, features: int) -> str:
    """`KL 0.0312 nats (0.0052 per dimension)`."""
    return f"KL {kl_nats:.4g} nats ({kl_nats / features:.2g} per dimension)"


def _pair(contexts: Tensor | None, student: Model, teacher: Any) -> Any:
    """(module, contexts) -> student and teacher given them."""
    if contexts is None:
        if student.context_features:
            raise ValueError(f"the student takes a context of {student.context_features}: pass contexts")
        return lambda module, _: (module, teacher)
    if not isinstance(teacher, Model):
        raise TypeError(f"with contexts the teacher must be a model of ours, got a {type(teacher).__name__}")
    if contexts.ndim != 2 or not len(contexts):
        raise ValueError(f"expected contexts of shape (N, M), got {tuple(contexts.shape)}")
    for name, model in (("student", student), ("teacher", teacher)):
        if not model.context_features:
            raise ValueError(f"the {name} takes no context, and contexts were given")
    return lambda module, c: (module.given(c), teacher.given(c))
