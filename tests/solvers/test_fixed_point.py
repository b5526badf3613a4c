"""The fixed-point solver: the answers of `Stepwise` with their gradients, whatever happens on the way to them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import conditioners, spec, univariate
from counterflow.solvers import FixedPoint, Stepwise
from counterflow.testing import perturb_

U = univariate
EXACT = FixedPoint(tolerance=0.0)


class Recurrent(conditioners.Conditioner):
    """A conditioner of a user's own: a GRU over the coordinates in the order (2, 0, 1, ...)."""

    def __init__(self, features: int, num_params: int, context_features: int = 0) -> None:
        super().__init__()
        self.features, self.num_params, self.context_features = features, num_params, context_features
        self.cell = nn.GRU(1, 8, batch_first=True)
        self.start = nn.Linear(max(context_features, 1), 8)
        self.out = nn.Linear(8, num_params)

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(sorted(range(self.features), key=lambda i: (i != 2, i)))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        given = x.new_zeros(1) if context is None else context
        shape = torch.broadcast_shapes(x.shape[:-1], given.shape[:-1])
        first = self.start(given).expand(*shape, 8).reshape(1, -1, 8)
        read = x.expand(*shape, self.features)[..., list(self.order)].reshape(-1, self.features, 1)
        read = torch.cat([torch.zeros_like(read[:, :1]), read[:, :-1]], 1)
        rows = self.out(self.cell(read, first.contiguous())[0])
        back = sorted(range(self.features), key=self.order.__getitem__)
        return rows[:, back].reshape(*shape, self.features, self.num_params)


class Coupled(conditioners.Conditioner):
    """params_i = sum_j W_ij g(u_j), W strictly lower triangular in its order, stored and multiplied densely."""

    def __init__(self, weight: Tensor, order: tuple[int, ...] | None = None, power: int = 1) -> None:
        super().__init__()
        self.features, self.num_params, self.context_features, self.power = len(weight), 1, 0, power
        self._order = order or tuple(range(len(weight)))
        rank = torch.tensor(self._order).argsort()
        self.weight = nn.Parameter(weight[rank][:, rank])

    @property
    def order(self) -> tuple[int, ...]:
        return self._order

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return (x**self.power @ self.weight.mT)[..., None]


def mlp(features: int, num_params: int, context_features: int = 0, **options: Any) -> cf.MaskedMLP:
    return cf.MaskedMLP(
        features,
        num_params,
        **{"hidden": (16, 16), "context_features": context_features, "activation": nn.Tanh()} | options,
    )


def random_degrees(features: int, num_params: int, context_features: int = 0) -> cf.MaskedMLP:
    lowest = 0 if context_features else 1
    degrees = tuple(conditioners.random_degrees(features, 16, lowest) for _ in range(2))
    return mlp(features, num_params, context_features, degrees=degrees)


CONDITIONERS = {
    "sorted": mlp,
    "random degrees": random_degrees,
    "random order": lambda d, p, m=0: mlp(d, p, m, order=conditioners.random_order(d)),
    "residual": lambda d, p, m=0: mlp(d, p, m, residual=True, hidden=(16, 16, 16)),
    "recurrent": Recurrent,
}
MAPS = {
    "additive": U.Additive(),
    "bounded": U.Affine(),
    "softplus": U.Affine(U.Softplus()),
    "sigmoid": U.Affine(U.ShiftedSigmoid()),
    "clipped, inverted": U.Affine(U.ClippedExp()).inverted,
    "quadratic": U.RationalQuadratic(bins=4),
    "linear": U.LinearRational(bins=3),
    "composed": U.Composed((U.Affine(), U.RationalQuadratic(bins=3))),
}


def wild(net: Any, seed: int = 0) -> Any:
    """The network in float64, with parameters far from its start."""
    perturb_(net, torch.Generator().manual_seed(seed))
    return net.double()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def solved(solver: Any, net: Any, t: Any, x: Tensor, context: Tensor | None, **options: Any) -> list[Tensor]:
    """u, log_det, and the gradients of a loss of both in x, the context and the parameters."""
    inputs = [tensor.clone().requires_grad_() for tensor in (x, context) if tensor is not None]
    u, log_det, *_ = solver.solve(net, t, *inputs, **options)
    loss = (u.sin() * torch.arange(1, 1 + u.shape[-1])).sum() + (2 * log_det).cos().sum()
    inputs += list(net.parameters())
    return [u, log_det, *torch.autograd.grad(loss, inputs, materialize_grads=True)]


