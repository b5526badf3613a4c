"""Kernels read the weights that a network has now, however they came to be there."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import counterflow as cf
from counterflow.conditioners import MaskedLinear, MaskedMLP
from solvers.kernel_cases import DIRECTIONS, NETS, U, blocked, close, coupled, d_passes, evaluated, one_pass, solved

T = U.Affine()
KINDS = pytest.mark.parametrize("name", ["context", "gated", "holes", "order"])


def step_of(make: Callable[..., torch.optim.Optimizer], **options: Any) -> Callable[[MaskedMLP], None]:
    def change(net: MaskedMLP) -> None:
        optimiser = make(net.parameters(), lr=0.1, **options)
        sum(p.sin().sum() for p in net.parameters()).backward()
        optimiser.step()

    return change


def numpy_edit(net: MaskedMLP) -> None:
    net.layers[0].weight.detach().numpy()[:] *= 2
    net.out.bias.detach().numpy()[:] += 1


@torch.no_grad()
def in_place(net: MaskedMLP) -> None:
    for p in net.parameters():
        p.mul_(1.3).add_(0.1)


def data_edit(net: MaskedMLP) -> None:
    for p in net.parameters():
        p.data = 1.3 * p.data + 0.1


def replaced_parameters(net: MaskedMLP) -> None:
    net.first.weight = nn.Parameter(2 * net.first.weight.detach())
    net.out.bias = nn.Parameter(net.out.bias.detach() + 1)


def state_dict_loaded(net: MaskedMLP) -> None:
    net.load_state_dict({name: 1.3 * tensor for name, tensor in net.state_dict().items()})


def state_dict_assigned(net: MaskedMLP) -> None:
    net.load_state_dict({name: 1.3 * tensor for name, tensor in net.state_dict().items()}, assign=True)


def there_and_back(net: MaskedMLP) -> None:
    net.float().double()


def replaced_layer(net: MaskedMLP) -> None:
    net.layers[0] = coupled_layer(net.layers[0].mask.clone(), seed=5)


def other_activation(net: MaskedMLP) -> None:
    net.activation = nn.ELU()


def other_slope(net: MaskedMLP) -> None:
    net.activation = nn.LeakyReLU(0.1)
    solve_and_score(net)
    net.activation.negative_slope = 0.7


def unknown_activation(net: MaskedMLP) -> None:
    net.activation = nn.GELU()


def bias_removed(net: MaskedMLP) -> None:
    net.layers[0].bias = None


def coupled_layer(mask: Tensor, seed: int = 0) -> MaskedLinear:
    out, source = mask.shape
    layer = MaskedLinear(torch.zeros(out, dtype=torch.long), torch.zeros(source, dtype=torch.long)).double()
    layer.mask, layer.stairs = mask, None
    with torch.no_grad():
        layer.weight.copy_(torch.randn(out, source, generator=torch.Generator().manual_seed(seed)))
    return layer


CHANGES: dict[str, Callable[[MaskedMLP], None]] = {
    "SGD": step_of(torch.optim.SGD, momentum=0.9),
    "Adam, foreach": step_of(torch.optim.Adam, foreach=True),
    "Adam, fused": step_of(torch.optim.Adam, fused=True),
    "in place": in_place,
    "data": data_edit,
    "numpy": numpy_edit,
    "new parameters": replaced_parameters,
    "state dict": state_dict_loaded,
    "state dict, assigned": state_dict_assigned,
    "to float32 and back": there_and_back,
    "new layer": replaced_layer,
    "new activation": other_activation,
    "new slope of the activation": other_slope,
    "activation that no kernel knows": unknown_activation,
    "no bias": bias_removed,
}


def solve_and_score(net: MaskedMLP, samples: int = 19) -> list[tuple[Tensor, Tensor]]:
    x, context = inputs_of(net, samples)
    return [run(net, T, x, context) for run in (blocked, evaluated)]


def inputs_of(net: MaskedMLP, samples: int) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(samples, net.features, generator=generator).double()
    return x, torch.randn(samples, net.context_features, generator=generator).double() if net.context_features else None


def assert_never_stale(net: MaskedMLP, samples: int = 19) -> None:
    """In both directions, for one tile and for two samples, and in the gradient."""
    for count in (2, samples):
        given = inputs_of(net, count)
        for run, true in DIRECTIONS.values():
            assert close(run(net, T, *given), true(net, T, *given))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@KINDS
def test_the_next_solve_and_score_use_what_the_network_is_now(name: str, change: Callable[[MaskedMLP], None]) -> None:
    net = NETS[name].make(T.num_params)
    before = solve_and_score(net)
    change(net)
    assert_never_stale(net)
    if change is not there_and_back:
        after = solve_and_score(net)
        assert not any(torch.equal(old[0], new[0]) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("change", ["in place", "new layer", "new activation", "no bias"])
def test_gradients_use_what_the_network_is_now(change: str) -> None:
    net = NETS["context"].make(T.num_params)
    x, context = inputs_of(net, 7)

    def gradients(solve: Any) -> tuple[Tensor, ...]:
        u, log_det = solve(net, T, x, context)[:2]
        return torch.autograd.grad(u.sin().sum() + log_det.cos().sum(), list(net.parameters()))

    gradients(cf.solvers.Blocked().solve)
    CHANGES[change](net)
    for found, true in zip(gradients(cf.solvers.Blocked().solve), gradients(d_passes), strict=True):
        torch.testing.assert_close(found, true, rtol=1e-10, atol=1e-10)


@KINDS
def test_a_copy_has_weights_of_its_own(name: str) -> None:
    net = NETS[name].make(T.num_params)
    before = solve_and_score(net)
    twin = copy.deepcopy(net)
    in_place(twin)
    other_activation(twin)
    assert_never_stale(twin)
    for old, new in zip(before, solve_and_score(net), strict=True):
        assert torch.equal(old[0], new[0])


def test_a_layer_of_other_degrees_is_solved_or_refused() -> None:
    net = NETS["sorted"].make(T.num_params)
    solve_and_score(net)
    degrees = torch.tensor(net.degrees[1]).sub(2).clamp_min(1)
    net.layers[0] = coupled_layer(MaskedLinear(degrees, torch.tensor(net.degrees[0])).mask.double())
    try:
        assert_never_stale(net)
    except (TypeError, ValueError, RuntimeError) as refusal:
        assert "mask" in str(refusal)  # noqa: PT017


def test_functional_call_uses_the_parameters_that_it_is_given() -> None:
    net = NETS["context"].make(T.num_params)
    layer, given = cf.Autoregressive(net, T), inputs_of(net, 19)
    other = coupled(copy.deepcopy(net), seed=9)
    theirs = {f"conditioner.{name}": p.detach() for name, p in other.named_parameters()}
    for true, module in ((solved, cf.Inverse(layer)), (one_pass, layer)):
        prefix = "" if module is layer else "bijection."
        with torch.no_grad():
            own = module(*given)
            found = torch.func.functional_call(module, {prefix + name: p for name, p in theirs.items()}, given)
            again = module(*given)
        assert close(found, true(other, T, *given))
        assert torch.equal(own[0], again[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_network_in_two_precisions(dtype: torch.dtype) -> None:
    net = NETS["gated"].make(T.num_params)
    solve_and_score(net)
    x, context = (part.to(dtype) for part in inputs_of(net, 19) if part is not None)
    net = net.to(dtype)
    found = blocked(net, T, x, context)
    assert found[0].dtype == found[1].dtype == dtype
    assert close(found, solved(net, T, x, context), 1e-12 if dtype == torch.float64 else 1e-4)
    with pytest.raises(TypeError, match="the conditioner computes in"):
        blocked(
            net,
            T,
            x.to(torch.float32 if dtype == torch.float64 else torch.float64),
            None if context is None else context,
        )


def test_a_saved_flow_comes_back_with_its_weights(tmp_path: Path) -> None:
    flow = cf.models.maf(5, 2, layers=2, hidden=(16, 16))
    for module in flow.modules():
        if isinstance(module, MaskedMLP):
            coupled(module)
    context = torch.randn(7, 2)
    u = flow.sample((7,), context)
    cf.save(tmp_path / "flow.safetensors", flow)
    loaded = cf.load(tmp_path / "flow.safetensors")
    with torch.no_grad():
        assert torch.equal(loaded.log_prob(u, context), flow.log_prob(u, context))
        for module in loaded.modules():
            if isinstance(module, MaskedMLP):
                assert_never_stale(module.double())


class Adapter(nn.Module):
    """A module around a masked layer, as methods of fine-tuning put there."""

    def __init__(self, layer: MaskedLinear) -> None:
        super().__init__()
        self.layer, self.mask, self.bias, self.weight = layer, layer.mask, layer.bias, layer.weight
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def forward(self, x: Tensor, *, after_relu: bool = False) -> Tensor:
        return 1.5 * self.layer(x, after_relu=after_relu)


class Loud(MaskedLinear):
    """A masked layer of a user's own."""

    def forward(self, x: Tensor, *, after_relu: bool = False) -> Tensor:
        return 1.5 * super().forward(x, after_relu=after_relu)


