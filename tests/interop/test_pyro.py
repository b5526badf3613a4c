"""Distributions of Pyro as flows of ours: what is refused, left alone, and what test_conversions does not ask."""

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import transforms as T
from pyro.nn import AutoRegressiveNN, ConditionalDenseNN
from torch import nn

from counterflow.conditioners import MaskedMLP, MaskedNetwork
from counterflow.interop import Unsupported, from_pyro
from foreign import zoo_pyro
from foreign.agreement import largest_difference, pair, perturb_, points
from foreign.zoo_pyro import GIVEN, D, M, arn, distribution, made, permute


def test_networks_become_plain_masked_mlps_where_they_fit_one() -> None:
    assert type(pair(zoo_pyro, "affine")[1].bijection.parts[0].conditioner) is MaskedMLP
    assert type(pair(zoo_pyro, "affine, skips")[1].bijection.conditioner) is MaskedNetwork
    transform = pair(zoo_pyro, "affine")[0].transforms[0]
    assert pair(zoo_pyro, "affine")[1].bijection.parts[0].order == tuple(transform.arn.permutation.tolist())


@pytest.mark.parametrize("trainable", [False, True])
def test_the_normal_base_keeps_its_location_and_scale(trainable: bool) -> None:
    loc = torch.linspace(-1, 1, D, requires_grad=trainable)
    base = dist.Normal(loc, torch.linspace(0.5, 2, D))  # without to_event: the transform makes a vector of it
    theirs = dist.TransformedDistribution(base, [T.affine_autoregressive(D).inv])
    ours = from_pyro(theirs)
    x = points(D, torch.float32)
    assert largest_difference(ours.log_prob(x).detach(), theirs.log_prob(x).detach()) <= 1e-5
    assert [p.requires_grad for p in ours.base.parameters()] == [trainable, trainable]


def test_a_conversion_leaves_the_original_and_the_random_streams_alone() -> None:
    theirs = made("affine", dtype=torch.float64)
    transform = theirs.transforms[0]
    before, state = torch.get_rng_state(), {name: v.clone() for name, v in transform.state_dict().items()}
    from_pyro(theirs)
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, state[name]) for name, value in transform.state_dict().items())


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def two(*transforms: Any) -> Any:
    return distribution([permute(), *transforms])


def batched() -> Any:
    base = dist.Normal(torch.zeros(7, D), torch.ones(7, D)).to_event(1)
    return dist.TransformedDistribution(base, [T.affine_autoregressive(D)])


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "planar": (lambda: two(T.planar(D)), "distribution.transforms[1]", "Planar"),
    "neural": (lambda: two(T.neural_autoregressive(D).inv), "distribution.transforms[1].inv", "NeuralAutoregressive"),
    "composed": (
        lambda: two(T.ComposeTransform([T.affine_coupling(D), T.radial(D)])),
        "distribution.transforms[1].parts[1]",
        "Radial",
    ),
    "batch normalisation": (lambda: two(T.batchnorm(D)), "distribution.transforms[1]", "call eval"),
    "activation": (
        lambda: two(T.AffineAutoregressive(arn(nonlinearity=Doubled()))),
        "distribution.transforms[1].arn.f",
        "Doubled",
    ),
    "network": (
        lambda: two(T.AffineCoupling(2, nn.Sequential(nn.Linear(2, 6)))),
        "distribution.transforms[1].nn",
        "DenseNN is expected",
    ),
    "conditioned": (
        lambda: distribution(GIVEN["affine"](), width=M).condition(torch.zeros(M)),
        "distribution.transforms[0].arn",
        "before condition",
    ),
    "exponential": (lambda: two(T.ExpTransform()), "distribution.transforms[1]", "ExpTransform"),
    "reflection": (
        lambda: two(torch.distributions.AffineTransform(torch.zeros(D), -1.0)),
        "distribution.transforms[1]",
        "positive scale",
    ),
    "base": (
        lambda: dist.TransformedDistribution(dist.Laplace(torch.zeros(D), 1.0).to_event(1), [T.affine_coupling(D)]),
        "distribution.base_dist",
        "Laplace",
    ),
    "batch": (batched, "distribution.base_dist", "batch shape"),
    "scalars": (
        lambda: dist.TransformedDistribution(dist.Normal(torch.zeros(D), 1.0), [T.Spline(D)]),
        "distribution",
        "to_event",
    ),
    "no flow": (lambda: dist.Normal(0.0, 1.0), "distribution", "not a TransformedDistribution"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_named_with_its_place(case: str) -> None:
    make, place, words = REFUSED[case]
    with pytest.raises(Unsupported, match=words) as refused:
        from_pyro(make())
    assert refused.value.place == place


@torch.no_grad()
def test_an_affine_map_of_two_numbers_is_one_of_every_coordinate() -> None:
    theirs = distribution([permute(), torch.distributions.AffineTransform(1.0, 2.0)])
    x = points(D, torch.float32)
    assert largest_difference(from_pyro(theirs).log_prob(x), theirs.log_prob(x)) <= 1e-5


@pytest.mark.filterwarnings("ignore:ConditionalAutoRegressiveNN input_dim = 1:UserWarning")
@pytest.mark.parametrize("features", [1, 2])
def test_few_coordinates_are_enough(features: int) -> None:
    base = dist.Normal(torch.zeros(features), torch.ones(features)).to_event(1)
    skipping = AutoRegressiveNN(features, [8, 8], skip_connections=True)
    transforms = [T.spline_autoregressive(features, [8, 8]), T.AffineAutoregressive(skipping)]
    for transform in transforms:
        perturb_(transform, 0.1)
    theirs = dist.TransformedDistribution(base, [t.inv for t in transforms])
    x = points(features, torch.float32, spread=1.5)
    with torch.no_grad():
        assert largest_difference(from_pyro(theirs).log_prob(x), theirs.log_prob(x)) <= 1e-5


def test_a_network_that_computes_something_else_is_refused() -> None:
    theirs = made("affine coupling", dtype=torch.float32)
    theirs.transforms[0].nn.register_forward_hook(lambda module, inputs, output: tuple(o + 1 for o in output))
    with pytest.raises(Unsupported, match="scores differently"):
        from_pyro(theirs)


def test_a_conditional_network_of_a_coupling_reads_its_context_in_its_own_place() -> None:
    theirs = ConditionalDenseNN(2, M, [6], [3, 3])
    transform = T.ConditionalAffineCoupling(2, perturb_(theirs))
    ours = from_pyro(distribution([transform], width=M)).bijection.network
    x, c = torch.randn(7, 2), torch.randn(7, M)
    assert torch.allclose(ours(x, c), torch.cat(theirs(x, c), -1), atol=1e-6)
