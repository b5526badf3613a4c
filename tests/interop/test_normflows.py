"""Models of normflows as flows of ours: what is refused, what is left alone, and what test_conversions does not ask."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import normflows as nf
import pytest
import torch
from normflows.nets.made import MADE
from torch import nn

from counterflow.conditioners import MaskedMLP, MaskedNetwork
from counterflow.interop import Unsupported, from_normflows
from foreign import zoo_normflows
from foreign.agreement import largest_difference, pair, perturb_, points
from foreign.zoo_normflows import PLAIN, D, F, H, M, made, maf, started

# What normflows calls when it makes a matrix, and a uniform base.
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


def test_networks_become_plain_masked_mlps_where_they_fit_one() -> None:
    plain = pair(zoo_normflows, "masked affine, from data")[1].bijection.parts[0].bijection.conditioner
    wired = pair(zoo_normflows, "batch normalisation")[1].bijection.parts[0].bijection.conditioner
    assert type(plain) is MaskedMLP
    assert type(wired) is MaskedNetwork


def test_a_state_from_a_file_is_converted_after_loading_it_into_a_model(tmp_path: Path) -> None:
    theirs, ours = pair(zoo_normflows, "autoregressive splines", 0, torch.float32)
    theirs.save(tmp_path / "state.pt")
    fresh = model(*PLAIN["autoregressive splines"](), base=nf.distributions.base.DiagGaussian(D, trainable=False))
    fresh.load(tmp_path / "state.pt")
    x = points(D, torch.float32)
    assert torch.equal(from_normflows(fresh.eval()).log_prob(x), ours.log_prob(x))


def test_a_conversion_leaves_the_original_and_the_random_streams_alone() -> None:
    theirs = made("batch normalisation", 0, torch.float32).train()
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in theirs.state_dict().items()}
    ours = from_normflows(theirs)
    assert torch.equal(torch.get_rng_state(), before)
    assert theirs.training
    assert not ours.training  # as it is in evaluation mode: dropout would make the density a random one
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("kind", ["mixture", "uniform", "cooler"])
def test_bases_other_than_the_normal_keep_their_density(kind: str) -> None:
    torch.manual_seed(0)
    bases = nf.distributions.base
    base: Any = {
        "mixture": lambda: bases.GaussianMixture(3, D, loc=torch.randn(3, D).numpy()),
        "uniform": lambda: bases.Uniform(D, -1.0, 2.0),
        "cooler": lambda: bases.DiagGaussian(D),
    }[kind]()
    base.temperature = 0.7 if kind == "cooler" else None
    theirs = nf.NormalizingFlow(base, [F.Permute(D), started(F.ActNorm(D))]).double().eval()
    x = points(D, torch.float64, spread=1.0)
    ours, expected = from_normflows(theirs).log_prob(x), theirs.log_prob(x)
    assert torch.equal(ours.isfinite(), expected.isfinite())
    known = ours.isfinite()
    assert largest_difference(ours[known], expected[known].double()) <= (1e-7 if kind == "uniform" else 1e-10)


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def model(*flows: Any, base: Any = None) -> Any:
    return nf.NormalizingFlow(base or nf.distributions.base.DiagGaussian(D), list(flows))


def without_residuals(activation: Any) -> Any:
    return F.MaskedAffineAutoregressive(D, H, use_residual_blocks=False, activation=activation)


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "planar": (lambda: model(F.Permute(D), F.Planar((D,))), "model.flows[1]", "Planar"),
    "inside": (lambda: model(F.Reverse(F.Radial((D,)))), "model.flows[0].flow", "Radial"),
    "batch norm": (lambda: model(F.BatchNorm()), "model.flows[0]", "BatchNorm"),
    "actnorm": (lambda: model(F.ActNorm(D)), "model.flows[0]", "no data yet"),
    "circular": (
        lambda: model(F.CircularAutoregressiveRationalQuadraticSpline(D, 1, H, [0])),
        "model.flows[0]",
        "Circular",
    ),
    "activation": (
        lambda: model(maf(activation=Doubled())),
        "model.flows[0].flow.autoregressive_net.blocks[0].activation",
        "Doubled",
    ),
    "function": (
        lambda: model(without_residuals(lambda v: v * 2)),
        "model.flows[0].autoregressive_net.blocks[0].activation",
        "lambda",
    ),
    "network": (
        lambda: model(F.AffineCouplingBlock(nf.nets.MLP([3, 8, 4], output_fn="tanh"))),
        "model.flows[0].flows[1].param_map.net[3]",
        "Tanh after the last linear layer",
    ),
    "no context": (
        lambda: nf.ConditionalNormalizingFlow(nf.distributions.DiagGaussian(D), [F.MaskedAffineAutoregressive(D, H)]),
        "model.flows[0].autoregressive_net",
        "without a context, in a model that is given one",
    ),
    "base": (lambda: model(maf(), base=nf.distributions.base.UniformGaussian(D, [0])), "model.q0", "UniformGaussian"),
    "image": (lambda: model(maf(), base=nf.distributions.base.DiagGaussian((1, D))), "model.q0", "DiagGaussian"),
    "without its context": (
        lambda: nf.ConditionalNormalizingFlow(
            nf.distributions.DiagGaussian(D), [F.Reverse(F.MaskedAffineAutoregressive(D, H, context_features=M))]
        ),
        "model.flows[0]",
        "takes no context",
    ),
    "no model": (lambda: nn.Linear(2, 2), "model", "torch.nn.modules.linear.Linear"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_named_with_its_place(case: str) -> None:
    make, place, words = REFUSED[case]
    with pytest.raises(Unsupported, match=words) as refused:
        from_normflows(make())
    assert refused.value.place == place


@pytest.mark.parametrize("features", [1, 2])
def test_few_coordinates_are_enough(features: int) -> None:
    flows = [
        F.MaskedAffineAutoregressive(features, 8),
        F.AutoregressiveRationalQuadraticSpline(features, 1, 8),
        *([F.CoupledRationalQuadraticSpline(features, 1, 8)] if features > 1 else []),
    ]
    theirs = perturb_(nf.NormalizingFlow(nf.distributions.DiagGaussian(features), flows)).double().eval()
    x = points(features, torch.float64)
    with torch.no_grad():
        assert largest_difference(from_normflows(theirs).log_prob(x), theirs.log_prob(x)) <= 1e-10


class OwnMADE(MADE):  # type: ignore[misc]
    def forward(self, inputs: Any, context: Any = None) -> Any:
        return super().forward(inputs, context).sin()


def test_a_network_of_a_class_that_computes_something_else_is_named_with_its_place() -> None:
    layer = maf()
    layer.flow.autoregressive_net = OwnMADE(D, H, output_multiplier=2)
    with pytest.raises(Unsupported, match="OwnMADE, whose forward is not that of MADE") as refused:
        from_normflows(model(layer))
    assert refused.value.place == "model.flows[0].flow.autoregressive_net"


def test_a_subclass_that_computes_something_else_is_refused() -> None:
    class Steeper(F.MaskedAffineAutoregressive):  # type: ignore[misc]
        pass

    with pytest.raises(Unsupported, match="Steeper"):
        from_normflows(model(Steeper(D, H)))


def test_a_layer_that_computes_something_else_is_refused() -> None:
    theirs = made("masked affine, from data", 0, torch.float64)
    theirs.flows[0].flow.autoregressive_net.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(Unsupported, match="scores differently"):
        from_normflows(theirs)
