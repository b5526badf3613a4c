"""Laws of univariate maps: increasing bijections of the line with the derivative that they say they have."""

import math

import torch
from torch import Tensor

from ..spec import build, registered, spec_of
from .cases import Call, Case, Law, agree, gradients, require

FAR = 1e4


def calls(case: Case, subject: object) -> list[Call]:
    """Forward at points of the line, inverse at their images; the parameters stand where a context would."""
    params = parameters(case, subject)
    u = case.point()
    with torch.no_grad():
        x = subject.forward(u, params)[0]  # type: ignore[attr-defined]
    event = (case.features,)
    return [
        Call("forward", lambda s, v, p: s.forward(v, p), u, params, (event, event)),
        Call("inverse", lambda s, v, p: s.inverse(v, p), x, params, (event, event)),
    ]


def parameters(case: Case, subject: object, scale: float = 1.0) -> Tensor:
    """Random parameters, (*batch, D, P)."""
    return scale * case.noise(case.features, subject.num_params, stream=40)  # type: ignore[attr-defined]


def round_trip_returns(case: Case) -> None:
    """Inverse of forward and forward of inverse are the identity, and their log-derivatives cancel."""
    t = case.subject()
    for scale in (0.0, 1.0, 2.0):
        params, u = parameters(case, t, scale), case.point()
        x, up = t.forward(u, params)
        again, down = t.inverse(x, params)
        agree(again, u, f"inverse(forward(u)), parameters of size {scale}", 1e-7)
        agree(down, -up, "log-derivative of inverse at forward(u)", 1e-7)
        x_again, up_again = t.forward(again.detach(), params)
        agree(x_again, x, "forward(inverse(x))", 1e-7)
        agree(up_again, -down, "log-derivative of forward at inverse(x)", 1e-7)


def log_derivative_is_autograds(case: Case) -> None:
    """The second result is the log of the derivative of the first, in both directions."""
    t = case.with_(batch=(16,)).subject()
    for call in calls(case.with_(batch=(16,)), t):
        point = call.point.clone().requires_grad_()
        value, log_slope = call.function(t, point, call.context)
        slope = torch.autograd.grad(value.sum(), point)[0]
        require(bool((slope > 0).all()), f"{call.name}: autograd's derivative is {float(slope.min()):.3g}")
        agree(log_slope, slope.log(), f"log-derivative of {call.name}", 1e-8)


def it_increases(case: Case) -> None:
    """Larger points have larger images, in both directions."""
    own = case.with_(batch=(101,))
    t = own.subject()
    params = parameters(case.with_(batch=()), t, 2.0)
    u = torch.linspace(-8, 8, 101, dtype=case.dtype)[:, None].expand(-1, case.features)
    for name, v, f in (("forward", u, t.forward), ("inverse", t.forward(u, params)[0], t.inverse)):
        rises = f(v, params)[0].diff(dim=0)
        require(bool((rises > 0).all()), f"{name} falls by {-float(rises.min()):.3g} between two increasing points")


def far_points_are_finite(case: Case) -> None:
    """At |x| = 1e4 values, log-derivatives and all gradients are finite, and agree with autograd."""
    low, high = case.traits.image
    t = case.subject()
    for name, f, points in (
        ("forward", t.forward, (-FAR, FAR)),
        ("inverse", t.inverse, tuple(v for v in (-FAR, FAR) if low < v < high)),
    ):
        for value in points:
            _finite_at(case, name, f, torch.full((case.features,), value, dtype=case.dtype))


def special_points_are_ordinary(case: Case) -> None:
    """Exactly on a knot or a bound, values and gradients are finite and the derivative is autograd's."""
    t = case.subject()
    for scale in (0.0, 1.0):
        params = parameters(case.with_(batch=()), t, scale)  # (D, P)
        chosen = case.traits.special_points
        if chosen is not None:
            points = chosen(t, params)  # (D, K)
        else:
            bound = getattr(t, "bound", None)
            if not isinstance(bound, float) or case.traits.image != (-math.inf, math.inf):
                return
            points = torch.tensor([-bound, bound], dtype=case.dtype).expand(case.features, 2)
        for k in range(points.shape[-1]):
            at = points[:, k]
            u = t.inverse(at, params)[0].detach()
            _finite_at(case, f"inverse (special point {k}, size {scale})", t.inverse, at, params)
            _finite_at(case, f"forward (special point {k}, size {scale})", t.forward, u, params)
            _finite_at(case, f"forward (special point {k}, size {scale})", t.forward, at, params, derivative=True)
            agree(t.forward(u, params)[0], at, f"forward(inverse(x)) at special point {k}", 1e-7)


