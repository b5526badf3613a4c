"""Laws of bijections: both directions undo each other, and the log-dets are those of the Jacobians."""

import math
from typing import Any

import torch
from torch import Tensor

from .cases import Call, Case, Fault, Law, agree, gradients, optional, require


def calls(case: Case, subject: Any) -> list[Call]:
    """Forward at points of the line, inverse at their images."""
    u, context = case.point(), case.context()
    with torch.no_grad():
        x = subject(u, *optional(context))[0]
    events: tuple[tuple[int, ...], ...] = ((case.features,), ())
    return [Call("forward", _forward, u, context, events), Call("inverse", _inverse, x, context, events)]


def _forward(subject: Any, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    x, log_det = subject(u, *optional(context))
    return x, log_det


def _inverse(subject: Any, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    u, log_det = subject.inverse(x, *optional(context))
    return u, log_det


def round_trip_returns(case: Case) -> None:
    """Inverse of forward and forward of inverse are the identity."""
    subject = case.subject()
    u, context = case.point(), case.context()
    x = _forward(subject, u, context)[0]
    agree(_inverse(subject, x, context)[0], u, "inverse(forward(u))", 1e-8)
    again = _inverse(subject, x.detach(), context)[0]
    agree(_forward(subject, again, context)[0], x, "forward(inverse(x))", 1e-8)


def log_dets_cancel(case: Case) -> None:
    """The log-det of the inverse at forward(u) is minus that of forward at u."""
    subject = case.subject()
    u, context = case.point(), case.context()
    x, log_det = _forward(subject, u, context)
    agree(_inverse(subject, x, context)[1], -log_det, "log-det of the inverse", 1e-7)


def log_det_is_that_of_the_jacobian(case: Case) -> None:
    """In both directions the log-det is autograd's log |det J|."""
    subject = case.subject()
    for call in calls(case, subject):
        jacobian = _jacobian(subject, call)
        expected = torch.linalg.slogdet(jacobian).logabsdet.reshape(case.batch)
        agree(call(subject)[1], expected, f"log-det of {call.name}", 1e-7)


def an_order_means_triangular(case: Case) -> None:
    """With an order, row i of both directions reads rows up to i in it; with the empty order, row i alone."""
    subject = case.subject()
    order = getattr(subject, "order", None)
    if order is None:
        return
    require(not order or sorted(order) == list(range(case.features)), f"the order is {order}")
    for call in calls(case, subject):
        jacobian = _jacobian(subject, call)
        if order:
            jacobian = jacobian[:, list(order)][:, :, list(order)].triu(1)
        else:
            jacobian = jacobian - torch.diag_embed(jacobian.diagonal(dim1=-2, dim2=-1))
        require(float(jacobian.abs().max()) == 0, f"{call.name} reads a row after its own in the order {order}")


def row_maps_are_the_bijection(case: Case) -> None:
    """With an order, forward_rows and inverse_rows give the same values, and the maps that lead from u to x."""
    subject = case.subject()
    if getattr(subject, "order", None) is None or not hasattr(subject, "forward_rows"):
        return
    u, context = case.point(), case.context()
    x, log_det = _forward(subject, u, context)
    for name, (value, rows), expected in (
        ("forward_rows", subject.forward_rows(u, *optional(context)), x),
        ("inverse_rows", subject.inverse_rows(x, *optional(context)), u),
    ):
        agree(value, expected, f"value of {name}", 1e-7)
        mapped, log_slope = rows.univariate.forward(u, rows.params)
        agree(mapped, x, f"the maps of {name}, from u to x", 1e-7)
        agree(log_slope.sum(-1), log_det, f"the log-derivatives of the maps of {name}", 1e-7)
        back, log_slope = rows.univariate.inverse(x, rows.params)
        agree(back, u, f"the maps of {name}, from x to u", 1e-6)
        agree(log_slope.sum(-1), -log_det, f"the log-derivatives of the inverse maps of {name}", 1e-6)


def gradients_undo_each_other(case: Case) -> None:
    """Inverse(forward(u)) is u whatever the parameters, so its total gradient in them is zero; so is the log-dets'."""
    subject = case.subject()
    parameters = list(subject.parameters()) if isinstance(subject, torch.nn.Module) else []
    u, context = case.point(), case.context()
    inputs = parameters if context is None else [*parameters, context.requires_grad_()]
    if not inputs:
        return
    x, up = _forward(subject, u, context)
    again, down = _inverse(subject, x, context)
    for name, total in (
        ("inverse(forward(u))", (again * case.noise(case.features, stream=9)).sum()),
        ("log-dets", (up + down).sum()),
    ):
        for k, grad in enumerate(gradients(total, inputs)):
            agree(grad, torch.zeros_like(grad), f"total gradient of {name} in parameter {k}", 1e-6)


def gradient_of_the_log_det_is_that_of_the_jacobian(case: Case) -> None:
    """The gradient of the log-det in the point is autograd's of log |det J|, by central differences."""
    own = case.with_(batch=())
    subject = own.subject()
    for call in calls(own, subject):
        point = call.point.clone().requires_grad_()
        log_det = call.function(subject, point, call.context)[1]
        direction = own.noise(case.features, stream=11)
        found = gradients(log_det, [point])[0] @ direction
        estimates = []
        for step in (1e-5, 3e-6):
            ends = [call.function(subject, call.point + s * step * direction, call.context)[1] for s in (1, -1)]
            estimates.append((ends[0] - ends[1]) / (2 * step))
        if abs(float((estimates[0] - estimates[1]).detach())) > 1e-5 * (1 + abs(float(estimates[0].detach()))):
            continue  # a kink of the activation lies between the ends: differences say nothing
        agree(found, estimates[1], f"slope of the log-det of {call.name}", 1e-4)


def nan_stays_nan(case: Case) -> None:
    """A NaN coordinate gives a NaN in the value of its row, and leaves the other rows of the batch alone."""
    own = case.with_(batch=(3,))
    subject = own.subject()
    for call in calls(own, subject):
        for i in range(case.features):
            point = call.point.clone()
            point[1, i] = math.nan
            value = call.function(subject, point, call.context)[0]
            require(bool(value[1].isnan().any()), f"{call.name} of a row with NaN in coordinate {i} has no NaN")
            require(not bool(value[[0, 2]].isnan().any()), f"{call.name} spreads NaN to other rows of the batch")


def far_points_are_finite(case: Case) -> None:
    """At |u| = 1e3 the forward value, its log-det and their gradients are finite."""
    subject = case.subject()
    context = case.context()
    for sign in (-1, 1):
        u = torch.full_like(case.point(), sign * 1e3).requires_grad_()
        x, log_det = _forward(subject, u, context)
        require(bool(x.isfinite().all()), f"forward at {sign * 1000} is not finite")
        require(bool(log_det.isfinite().all()), f"the log-det of forward at {sign * 1000} is {log_det.tolist()}")
        grad = torch.autograd.grad(x.sum() + log_det.sum(), u)[0]
        require(bool(grad.isfinite().all()), f"the gradient of forward at {sign * 1000} is not finite")


def _jacobian(subject: Any, call: Call) -> Tensor:
    """d value / d point of every row of the batch, (N, D, D)."""
    features = call.point.shape[-1]
    point = call.point.clone().requires_grad_()
    value = call.function(subject, point, call.context)[0]
    if value.shape != point.shape:
        raise Fault(f"{call.name} turned shape {tuple(point.shape)} into {tuple(value.shape)}")
    rows = [torch.autograd.grad(value[..., i].sum(), point, retain_graph=True)[0] for i in range(features)]
    return torch.stack(rows, -2).reshape(-1, features, features)


LAWS = (
    Law(round_trip_returns),
    Law(log_dets_cancel),
    Law(log_det_is_that_of_the_jacobian),
    Law(an_order_means_triangular, (1, 3, 5)),
    Law(row_maps_are_the_bijection, (1, 3)),
    Law(gradients_undo_each_other, (1, 3)),
    Law(gradient_of_the_log_det_is_that_of_the_jacobian, (1, 3)),
    Law(nan_stays_nan, (1, 3)),
    Law(far_points_are_finite, (1, 3)),
)
