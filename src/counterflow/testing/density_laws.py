"""Laws of densities: they integrate to one, condition, and split into conditionals."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from .cases import Call, Case, Law, agree, optional, require
from .quadrature import product_grid


def calls(case: Case, subject: Any) -> list[Call]:
    """log_prob, at draws of the density itself."""
    context = case.context()
    shape = case.batch if context is None else ()
    x = draw(subject, shape, context, case.generator(21))
    return [Call("log_prob", _log_prob, x, context, ((),))]


def _log_prob(subject: Any, x: Tensor, context: Tensor | None) -> tuple[Tensor]:
    return (subject.log_prob(x, *optional(context)),)


def draw(subject: Any, shape: tuple[int, ...], context: Tensor | None, generator: Generator | None = None) -> Tensor:
    """Samples of a density; without a context its `sample` need not take one."""
    drawn: Tensor = subject.sample(shape, *optional(context), generator=generator)
    return drawn


def it_integrates_to_one(case: Case) -> None:
    """The integral of exp(log_prob) over the support is one, for every context."""
    own = case.with_(batch=())
    subject, context = own.subject(), own.context()
    points, weights = product_grid(own.traits.support.axis(case.features), case.features)
    with torch.no_grad():
        log_prob = subject.log_prob(points.to(case.dtype), *optional(context))
    total = float((log_prob.exp() * weights).sum())
    require(abs(total - 1) < 3e-3, f"the density integrates to {total:.6g}, off by {total - 1:.2g}, allowed 0.003")


def nan_scores_nan(case: Case) -> None:
    """A NaN coordinate gives a NaN score, and leaves the other rows of the batch alone."""
    own = case.with_(batch=(3,))
    subject = own.subject()
    for call in calls(own, subject):
        for i in range(case.features):
            point = call.point.clone()
            point[1, i] = math.nan
            scores = call.function(subject, point, call.context)[0]
            require(bool(scores[1].isnan()), f"a row with NaN in coordinate {i} scores {float(scores[1].detach()):.3g}")
            require(not bool(scores[[0, 2]].isnan().any()), "a NaN spreads to the scores of other rows")


def given_a_context_is_passing_it(case: Case) -> None:
    """given(c) scores, draws and detaches as the density does with c as an argument."""
    subject = case.subject()
    if not case.context_features or not hasattr(subject, "given"):
        return
    context = case.context()
    assert context is not None
    bound = subject.given(context)
    x = calls(case, subject)[0].point
    agree(bound.log_prob(x), subject.log_prob(x, context), "log_prob of given(c)")
    agree(bound.detached().log_prob(x), subject.log_prob(x, context), "log_prob of given(c).detached()")
    require(not bound.detached().log_prob(x).requires_grad, "given(c).detached() carries gradients of parameters")
    drawn = bound.sample((2,), generator=case.generator(5))
    agree(drawn, draw(subject, (2,), context, case.generator(5)), "sample of given(c)")
    if case.traits.reparameterised:
        pairs = zip(
            bound.rsample_and_log_prob((2,), generator=case.generator(6)),
            subject.rsample_and_log_prob((2,), context, generator=case.generator(6)),
            strict=True,
        )
        for k, (a, b) in enumerate(pairs):
            agree(a, b, f"rsample_and_log_prob of given(c), result {k}")


def conditionals_multiply_to_the_density(case: Case) -> None:
    """The log conditionals of a point sum to its log density, and row i does not read what comes later."""
    if not case.traits.has_conditionals:
        return
    subject, context = case.subject(), case.context()
    x = calls(case, subject)[0].point
    laws = subject.conditionals(x, *optional(context))
    rows = laws.log_prob(x)
    require(rows.shape == x.shape, f"log_prob of the conditionals has shape {tuple(rows.shape)}")
    agree(rows.sum(-1), subject.log_prob(x, *optional(context)), "sum of the log conditionals", 1e-7)
    order = tuple(getattr(subject, "order", ()) or _order(subject, case.features))
    other = draw(subject, case.batch if context is None else (), context, case.generator(22))
    for position, j in enumerate(order):
        moved = x.clone()
        moved[..., j] = other[..., j]
        again = subject.conditionals(moved, *optional(context)).log_prob(x)
        for i in order[: position + 1]:
            agree(again[..., i], rows[..., i], f"conditional {i} after a change of coordinate {j}", 1e-7)


def conditionals_draw_what_they_score(case: Case) -> None:
    """Draws of the conditionals have the entropy that the conditionals state, within 5 standard errors."""
    if not case.traits.has_conditionals:
        return
    own = case.with_(batch=(2,))
    subject, context = own.subject(), own.context()
    laws = subject.conditionals(calls(own, subject)[0].point, *optional(context))
    try:
        entropy = laws.entropy()
        drawn = laws.rsample((4000,), generator=own.generator(8))
    except TypeError:
        return  # no closed form, or no reparameterised draws: the contract allows both
    require(drawn.shape == (4000, *entropy.shape), f"draws of the conditionals have shape {tuple(drawn.shape)}")
    surprise = -laws.log_prob(drawn)
    error = surprise.std(0) / 4000**0.5 + 1e-9
    worst = float(((surprise.mean(0) - entropy).abs() / error).detach().max())
    require(worst < 5, f"the mean of -log_prob is {worst:.1f} standard errors from the entropy, allowed 5")


def draws_and_their_laws_agree(case: Case) -> None:
    """rsample_and_conditionals: the laws score the draw as the density does; it refuses where there is no such draw."""
    subject, context = case.subject(), case.context()
    if not case.traits.has_conditionals or not hasattr(subject, "rsample_and_conditionals"):
        return
    if not case.traits.reparameterised:
        try:
            subject.rsample_and_conditionals((4,), *optional(context), generator=case.generator(4))
        except TypeError:
            return
        require(False, "it draws, and the density has no reparameterised draws")
    x, laws = subject.rsample_and_conditionals((4,), *optional(context), generator=case.generator(4))
    expected = subject.log_prob(x, *optional(context))
    agree(laws.log_prob(x).sum(-1), expected, "sum of the log conditionals of a draw", 1e-7)


def _order(subject: Any, features: int) -> tuple[int, ...]:
    order = getattr(subject, "order", None) or getattr(getattr(subject, "conditioner", None), "order", None)
    return tuple(order or range(features))


LAWS = (
    Law(it_integrates_to_one, (1, 2)),
    Law(nan_scores_nan, (1, 3)),
    Law(given_a_context_is_passing_it, (1, 3)),
    Law(conditionals_multiply_to_the_density, (1, 4)),
    Law(conditionals_draw_what_they_score, (1, 3)),
    Law(draws_and_their_laws_agree, (1, 4)),
)