def adapted(net: MaskedMLP) -> None:
    net.layers[0] = Adapter(net.layers[0])


def hooked(net: MaskedMLP) -> None:
    net.layers[0].register_forward_hook(lambda module, given, found: 1.5 * found)


def hooked_before(net: MaskedMLP) -> None:
    net.first.register_forward_pre_hook(lambda module, given: (1.5 * given[0],))


def subclassed(net: MaskedMLP) -> None:
    net.layers[0].__class__ = Loud


def pruned(net: MaskedMLP) -> None:
    """The weight is an attribute, which a hook computes when the layer is called."""
    prune.random_unstructured(net.layers[0], "weight", 0.5)
    with torch.no_grad():
        net.layers[0].weight_orig.mul_(3)


def normalised(net: MaskedMLP) -> None:
    nn.utils.parametrizations.weight_norm(net.layers[0])
    with torch.no_grad():
        net.layers[0].parametrizations.weight.original0.mul_(3)


FOREIGN = {f.__name__: f for f in (adapted, hooked, hooked_before, subclassed, pruned, normalised)}


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_a_layer_that_is_more_than_its_weight_is_run_as_it_is_or_refused(change: Callable[[MaskedMLP], None]) -> None:
    net = NETS["context"].make(T.num_params)
    solve_and_score(net)
    change(net)
    given = inputs_of(net, 9)
    assert close(evaluated(net, T, *given), one_pass(net, T, *given))
    try:
        found = blocked(net, T, *given)
    except (TypeError, RuntimeError) as refusal:
        assert "MaskedLinear" in str(refusal)  # noqa: PT017
    else:
        assert close(found, solved(net, T, *given))