def agree(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-10) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("t", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("make", CONDITIONERS.values(), ids=CONDITIONERS)
@pytest.mark.parametrize("context_features", [0, 2])
def test_value_and_gradients_are_those_of_stepwise(make: Any, t: Any, context_features: int) -> None:
    net = wild(make(5, t.num_params, context_features))
    x, context = 2 * normal(7, 5), normal(7, 2, seed=1) if context_features else None
    agree(solved(EXACT, net, t, x, context), solved(Stepwise(), net, t, x, context))


@pytest.mark.parametrize(
    ("batch", "context_batch"),
    [((), ()), ((2, 3), ()), ((2, 3), (3,)), ((), (4,)), ((2, 1), (1, 3)), ((0,), ()), ((2, 0), (1,))],
)
def test_batch_axes_of_x_and_context_broadcast(batch: tuple[int, ...], context_batch: tuple[int, ...]) -> None:
    net, t = wild(mlp(4, 2, 3)), U.Affine()
    x, context = normal(*batch, 4), normal(*context_batch, 3, seed=1)
    found = solved(EXACT, net, t, x, context)
    assert found[0].shape == (*torch.broadcast_shapes(batch, context_batch), 4)
    agree(found, solved(Stepwise(), net, t, x, context))


def test_one_feature_takes_one_sweep() -> None:
    net, t = wild(mlp(1, 2, 3)), U.Affine()
    x, context = normal(5, 1), normal(5, 3)
    agree(solved(EXACT, net, t, x, context), solved(Stepwise(), net, t, x, context))
    assert EXACT.solve(net, t, x, context).sweeps == 1


def test_gradients_agree_with_finite_differences() -> None:
    net, t = wild(mlp(3, 5, 1, hidden=(4,))), U.RationalQuadratic(bins=2)
    names = [name for name, _ in net.named_parameters()]
    layer = cf.Autoregressive(net, t, solver=EXACT)

    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
            return self.layer.inverse(x, context)

    def inverse(x: Tensor, context: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        named = {f"layer.conditioner.{name}": tensor for name, tensor in zip(names, tensors, strict=True)}
        return torch.func.functional_call(Backwards(), named, (x, context))

    tensors = [p.detach().clone().requires_grad_() for p in net.parameters()]
    points = [normal(2, 3).requires_grad_(), normal(1, seed=1).requires_grad_()]
    assert torch.autograd.gradcheck(inverse, (*points, *tensors), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("t", [U.Affine(), U.RationalQuadratic(bins=4)], ids=["affine", "spline"])
def test_the_residual_is_measured_and_within_the_tolerance(tolerance: float, t: Any, dtype: torch.dtype) -> None:
    net = mlp(12, t.num_params).to(dtype)
    perturb_(net, torch.Generator().manual_seed(0))
    x = 3 * normal(50, 12).to(dtype)
    u, log_det, residual, sweeps = FixedPoint(tolerance).solve(net, t, x)
    with torch.no_grad():
        reached, log_slope = t.forward(u, net(u))
    assert residual is not None
    assert sweeps is not None
    assert residual == pytest.approx(float((reached - x).abs().max()), rel=1e-3, abs=1e-6)
    assert bool(((reached - x).abs() <= 2 * tolerance * x.abs().clamp_min(1)).all())
    torch.testing.assert_close(log_det.detach(), -log_slope.sum(-1))
    assert 1 < sweeps < 12
    assert sweeps < (EXACT.solve(net, t, x).sweeps or 0) <= 12


@pytest.mark.parametrize("log_scale", [-5.0, 5.0])
def test_the_tolerance_holds_in_the_units_of_u_and_of_x(log_scale: float) -> None:
    """Where x is 150 times as wide as u, or the other way round, one change is the larger or the other."""
    net, t, tolerance = wild(mlp(24, 2)), U.Affine(U.Exp()), 1e-4
    with torch.no_grad():
        net.out.bias[24:] += log_scale  # parameter by parameter: the second is the log of the scale
        u = normal(100, 24)
        x, _ = t.forward(u, net(u))
        u = FixedPoint(tolerance).solve(net, t, x).u
        moved, _ = t.inverse(x, net(u))
        reached, _ = t.forward(u, net(u))
    assert bool(((moved - u).abs() <= tolerance * u.abs().clamp_min(1)).all())
    assert bool(((reached - x).abs() <= 1.01 * tolerance * x.abs().clamp_min(1)).all())


def test_a_looser_tolerance_takes_fewer_sweeps() -> None:
    net, x = wild(mlp(24, 2)), normal(20, 24)
    sweeps = [FixedPoint(tolerance).solve(net, U.Affine(), x).sweeps for tolerance in (1e-1, 1e-4, 1e-8)]
    assert sweeps == sorted(set(sweeps))


def test_a_sample_is_solved_the_same_alone_and_among_slower_ones() -> None:
    """Samples leave the batch as they are done; each has its own answer in its own place."""
    net, t, context = wild(mlp(9, 2, 2)), U.Affine(), normal(6, 2, seed=3)
    x = normal(6, 9) * torch.tensor([0.0, 100.0, 0.1, 10.0, 0.01, 1e7])[:, None]
    together = FixedPoint(1e-3).solve(net, t, x, context)
    alone = [FixedPoint(1e-3).solve(net, t, x[i], context[i]) for i in range(6)]
    assert len({solution.sweeps for solution in alone}) > 1
    assert together.sweeps == max(solution.sweeps or 0 for solution in alone)
    agree([together.u, together.log_det], [torch.stack([s.u for s in alone]), torch.stack([s.log_det for s in alone])])


def test_the_solution_as_guess_takes_one_sweep_to_confirm() -> None:
    net, t, x, context = wild(mlp(9, 2, 2)), U.Affine(), normal(4, 9), normal(2)
    first = EXACT.solve(net, t, x, context)
    again = FixedPoint(1e-12).solve(net, t, x, context, guess=first.u)
    assert again.sweeps == 1
    agree([again.u, again.log_det], [first.u, first.log_det])


@pytest.mark.parametrize("value", [3.0, 1e6, 1e300, math.inf, math.nan])
def test_a_bad_guess_changes_nothing_but_the_way(value: float) -> None:
    """Rows of cubes: from a guess of 1e6 they overflow in a few sweeps, and are started again."""
    net, t = Coupled(torch.diag(torch.ones(39), -1), power=3).double(), U.Additive()
    u = 0.5 * normal(3, 40)
    x, _ = t.forward(u, net(u))
    found = FixedPoint(1e-12).solve(net, t, x.detach(), guess=torch.full((40,), value, dtype=x.dtype))
    agree([found.u], [u], 1e-11)
    assert found.sweeps is not None
    assert found.sweeps < 40


def power_of_two_chain(features: int) -> Coupled:
    """Neighbours coupled by 2^30, so that errors grow by that factor per sweep, and all sums of integers are exact."""
    weight = torch.diag(torch.full((features - 1,), 2.0**30), -1) + torch.ones(features, features).tril(-2)
    return Coupled(weight, order=tuple(reversed(range(features)))).double()


def test_overflow_on_the_way_leaves_the_answer_exact() -> None:
    net, t = power_of_two_chain(60), U.Additive()
    u = normal(4, 60).mul(4).round()
    x = t.forward(u, net(u))[0].detach()
    naive = torch.zeros_like(u)
    for _ in range(60):
        naive, _ = t.inverse(x, net(naive))
    assert not bool(naive.isfinite().all())
    found = FixedPoint().solve(net, t, x)
    assert torch.equal(found.u, u)
    assert found.residual == 0


def test_overflow_in_the_backward_pass_leaves_the_gradient_exact() -> None:
    """dL/du = J^T v with integers v: the gradient in x is v, though the first sweeps pass 2^1024."""
    net, t = power_of_two_chain(60), U.Additive()
    u, v = normal(4, 60).mul(4).round(), normal(4, 60, seed=1).mul(4).round()
    jacobian = torch.eye(60).double() + net.weight.detach()
    x = t.forward(u, net(u))[0].detach().requires_grad_()
    found = FixedPoint().solve(net, t, x)
    (grad,) = torch.autograd.grad((found.u * (v @ jacobian)).sum(), x)
    assert torch.equal(grad, v)


class Overflowing(conditioners.Conditioner):
    """A hidden layer that overflows in float32 if any coordinate passes 340, and then spoils every row."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.num_params, self.context_features = features, 1, 0
        self.weight = nn.Parameter(torch.diag(torch.full((features - 1,), 100.0), -1))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return ((1e36 * x).relu() @ (1e-36 * self.weight).mT)[..., None]


def test_overflow_inside_the_conditioner_leaves_the_answer_exact() -> None:
    net, t = Overflowing(12), U.Additive()
    u = normal(5, 12).mul(8).round().float()
    x = t.forward(u, net(u))[0].detach()
    assert not bool(net(x).isfinite().any())  # the second of the naive sweeps
    found = FixedPoint().solve(net, t, x)
    expected = torch.zeros_like(u)
    for i in range(12):
        expected[:, i] = t.inverse(x, net(expected))[0][:, i].detach()
    assert torch.equal(found.u, expected)
    assert found.sweeps == 14


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("make", [mlp, Recurrent])
def test_a_value_that_is_not_finite_stays_in_its_sample(make: Any, value: float) -> None:
    net, t, x = wild(make(6, 2)), U.Affine(), normal(5, 6)
    x[2, net.order[3]] = value
    found, clean = EXACT.solve(net, t, x), EXACT.solve(net, t, normal(5, 6))
    others = [0, 1, 3, 4]
    agree([found.u[others], found.log_det[others]], [clean.u[others], clean.log_det[others]])
    position = torch.tensor(net.order).argsort()
    agree([found.u[2][position < 3]], [clean.u[2][position < 3]])
    assert not bool(found.u[2][position == 3].isfinite().any())
    if math.isnan(value):
        assert bool(found.u[2][position >= 3].isnan().all())
        assert bool(found.log_det[2].isnan())
    assert not math.isfinite(found.residual or 0.0)


def test_nan_leaves_rows_alone_that_do_not_read_it() -> None:
    """Row 3 reads row 0 by indexing, so nothing of rows 1 and 2 can reach it."""

    class Sparse(Coupled):
        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            zero = torch.zeros_like(x[..., 0])
            return torch.stack([zero, zero, self.weight[2, 1] * x[..., 1], self.weight[3, 0] * x[..., 0]], -1)[
                ..., None
            ]

    net = Sparse(torch.ones(4, 4)).double()
    u = FixedPoint().solve(net, U.Additive(), torch.tensor([1.0, math.nan, 1.0, 5.0]).double()).u
    assert u.isnan().tolist() == [False, True, True, False]
    assert u[3] == 4


def test_nan_gives_nan_gradients_to_its_own_sample_only() -> None:
    net, t, x = wild(mlp(6, 2)), U.Affine(), normal(3, 6)
    (clean,) = torch.autograd.grad(EXACT.solve(net, t, x.requires_grad_()).u.sin().sum(), x)
    spoilt = x.detach().clone()
    spoilt[1, 3] = math.nan
    (grad,) = torch.autograd.grad(EXACT.solve(net, t, spoilt.requires_grad_()).u.sin().sum(), spoilt)
    agree([grad[[0, 2]]], [clean[[0, 2]]])
    assert bool(grad[1].isnan().any())


def test_second_derivatives_are_refused_by_name() -> None:
    net, t, x = wild(mlp(3, 2)), U.Affine(), normal(3).requires_grad_()
    u = FixedPoint().solve(net, t, x).u
    (once,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (plain,) = torch.autograd.grad(FixedPoint().solve(net, t, x).u.sum(), x)
    assert torch.equal(once, plain)
    with pytest.raises(RuntimeError, match=r"Stepwise\(\)"):
        (once**2).sum().backward()


def test_transforms_of_torch_func_are_refused_by_name() -> None:
    net, t = mlp(3, 2), U.Affine()
    with pytest.raises(RuntimeError, match=r"Stepwise\(\)"):
        torch.func.vmap(lambda x: FixedPoint().solve(net, t, x).u)(torch.zeros(4, 3))


def test_a_training_step_touches_gradients_and_nothing_else() -> None:
    net, t, x = mlp(4, 2), U.Affine(), normal(6, 4).float()
    frozen = net.first.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    calls: list[int] = []
    net.out.bias.register_hook(lambda grad: calls.append(1) or 2 * grad)
    u, log_det, *_ = FixedPoint().solve(net, t, x)
    assert all(p.grad is None for p in net.parameters())
    loss = (u.square().sum(-1) / 2 - log_det).mean()
    (once,) = torch.autograd.grad(loss, net.layers[0].weight, retain_graph=True)
    calls.clear()
    loss.backward()
    assert len(calls) == 1  # a hook of the user's runs once
    assert torch.equal(net.layers[0].weight.grad, once)
    assert frozen.grad is None
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["first.weight"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_nothing_is_recorded_where_nothing_needs_a_gradient() -> None:
    net, t, x = mlp(4, 2), U.Affine(), torch.zeros(2, 4)
    with torch.no_grad():
        assert not FixedPoint().solve(net, t, x).u.requires_grad
    net.requires_grad_(False)
    assert not FixedPoint().solve(net, t, x).u.requires_grad
    assert FixedPoint().solve(net, t, x.requires_grad_()).u.requires_grad


def test_gradients_are_those_of_the_weights_that_solved() -> None:
    net, t, x = wild(mlp(4, 2)), U.Affine(), normal(4).requires_grad_()
    u = FixedPoint().solve(net, t, x).u
    with torch.no_grad():
        net.out.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        u.sum().backward()


def test_gradients_are_those_of_the_function_that_was_called() -> None:
    """Under functional_call the backward pass comes when the module has its own tensors again."""

    class Scaled(Coupled):
        def __init__(self) -> None:
            super().__init__(normal(4, 4).tril(-1))
            self.register_buffer("scale", torch.ones(4).double())
            self.constant = nn.Parameter(torch.ones(4).double(), requires_grad=False)

        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return super().forward(x) * (self.scale * self.constant)[:, None]  # type: ignore[operator]

    class Backwards(nn.Module):
        def __init__(self, solver: Any) -> None:
            super().__init__()
            self.layer = cf.Autoregressive(Scaled(), U.Additive(), solver=solver)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer.inverse(x)[0]

    def gradients(solver: Any) -> list[Tensor]:
        names = [f"layer.conditioner.{name}" for name in ("weight", "scale", "constant")]
        theirs = [normal(4, 4).tril(-1).requires_grad_(), normal(4, seed=1), normal(4, seed=2)]
        call = Backwards(solver)
        u = torch.func.functional_call(call, dict(zip(names, theirs, strict=True)), (normal(3, 4),))
        (grad,) = torch.autograd.grad(u.sin().sum(), theirs[0])
        return [u, grad.tril(-1)]

    agree(gradients(EXACT), gradients(Stepwise()))


def test_tied_parameters_get_their_whole_gradient() -> None:
    net, t, x = wild(mlp(4, 2, hidden=(8, 8, 8))), U.Affine(), normal(3, 4)
    net.layers[1].weight = net.layers[0].weight
    agree(solved(EXACT, net, t, x, None), solved(Stepwise(), net, t, x, None))


@pytest.mark.parametrize("tolerance", [-1e-6, math.inf, math.nan])
def test_impossible_tolerances_are_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance of 0 or more"):
        FixedPoint(tolerance)


def test_what_does_not_fit_is_refused() -> None:
    net, t, x = mlp(3, 2), U.Affine(), torch.zeros(2, 3)
    with pytest.raises(ValueError, match="3 features"):
        FixedPoint().solve(net, t, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="the guess with 3 features"):
        FixedPoint().solve(net, t, x, guess=torch.zeros(2, 1))
    with pytest.raises(ValueError, match="batch axes of the guess"):
        FixedPoint().solve(net, t, x, guess=torch.zeros(5, 3))
    with pytest.raises(TypeError, match=r"computes in torch\.float32"):
        FixedPoint().solve(Lowered(), t, x.double())


class Lowered(Coupled):
    """A conditioner that computes in float32 whatever it is given."""

    def __init__(self) -> None:
        super().__init__(torch.ones(3, 3).tril(-1))
        self.num_params = 2

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x.float()).expand(*x.shape, 2)


@pytest.mark.parametrize("make", [lambda: mlp(3, 2, dropout=0.5), lambda: nn.Sequential(mlp(3, 2), nn.Dropout(0.5))])
def test_active_dropout_is_refused(make: Any) -> None:
    net = Recurrent(3, 2)
    net.add_module("more", make())
    with pytest.raises(RuntimeError, match="call eval"):
        FixedPoint().solve(net, U.Affine(), torch.zeros(3))
    FixedPoint().solve(net.eval(), U.Affine(), torch.zeros(3))


def test_it_has_a_spec() -> None:
    assert spec.build(spec.spec_of(FixedPoint(1e-4))) == FixedPoint(1e-4)
