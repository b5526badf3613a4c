"""Laws of conditioners: row i reads the coordinates before it and the context, in one pass or step by step."""

from typing import Any

import torch
from torch import Tensor

from ..conditioners import RepeatedPass
from ..shapes import broadcast_batch
from .cases import Call, Case, Law, agree, gradients, optional, require


def calls(case: Case, subject: Any) -> list[Call]:
    """The parallel pass, and the stepper run through the same point."""
    event = (case.features, subject.num_params)
    point, context = case.point(), case.context()
    return [
        Call("the parallel pass", _pass, point, context, (event,)),
        Call("the stepper", _stepped, point, context, (event,), refuses=False),
    ]


def _pass(subject: Any, x: Tensor, context: Tensor | None) -> tuple[Tensor]:
    return (subject(x, *optional(context)),)


def _stepped(subject: Any, x: Tensor, context: Tensor | None) -> tuple[Tensor]:
    batch = broadcast_batch(x, context)  # a stepper's caller knows the batch, and refuses for it what does not fit
    return (_walk(subject.stepper(batch, *optional(context)), subject.order, x.expand(*batch, -1)),)


def _walk(stepper: Any, order: tuple[int, ...], x: Tensor) -> Tensor:
    """All rows of a stepper, given the coordinates of x as they come, (*B, D, P)."""
    rows: list[Tensor] = [x] * len(order)
    for i in order:
        rows[i] = stepper.params()
        stepper.push(x[..., i])
    return torch.stack(rows, -2)


def order_is_a_permutation(case: Case) -> None:
    """The order holds every coordinate once."""
    order = case.subject().order
    require(sorted(order) == list(range(case.features)), f"the order is {order}")


def no_row_reads_itself_or_what_comes_later(case: Case) -> None:
    """Row i does not change when a coordinate changes that is not generated before it."""
    own = case.with_(batch=(16,))
    subject = own.subject()
    for call in calls(own, subject):
        before = call(subject)[0]
        for position, j in enumerate(subject.order):
            moved = call.point.clone()
            moved[:, j] += 3 * own.noise(stream=70 + j)
            after = call.function(subject, moved, call.context)[0]
            for i in subject.order[: position + 1]:
                change = float((after[:, i] - before[:, i]).detach().abs().max())
                require(change == 0, f"{call.name}: row {i} changes by {change:.3g} when coordinate {j} does")


def every_row_reads_all_that_came_before(case: Case) -> None:
    """Row i changes with every coordinate that is generated before it, for some parameters of the network."""
    if not case.traits.sees_all:
        return
    own = case.with_(batch=(32,))
    blind = {(i, j) for k, i in enumerate(own.subject().order) for j in own.subject().order[:k]}
    for variant in range(4):
        subject = own.subject(variant)
        x, context = own.point(), own.context()
        before = subject(x, *optional(context))
        for j in range(case.features):
            moved = x.clone()
            moved[:, j] += 3 * own.noise(stream=70 + j)
            change = (subject(moved, *optional(context)) - before).abs().amax((0, 2))
            blind -= {(i, j) for i in range(case.features) if change[i] > 0}
    require(not blind, f"these rows never read these coordinates: {sorted(blind)}")


def every_row_sees_the_context(case: Case) -> None:
    """Every row changes with the context, the first one too."""
    if not case.context_features:
        return
    own = case.with_(batch=(32,))
    subject = own.subject()
    for call in calls(own, subject):
        assert call.context is not None
        for k in range(case.context_features):
            moved = call.context.clone()
            moved[:, k] += 3 * own.noise(stream=80 + k)
            change = (call.function(subject, call.point, moved)[0] - call(subject)[0]).abs().amax((0, 2))
            blind = [i for i in range(case.features) if not change[i] > 0]
            require(not blind, f"{call.name}: rows {blind} do not see entry {k} of the context")


def stepping_is_the_parallel_pass(case: Case) -> None:
    """The stepper, the parallel pass and the repeated pass give the same rows, with gradients and without."""
    subject = case.subject()
    x, context = case.point(), case.context()
    expected = subject(x, *optional(context))
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            stepper = subject.stepper(x.shape[:-1], *optional(context))
            agree(_walk(stepper, subject.order, x), expected, "rows of the stepper")
            repeated = RepeatedPass(subject, x.shape[:-1], context)
            agree(_walk(repeated, subject.order, x), expected, "rows of the repeated pass")


def stepping_has_the_gradients_of_the_pass(case: Case) -> None:
    """Gradients through the stepper, in parameters, point and context, are those through the parallel pass."""
    subject = case.subject()
    found = []
    for call in calls(case, subject):
        inputs = [t.clone().requires_grad_() for t in (call.point, call.context) if t is not None]
        result = call.function(subject, inputs[0], inputs[1] if len(inputs) > 1 else None)[0]
        found.append(gradients(result.sin(), [*inputs, *subject.parameters()]))
    for k, (a, b) in enumerate(zip(*found, strict=True)):
        agree(b, a, f"gradient {k} through the stepper")


def steppers_do_not_share_state(case: Case) -> None:
    """Two steppers of one conditioner run side by side without seeing each other."""
    subject = case.subject()
    x, context = case.point(), case.context()
    other = case.point(stream=3)
    two = [subject.stepper(x.shape[:-1], *optional(context)) for _ in range(2)]
    rows: list[list[Tensor]] = [[], []]
    for i in subject.order:
        for k, values in enumerate((x, other)):
            rows[k].append(two[k].params())
            two[k].push(values[..., i])
    for k, values in enumerate((x, other)):
        expected = subject(values, *optional(context))
        for row, i in zip(rows[k], subject.order, strict=True):
            agree(row, expected[..., i, :], f"row {i} of stepper {k} of two")


LAWS = (
    Law(order_is_a_permutation),
    Law(no_row_reads_itself_or_what_comes_later),
    Law(every_row_reads_all_that_came_before),
    Law(every_row_sees_the_context, (1, 2, 4)),
    Law(stepping_is_the_parallel_pass),
    Law(stepping_has_the_gradients_of_the_pass, (1, 3)),
    Law(steppers_do_not_share_state, (1, 3)),
)
