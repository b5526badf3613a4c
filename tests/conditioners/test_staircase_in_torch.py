"""The product that skips the masked half inside networks, and under what torch can do to a function."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

import counterflow as cf
from conditioners.masked_layers import EXACT, LAYERS, TOLERANCE, dense, drawn, made, rows, was_stepped
from counterflow.conditioners import random_order
from counterflow.conditioners import staircase as module
from counterflow.conditioners.masked_linear import MaskedLinear


@pytest.fixture(autouse=True)
def _steps_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_WORK", 0)


@pytest.fixture
def dense_everywhere(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(module, "_LEAST_WORK", 10**15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_left_to_the_dense_product(dtype: torch.dtype) -> None:
    layer = made().to(dtype)
    x = rows(layer, 3).requires_grad_()
    y = layer(x)
    assert not was_stepped(y)
    torch.testing.assert_close(y, dense(layer, x), **EXACT)
    y.sum().backward()


def test_autocast_is_left_to_the_dense_product() -> None:
    layer = made().float()
    x = rows(layer, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        assert y.dtype == torch.bfloat16
        torch.testing.assert_close(y, dense(layer, x), **EXACT)


class Tagged(Tensor):
    """A subclass, which may mean anything by its operations."""


def test_subclasses_of_tensor_are_left_to_the_dense_product() -> None:
    layer = made()
    x = rows(layer, 3)
    assert was_stepped(layer(x))
    assert not was_stepped(layer(x.as_subclass(Tagged)))
    other = {"weight": layer.weight.as_subclass(Tagged), "bias": layer.bias}
    assert not was_stepped(torch.func.functional_call(layer, other, (x,)))


def test_vmap_grad_and_jacrev_give_what_the_dense_product_gives() -> None:
    layer = made()
    x = rows(layer, 3)
    torch.testing.assert_close(torch.func.vmap(layer)(x), dense(layer, x), **TOLERANCE)
    jacobian = torch.func.vmap(torch.func.jacrev(layer))(x)
    torch.testing.assert_close(jacobian, (layer.weight * layer.mask).expand_as(jacobian), **TOLERANCE)
    gradient = torch.func.grad(lambda value: layer(value).square().sum())(x)
    expected = torch.func.grad(lambda value: dense(layer, value).square().sum())(x)
    torch.testing.assert_close(gradient, expected, **TOLERANCE)


def test_an_ensemble_of_stacked_parameters_gives_its_members() -> None:
    members = [MaskedLinear(*LAYERS["drawn"]).double() for _ in range(3)]
    x = rows(members[0], 4)
    parameters, buffers = torch.func.stack_module_state(members)  # type: ignore[arg-type]
    call = lambda p, b: torch.func.functional_call(members[0], (p, b), (x,))  # noqa: E731
    torch.testing.assert_close(
        torch.func.vmap(call)(parameters, buffers), torch.stack([member(x) for member in members]), **TOLERANCE
    )
    other = {"weight": members[1].weight, "bias": members[1].bias}
    torch.testing.assert_close(torch.func.functional_call(members[0], other, (x,)), members[1](x), **TOLERANCE)


@pytest.mark.parametrize("after_relu", [False, True])
def test_batched_gradients_are_right(after_relu: bool) -> None:
    layer = made()
    x = rows(layer, 2).requires_grad_()
    y, expected = layer(x.clone(), after_relu=after_relu), dense(layer, x, after_relu=after_relu)
    g = torch.randn(5, *y.shape, dtype=torch.float64)
    of = (x, layer.weight, layer.bias)
    ours = torch.autograd.grad(y, of, g, is_grads_batched=True)
    theirs = torch.autograd.grad(expected, of, g, is_grads_batched=True)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")  # torch's own use of it
def test_forward_mode_is_right() -> None:
    layer = made()
    x, tangent = rows(layer, 3), rows(layer, 3)
    with forward_ad.dual_level():
        y = layer(forward_ad.make_dual(x, tangent))
        found = forward_ad.unpack_dual(y).tangent
    torch.testing.assert_close(found, tangent @ (layer.weight * layer.mask).t(), **TOLERANCE)


def test_recomputed_activations_give_the_same_gradients() -> None:
    net = network()
    x = torch.randn(5, 70, dtype=torch.float64)
    found = []
    for y in (net(x), torch.utils.checkpoint.checkpoint(net, x, use_reentrant=False)):
        found.append(torch.autograd.grad(y.sin().sum(), list(net.parameters())))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def network(**settings: object) -> cf.MaskedMLP:
    torch.manual_seed(2)
    return cf.MaskedMLP(70, 2, (100, 100, 100), **settings).double()  # type: ignore[arg-type]


NETWORKS: dict[str, dict[str, object]] = {
    "plain": {},
    "context": {"context_features": 3},
    "residual": {"residual": True},
    "residual with context and dropout": {"residual": True, "context_features": 3, "dropout": 0.2},
    "dropout": {"dropout": 0.2},
    "tanh": {"activation": nn.Tanh()},
    "drawn": {"degrees": tuple(tuple(drawn(70, 100).tolist()) for _ in range(3))},
    "drawn order": {"order": random_order(70, generator=torch.Generator().manual_seed(3))},
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_have_the_gradients_of_the_dense_product(
    name: str, training: bool, dense_everywhere: Callable[[], None]
) -> None:
    net = network(**NETWORKS[name]).train(training)
    x = torch.randn(6, 70, dtype=torch.float64, requires_grad=True)
    context = torch.randn(6, 3, dtype=torch.float64) if net.context_features else None

    def result() -> tuple[Tensor, ...]:
        torch.manual_seed(4)  # of the dropout
        y = net(x, context)
        return y, *torch.autograd.grad(y.sin().sum(), (x, *net.parameters()))

    ours = result()
    dense_everywhere()
    for a, b in zip(ours, result(), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)


def test_second_derivatives_go_through_a_network(dense_everywhere: Callable[[], None]) -> None:
    net = network()
    x = torch.randn(2, 70, dtype=torch.float64, requires_grad=True)

    def result() -> tuple[Tensor, ...]:
        (score,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(score.square().sum(), (x, *net.parameters()), allow_unused=True)

    ours = result()
    dense_everywhere()
    for a, b in zip(ours, result(), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


COMPILED = """
import torch, counterflow as cf
net = cf.MaskedMLP(256, 2, (256, 256))
x = torch.randn(2000, 256)
with torch.no_grad():
    expected = net(x)
    for strict in (False, True):
        exported = torch.export.export(net, (x,), strict=strict).module()
        torch.testing.assert_close(exported(x), expected)


def gradients(call):
    net.zero_grad()
    call(x).square().mean().backward()
    return [p.grad.clone() for p in net.parameters()]


for ours, theirs in zip(gradients(torch.compile(net, backend="aot_eager", fullgraph=True)), gradients(net)):
    torch.testing.assert_close(ours, theirs)
"""


@pytest.mark.slow
def test_compiled_and_exported_networks_give_the_same() -> None:
    # In its own process: torch.compile does not work under the hook that checks shapes.
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
