"""The gradient of the blocked inverse against autograd through D parallel passes."""

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from counterflow.conditioners import MaskedMLP
from counterflow.solvers import Blocked, Stepwise
from solvers.kernel_cases import ACTIVATIONS, MAPS, NETS, U, coupled, d_passes, normal, one_pass

PAIRS = [
    pytest.param(
        kind,
        t,
        id=f"{name}-{map_name}",
        marks=[]
        if name == "order, random degrees, context" or map_name in ("bounded", "inverted composition")
        else [pytest.mark.slow],
    )
    for name, kind in NETS.items()
    for map_name, t in MAPS.items()
]


def by_blocks(net: MaskedMLP, t: Any, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return Blocked().solve(net, t, x, context)[:2]


def both(u: Tensor, log_det: Tensor) -> Tensor:
    weights = torch.arange(1, 1 + u.shape[-1]).to(u)
    return (u.sin() * weights).sum() + (2 * log_det).cos().sum()


LOSSES = {
    "value and log-det": both,
    "value": lambda u, log_det: (u.sin() * u).sum(),
    "log-det": lambda u, log_det: log_det.sin().sum(),
    "one sample": lambda u, log_det: u[..., :1, :].square().sum() + 0 * log_det.sum(),
}


def gradients(
    solve: Any, net: Any, t: Any, x: Tensor, context: Tensor | None, *, loss: Any = both
) -> dict[str, Tensor | None]:
    """Of the input, of the context and of every parameter that asks for one."""
    inputs = {"x": x.detach().clone().requires_grad_()}
    if context is not None:
        inputs["context"] = context.detach().clone().requires_grad_()
    value = loss(*solve(net, t, *inputs.values()))
    inputs |= {name: p for name, p in net.named_parameters() if p.requires_grad}
    found = torch.autograd.grad(value, list(inputs.values()), materialize_grads=True)
    return dict(zip(inputs, found, strict=True))


def assert_same(found: dict[str, Any], truth: dict[str, Any], tolerance: float = 1e-10) -> None:
    assert set(found) == set(truth)
    for name, true in truth.items():
        scale = max(1.0, float(true.abs().max())) if true.numel() else 1.0
        assert found[name].shape == true.shape, name
        assert bool(((found[name] - true).abs() <= tolerance * scale).all()), name


@pytest.mark.parametrize(("kind", "t"), PAIRS)
def test_gradients_are_those_of_d_passes(kind: Any, t: Any) -> None:
    net, given = kind.make(t.num_params), tame(kind, t)
    assert_same(gradients(by_blocks, net, t, *given), gradients(d_passes, net, t, *given))


def tame(kind: Any, t: Any) -> tuple[Tensor, Tensor | None]:
    """The rows whose u is moderate: sin(u), of which the loss is made, has no digits left where u is 1e9."""
    x, context = kind.inputs(17)
    with torch.no_grad():
        u, _ = d_passes(kind.make(t.num_params), t, x, context)
    kept = u.abs().amax(-1) < 100
    assert kept.sum() >= 5
    return x[kept], None if context is None else context[kept]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 16, 33, 65, 131])
def test_gradients_of_any_number_of_samples_and_of_any_loss(samples: int, loss: Any) -> None:
    for (name, t), shared in itertools.product(
        (("residual, order, context", U.Affine()), ("context", U.RationalQuadratic(bins=3))), (False, True)
    ):
        net, (x, context) = NETS[name].make(t.num_params), NETS[name].inputs(samples)
        assert context is not None
        given = x, normal(context.shape[-1]) if shared else context
        assert_same(gradients(by_blocks, net, t, *given, loss=loss), gradients(d_passes, net, t, *given, loss=loss))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_through_every_activation(name: str) -> None:
    t = U.Affine()
    for kind in (NETS["sorted"], NETS["residual, order, context"]):
        net, given = kind.make(t.num_params, activation=ACTIVATIONS[name]), kind.inputs(17)
        assert_same(gradients(by_blocks, net, t, *given), gradients(d_passes, net, t, *given))