def _finite_at(
    case: Case, name: str, f: object, v: Tensor, params: Tensor | None = None, *, derivative: bool = True
) -> None:
    t = case.subject()
    params = (parameters(case.with_(batch=()), t) if params is None else params).clone().requires_grad_()
    v = v.clone().requires_grad_()
    value, log_slope = f(v, params)  # type: ignore[operator]
    where = f"{name} at {float(v.detach().flatten()[0]):.6g}"
    require(bool(value.isfinite().all()), f"{where} is {value.detach().tolist()}")
    require(bool(log_slope.isfinite().all()), f"the log-derivative of {where} is {log_slope.detach().tolist()}")
    slope = torch.autograd.grad(value.sum(), v, retain_graph=True)[0]
    for output, which in ((value, "value"), (log_slope, "log-derivative")):
        for grad, of in zip(gradients(output, [v, params]), ("point", "parameters"), strict=True):
            require(bool(grad.isfinite().all()), f"the gradient of the {which} of {where} in the {of} is not finite")
    if derivative and bool((slope > 0).all()):
        agree(log_slope, slope.log(), f"log-derivative of {where}", 1e-6)
    elif derivative:
        # A slope may underflow far out (a sigmoid's does); then its logarithm must say so.
        require(bool((log_slope[slope <= 0] < -700).all()), f"autograd's derivative of {where} is {slope.tolist()}")


def nan_stays_nan(case: Case) -> None:
    """NaN in is NaN out, in both directions, and only there."""
    own = case.with_(batch=(3,))
    t = own.subject()
    for call in calls(own, t):
        point = call.point.clone()
        point[1] = math.nan
        value = call.function(t, point, call.context)[0]
        require(bool(value[1].isnan().all()), f"{call.name} of NaN is {value[1].tolist()}")
        require(not bool(value[[0, 2]].isnan().any()), f"{call.name} spreads NaN to other points")


def points_and_parameters_broadcast(case: Case) -> None:
    """Batch axes of points and parameters broadcast, and each point meets its own parameters only."""
    t = case.subject()
    u = case.with_(batch=(4, 1)).point()
    params = parameters(case.with_(batch=(3,)), t)
    shape = (4, 3, case.features)
    wide = params.expand(4, *params.shape)
    x = t.forward(u.expand(shape), wide)[0].detach()
    for name, f, v in (("forward", t.forward, u), ("inverse", t.inverse, u if t.num_params else x)):
        if name == "inverse" and case.traits.image != (-math.inf, math.inf):
            v = x
        for k, (a, b) in enumerate(zip(f(v, params), f(v.expand(shape), wide), strict=True)):
            agree(a.expand(shape), b, f"{name}, result {k}, with broadcast batch axes")


def it_is_a_value(case: Case) -> None:
    """A map is hashable, equal to itself, has num_params >= 0, and is untouched by use."""
    t = case.subject()
    before = hash(t)
    for call in calls(case, t):
        call(t)
    require(hash(t) == before, "its hash changed by use: it is not a frozen value")
    require(isinstance(t.num_params, int) and t.num_params >= 0, f"num_params is {t.num_params}")


def inverted_swaps_the_directions(case: Case) -> None:
    """The inverted map's forward is the map's inverse and the other way round, with the same parameters."""
    t = case.subject()
    params, u = parameters(case, t), case.point()
    x = t.forward(u, params)[0]
    other = t.inverted
    require(other.num_params == t.num_params, f"the inverted map has {other.num_params} parameters, not {t.num_params}")
    for name, found, expected in (
        ("forward of the inverted map", other.forward(x, params), t.inverse(x, params)),
        ("inverse of the inverted map", other.inverse(u, params), t.forward(u, params)),
        ("forward of the map inverted twice", other.inverted.forward(u, params), t.forward(u, params)),
    ):
        for k in (0, 1):
            agree(found[k], expected[k], f"{name}, result {k}")


def its_spec_builds_it_again(case: Case) -> None:
    """A registered map is equal to what its spec builds."""
    t = case.subject()
    if registered().get(type(t).__name__) is type(t):
        require(build(spec_of(t)) == t, f"{build(spec_of(t))} came back for {t}")


LAWS = (
    Law(round_trip_returns),
    Law(log_derivative_is_autograds, (1, 3)),
    Law(it_increases, (1, 3)),
    Law(far_points_are_finite, (1, 3)),
    Law(special_points_are_ordinary, (1, 3)),
    Law(nan_stays_nan, (1, 3)),
    Law(points_and_parameters_broadcast, (1, 3)),
    Law(it_is_a_value, (1,)),
    Law(inverted_swaps_the_directions, (1, 3)),
    Law(its_spec_builds_it_again, (1,)),
)
