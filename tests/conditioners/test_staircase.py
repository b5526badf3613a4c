"""The product that skips the masked half against the dense masked product: value, gradients, and never stale."""

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from conditioners.masked_layers import LAYERS, TOLERANCE, ascending, dense, made, rows, rows_of, was_stepped
from counterflow.conditioners import staircase as module
from counterflow.conditioners.masked_linear import MaskedLinear
from counterflow.conditioners.staircase import staircase


@pytest.fixture(autouse=True)
def _steps_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_WORK", 0)


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> MaskedLinear:
    return made(request.param)


def gradients(y: Tensor, g: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y, of, g)


@pytest.mark.parametrize("batch", [(), (1,), (7,), (2, 3), (0,), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("after_relu", [False, True])
def test_value_and_gradients_are_those_of_the_dense_product(
    layer: MaskedLinear, batch: tuple[int, ...], after_relu: bool
) -> None:
    x = rows(layer, *batch).requires_grad_()
    y, expected = layer(x.clone(), after_relu=after_relu), dense(layer, x, after_relu=after_relu)
    assert was_stepped(y)
    torch.testing.assert_close(y, expected, **TOLERANCE)
    g = torch.randn_like(y)
    of = (x, layer.weight, layer.bias)
    for ours, theirs in zip(gradients(y, g, *of), gradients(expected, g, *of), strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


@pytest.mark.parametrize("after_relu", [False, True])
def test_second_derivatives_are_those_of_the_dense_product(layer: MaskedLinear, after_relu: bool) -> None:
    x, g = rows(layer, 4).requires_grad_(), torch.randn(4, layer.out_features, dtype=torch.float64, requires_grad=True)
    of = (x, layer.weight, layer.bias)
    found = []
    for y in (layer(x.clone(), after_relu=after_relu), dense(layer, x, after_relu=after_relu)):
        first = torch.autograd.grad(y.sin(), of, g, create_graph=True)
        scalar = sum(((part + 1) ** 3).sum() for part in first)
        found.append(torch.autograd.grad(scalar, (*of, g)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_float32_errs_no_more_than_the_dense_product(layer: MaskedLinear) -> None:
    x = rows(layer, 50)
    exact = dense(layer, x)
    layer.float()
    y, plain = layer(x.float()), dense(layer, x.float())
    assert y.dtype == torch.float32
    assert (y - exact).abs().max() <= 2 * (plain - exact).abs().max() + 1e-7


def test_gradient_of_a_masked_weight_is_zero(layer: MaskedLinear) -> None:
    layer(rows(layer, 9)).square().sum().backward()
    assert layer.weight.grad is not None
    assert not layer.weight.grad[layer.mask == 0].any()
    assert layer.weight.grad[layer.mask != 0].all()


@pytest.mark.parametrize("needed", list(itertools.product([False, True], repeat=3)), ids=str)
@pytest.mark.parametrize("after_relu", [False, True])
def test_only_the_gradients_asked_for_are_made(needed: tuple[bool, bool, bool], after_relu: bool) -> None:
    layer = made()
    x = rows(layer, 5).requires_grad_(needed[0])
    layer.weight.requires_grad_(needed[1])
    layer.bias.requires_grad_(needed[2])
    y = layer(x.clone(), after_relu=after_relu)
    assert y.requires_grad == any(needed)
    torch.testing.assert_close(y, dense(layer, x, after_relu=after_relu), **TOLERANCE)
    if any(needed):
        y.sum().backward()
    assert tuple(part.grad is not None for part in (x, layer.weight, layer.bias)) == needed


STRIDED: dict[str, Callable[[MaskedLinear], Tensor]] = {
    "columns first": lambda layer: rows(layer, 6).t().contiguous().t(),
    "every second": lambda layer: torch.randn(6, 2 * layer.in_features, dtype=torch.float64)[:, ::2],
    "part of a wider one": lambda layer: torch.randn(6, layer.in_features + 3, dtype=torch.float64)[:, 2:-1],
    "one row repeated": lambda layer: rows(layer, 1).expand(6, -1),
    "batch axes swapped": lambda layer: rows(layer, 3, 6).transpose(0, 1),
}


@pytest.mark.parametrize("name", STRIDED)
def test_inputs_may_lie_in_any_way(layer: MaskedLinear, name: str) -> None:
    x = STRIDED[name](layer).detach().requires_grad_()
    y, expected = layer(x), dense(layer, x)
    torch.testing.assert_close(y, expected, **TOLERANCE)
    # The gradient of a sum is one number repeated, that of a transposed result is transposed.
    for reduce in (torch.sum, lambda value: (value.transpose(0, -1) * torch.arange(6.0)).sum()):
        ours, theirs = (torch.autograd.grad(reduce(v), x, retain_graph=True)[0] for v in (y, expected))
        torch.testing.assert_close(ours, theirs, **TOLERANCE)


def test_a_second_backward_pass_of_a_retained_graph_gives_the_same() -> None:
    layer = made()
    x = rows(layer, 5).requires_grad_()
    y = layer(x.clone(), after_relu=True)
    of = (x, layer.weight, layer.bias)
    g = torch.randn_like(y)
    once, twice = torch.autograd.grad(y, of, g, retain_graph=True), torch.autograd.grad(y, of, g)
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


def test_relu_before_the_layer_overwrites_what_it_reads() -> None:
    layer = made()
    z = rows(layer, 5)
    h = z.relu()
    layer(z, after_relu=True)
    assert torch.equal(z, h)


def through_data(layer: MaskedLinear) -> None:
    layer.weight.data.mul_(3)
    layer.bias.data.add_(1)


def in_place(layer: MaskedLinear) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.randn_like(layer.weight))


def by_loading(layer: MaskedLinear) -> None:
    layer.load_state_dict({key: value + 1 for key, value in layer.state_dict().items()})


def by_an_optimiser(layer: MaskedLinear) -> None:
    optimiser = torch.optim.Adam(layer.parameters(), 0.1, weight_decay=0.1)
    layer(rows(layer, 5)).square().sum().backward()
    optimiser.step()


def by_replacement(layer: MaskedLinear) -> None:
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


@pytest.mark.parametrize("edit", [through_data, in_place, by_loading, by_an_optimiser, by_replacement])
def test_an_edited_weight_is_never_stale(layer: MaskedLinear, edit: Callable[[MaskedLinear], None]) -> None:
    x = rows(layer, 5)
    before = layer(x)
    edit(layer)
    after = layer(x)
    assert not layer.mask.any() or not torch.equal(after, before)
    torch.testing.assert_close(after, dense(layer, x), **TOLERANCE)


def test_a_weight_edited_between_forward_and_backward_is_an_error() -> None:
    layer = made()
    y = layer(rows(layer, 5).requires_grad_())
    in_place(layer)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_nan_reaches_every_row_that_reads_it(layer: MaskedLinear) -> None:
    for column in {0, layer.in_features // 2, layer.in_features - 1}:
        x = rows(layer, 3)
        x[1, column] = torch.nan
        y = layer(x)
        assert torch.isnan(y[1])[layer.mask[:, column] != 0].all()
        torch.testing.assert_close(y[[0, 2]], dense(layer, x)[[0, 2]], **TOLERANCE)


def test_columns_beyond_a_step_are_not_read() -> None:
    layer = made()
    with torch.no_grad():
        layer.weight[:32, 60:] = torch.nan
    x = rows(layer, 3)
    x[:, -1] = torch.nan
    assert torch.isfinite(layer(x)[:, :32]).all()


def test_structure_is_all_that_is_kept() -> None:
    layer = made("drawn")
    assert set(layer.state_dict()) == {"weight", "bias"}
    assert {name for name, _ in layer.named_buffers()} == {"mask"}
    twin = copy.deepcopy(layer)
    x = rows(layer, 3)
    assert torch.equal(twin(x), layer(x))


@pytest.mark.parametrize(("features", "width"), [(64, 512), (256, 512), (784, 1024)])
def test_steps_read_little_more_than_the_unmasked_half(features: int, width: int) -> None:
    inputs, hidden = torch.arange(1, features + 1), ascending(features, width)
    layers = [(hidden, inputs), (hidden, hidden), (rows_of(inputs, 2), hidden), (rows_of(inputs, 23), hidden)]
    for out_degrees, in_degrees in layers:
        stairs = staircase(out_degrees, in_degrees)
        assert stairs is not None
        assert sum(stairs.heights) == len(out_degrees)
        read = sum(height * reads for height, reads in zip(stairs.heights, stairs.reads, strict=True))
        assert read <= 0.64 * len(out_degrees) * len(in_degrees)


def test_layers_in_which_little_is_masked_have_no_steps() -> None:
    assert staircase(torch.full((100,), 5), torch.arange(1, 6)) is None
    assert staircase(torch.arange(5), torch.arange(5)) is None  # fewer rows than a step


def test_a_module_without_values_can_be_made() -> None:
    with torch.device("meta"):
        net = cf.MaskedMLP(70, 2, (100, 100))
        assert net(torch.empty(3, 70)).shape == (3, 70, 2)