@pytest.mark.parametrize("name", ["sorted", "residual, order, context", "several blocks"])
@pytest.mark.parametrize("t", [U.Affine(), U.LinearRational(bins=3)], ids=["affine", "spline"])
def test_float32_gradients_err_at_most_twice_as_much_as_those_of_d_passes(name: str, t: Any) -> None:
    kind = NETS[name]
    net, (x, context) = kind.make(t.num_params, torch.float32), kind.inputs(200, dtype=torch.float32)
    wide = x.double(), None if context is None else context.double()
    truth = gradients(d_passes, copy.deepcopy(net).double(), t, *wide)
    loop, found = (gradients(run, net, t, x, context) for run in (d_passes, by_blocks))
    for entry, true in truth.items():
        assert true is not None
        allowed, mine = ((side[entry].double() - true).norm() for side in (loop, found))  # type: ignore[union-attr]
        assert mine <= 2 * allowed + 1e-6 * true.norm(), entry


@pytest.mark.parametrize(
    ("batch", "context_batch"),
    [
        ((), ()),
        ((2, 3), ()),
        ((2, 3), (3,)),
        ((), (4,)),
        ((2, 1), (1, 3)),
        ((2, 3), (2, 1)),
        ((0,), ()),
        ((2, 0), (1,)),
    ],
)
def test_gradients_of_batches_that_broadcast(batch: tuple[int, ...], context_batch: tuple[int, ...]) -> None:
    t = U.Affine()
    net, given = NETS["context"].make(2), (normal(*batch, 5), normal(*context_batch, 3, seed=1))
    assert_same(gradients(by_blocks, net, t, *given), gradients(d_passes, net, t, *given))


def test_gradients_of_expanded_and_transposed_inputs() -> None:
    net, t = NETS["sorted"].make(2), U.Affine()
    for shape, view in (
        ((7,), lambda x: x.expand(4, 7)),
        ((5, 1), lambda x: x.expand(5, 7)),
        ((7, 5), lambda x: x.t()),
        ((5, 14), lambda x: x[:, ::2]),
    ):
        found, truth = (
            gradients(lambda net, t, x, run=run, view=view: run(net, t, view(x)), net, t, normal(*shape), None)
            for run in (by_blocks, d_passes)
        )
        assert_same(found, truth)


@pytest.mark.parametrize("name", ["context", "gated", "sorted", "holes"])
def test_gradients_are_right_whichever_parameters_are_frozen(name: str) -> None:
    t, kind = U.RationalQuadratic(bins=2), NETS[name]
    net, given = kind.make(t.num_params), kind.inputs(5)
    truth = gradients(d_passes, net, t, *given)
    names = [parameter for parameter, _ in net.named_parameters()]
    for chosen in ([], *([one] for one in names), *([other for other in names if other != one] for one in names)):
        for parameter, p in net.named_parameters():
            p.requires_grad_(parameter in chosen)
        assert_same(
            gradients(by_blocks, net, t, *given), {k: v for k, v in truth.items() if k not in names or k in chosen}
        )


def test_gradients_of_the_context_alone_and_of_nothing() -> None:
    t, kind = U.Affine(), NETS["context"]
    net, (x, context) = kind.make(2), kind.inputs(5)
    assert context is not None
    net.requires_grad_(False)
    assert not by_blocks(net, t, x, context)[0].requires_grad
    truth = gradients(d_passes, net, t, x, context)["context"]
    context.requires_grad_()
    (found,) = torch.autograd.grad(both(*by_blocks(net, t, x, context)), context)
    assert_same({"context": found}, {"context": truth})
    with torch.no_grad():
        assert not by_blocks(net, t, x, context)[0].requires_grad


def test_a_parameter_in_two_places_gets_both_gradients() -> None:
    t = U.Affine()
    net = coupled(MaskedMLP(4, 2, (8, 8, 8), activation=nn.Tanh())).double()
    net.layers[1].weight = net.layers[0].weight
    net.layers[1].bias = net.layers[0].bias
    given = normal(5, 4), None
    assert_same(gradients(by_blocks, net, t, *given), gradients(d_passes, net, t, *given))


def test_gradients_reach_the_parameters_behind_a_weight() -> None:
    """Weight normalisation computes the weight from two others."""
    t, kind = U.Affine(), NETS["context"]
    net, given = kind.make(2), kind.inputs(5)
    for layer in (net.first, net.layers[0], net.out, net.context):
        nn.utils.parametrizations.weight_norm(layer)
    assert_same(gradients(by_blocks, net, t, *given), gradients(d_passes, net, t, *given))


def test_any_module_may_make_something_of_the_context() -> None:
    t, kind = U.Affine(), NETS["residual, order, context"]
    net, given = kind.make(2), kind.inputs(5)
    net.context = nn.Sequential(nn.Linear(2, 9), nn.Tanh(), nn.Linear(9, 13, bias=False)).double()
    assert_same(gradients(by_blocks, net, t, *given), gradients(d_passes, net, t, *given))


def test_the_mirrored_recursion_in_pytorch_agrees_with_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in NETS.values():
        for t in (U.Additive(), MAPS["composed"]):
            net, given = kind.make(t.num_params), kind.inputs(9)
            by_kernel = gradients(by_blocks, net, t, *given)
            with monkeypatch.context() as patch:
                patch.setattr("counterflow.solvers.kernels.mirrored.kernels_for", lambda x: None)
                assert_same(gradients(by_blocks, net, t, *given), by_kernel, 1e-11)


def test_gradients_agree_with_finite_differences() -> None:
    t = U.RationalQuadratic(bins=2)
    net = coupled(MaskedMLP(3, t.num_params, (4,), 1, activation=nn.SiLU())).double()
    names = [name for name, _ in net.named_parameters()]

    class Solving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
            return by_blocks(self.net, t, x, context)

    def inverse(x: Tensor, context: Tensor, *tensors: Tensor) -> Any:
        given = {f"net.{name}": tensor for name, tensor in zip(names, tensors, strict=True)}
        return torch.func.functional_call(Solving(), given, (x, context))

    tensors = [p.detach().clone().requires_grad_() for p in net.parameters()]
    points = [normal(2, 3).requires_grad_(), normal(1, seed=1).requires_grad_()]
    assert torch.autograd.gradcheck(inverse, (*points, *tensors), fast_mode=True)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", ["first.weight", "layers.0.bias", "context.weight"])
def test_weights_that_changed_before_the_backward_pass_are_refused(name: str, frozen: bool) -> None:
    kind, t = NETS["context"], U.Affine()
    net, (x, context) = kind.make(2), kind.inputs(5)
    net.get_parameter(name).requires_grad_(not frozen)
    u, _ = by_blocks(net, t, x.requires_grad_(), context)
    with torch.no_grad():
        net.get_parameter(name).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        u.sum().backward()


def test_a_backward_pass_can_be_repeated() -> None:
    kind, t = NETS["context"], U.Affine()
    net, (x, context) = kind.make(2), kind.inputs(5)
    u, log_det = by_blocks(net, t, x.requires_grad_(), context)
    once, again = (torch.autograd.grad(both(u, log_det), list(net.parameters()), retain_graph=True) for _ in range(2))
    assert all(torch.equal(*pair) for pair in zip(once, again, strict=True))


def test_second_derivatives_are_refused_by_name() -> None:
    net, t, x = NETS["sorted"].make(2), U.Affine(), normal(7).requires_grad_()
    (once,) = torch.autograd.grad(by_blocks(net, t, x)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match=r"Stepwise\(\)"):
        (once**2).sum().backward()
    (exact,) = torch.autograd.grad(Stepwise().solve(net, t, x).u.sum(), x, create_graph=True)
    torch.testing.assert_close(once, exact)
    (exact**2).sum().backward()


def test_a_training_step_through_the_inverse_lowers_its_loss() -> None:
    """An IAF fitted to data by maximum likelihood, its weights updated in place between solves."""
    torch.manual_seed(0)
    net, t = MaskedMLP(4, 2, (16, 16), activation=nn.SiLU()), U.Affine()
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    x = torch.randn(200, 4).cumsum(-1)
    losses = []
    for _ in range(60):
        u, log_det = by_blocks(net, t, x)
        loss = (u.square().sum(-1) / 2 - log_det).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
    back, _ = one_pass(net, t, u.detach())
    assert back.shape == x.shape
