"""Distributions of Pyro as flows of ours: each transform in both precisions and directions, with context or without."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import transforms as T
from pyro.nn import AutoRegressiveNN, ConditionalAutoRegressiveNN, ConditionalDenseNN, DenseNN
from torch import nn

import counterflow as cf
from counterflow.conditioners import MaskedMLP, MaskedNetwork
from counterflow.interop import Unsupported, from_pyro
from counterflow.interop.precision import by_default
from interop.agreement import TOLERANCE, contexts, largest_difference, perturb_, points

D, M, K = 5, 3, 4
SPLINE = [K, K, K - 1, K]


def arn(dims: Any = (1, 1), hidden: Any = (12, 14), **options: Any) -> Any:
    return AutoRegressiveNN(D, list(hidden), list(dims), **options)


def given_arn(dims: Any = (1, 1), hidden: Any = (12, 14), **options: Any) -> Any:
    return ConditionalAutoRegressiveNN(D, M, list(hidden), list(dims), **options)


def permute() -> Any:
    return T.Permute(torch.randperm(D))


def batch_norm() -> Any:
    layer = T.BatchNorm(D)
    layer.moving_mean.copy_(torch.linspace(-1, 1, D))
    layer.moving_variance.copy_(torch.linspace(0.5, 2, D))
    return layer.eval()


def quadratic_coupling() -> Any:
    net = DenseNN(2, [9, 9], [3 * K, 3 * K, 3 * (K - 1)])
    return T.SplineCoupling(D, 2, net, K, order="quadratic", identity=True)


PLAIN: dict[str, Callable[[], list[Any]]] = {
    "affine": lambda: [T.AffineAutoregressive(arn()), permute(), T.affine_autoregressive(D)],
    "affine, skips": lambda: [T.AffineAutoregressive(arn(skip_connections=True, nonlinearity=nn.Tanh()))],
    "affine, stable": lambda: [
        T.AffineAutoregressive(arn(), stable=True),
        T.AffineAutoregressive(arn(), stable=True, sigmoid_bias=1.0),
    ],
    "affine, clipped": lambda: [
        T.AffineAutoregressive(arn(), log_scale_min_clip=-0.1, log_scale_max_clip=0.1),
        T.AffineAutoregressive(arn(), log_scale_min_clip=-1.0),
    ],
    "affine, three layers": lambda: [T.AffineAutoregressive(arn(hidden=(6, 20, 7)))],
    "spline, linear": lambda: [
        T.spline_autoregressive(D, [12, 12]),
        permute(),
        T.SplineAutoregressive(D, arn(SPLINE), K),
    ],
    "spline, quadratic": lambda: [T.SplineAutoregressive(D, arn(SPLINE[:3]), K, 2.0, order="quadratic")],
    "spline, skips": lambda: [T.SplineAutoregressive(D, arn(SPLINE, skip_connections=True), K, 2.0)],
    "spline coupling": lambda: [T.spline_coupling(D), permute(), T.spline_coupling(D, 3, [9], 5, 2.0)],
    "spline coupling, quadratic": lambda: [quadratic_coupling(), permute(), quadratic_coupling()],
    "splines": lambda: [T.Spline(D, 4), permute(), T.Spline(D, 3, bound=2.0, order="quadratic")],
    "affine coupling": lambda: [T.affine_coupling(D), permute(), T.affine_coupling(D, [8, 8], 3)],
    "batch normalisation": lambda: [T.AffineAutoregressive(arn()), batch_norm(), T.AffineAutoregressive(arn())],
    "composed": lambda: [
        T.ComposeTransform([permute(), T.AffineAutoregressive(arn()).inv]).inv,
        dist.torch_transform.ComposeTransformModule([T.spline_coupling(D)]),
        torch.distributions.AffineTransform(torch.linspace(-1, 1, D), 0.5),
    ],
}
GIVEN: dict[str, Callable[[], list[Any]]] = {
    "affine": lambda: [
        T.ConditionalAffineAutoregressive(given_arn()),
        permute(),
        T.ConditionalAffineAutoregressive(given_arn(skip_connections=True), stable=True),
    ],
    "spline, linear": lambda: [
        T.ConditionalSplineAutoregressive(D, given_arn(SPLINE), count_bins=K, bound=2.0),
        T.conditional_spline_autoregressive(D, M, [12, 12]),
    ],
    "affine coupling": lambda: [T.conditional_affine_coupling(D, M), permute(), T.conditional_affine_coupling(D, M)],
    "splines": lambda: [T.conditional_spline(D, M, [9]), permute(), T.Spline(D)],
    "composed": lambda: [
        dist.conditional.ConditionalComposeTransformModule([T.conditional_affine_coupling(D, M), permute()])
    ],
}
CASES = [(kind, 0) for kind in PLAIN] + [(kind, M) for kind in GIVEN]
PRECISIONS = (torch.float32, torch.float64)
EVERY = pytest.mark.parametrize(
    ("kind", "width", "inverted", "dtype"),
    [(*case, inverted, dtype) for case in CASES for inverted in (False, True) for dtype in PRECISIONS],
)


def modules(transforms: list[Any]) -> Iterator[nn.Module]:
    """Those inside inverses and compositions, too."""
    for transform in transforms:
        if isinstance(transform, nn.Module):
            yield transform
        elif isinstance(transform, T.ComposeTransform):
            yield from modules(transform.parts)
        elif isinstance(transform, torch.distributions.transforms._InverseTransform):
            yield from modules([transform._inv])


def distribution(transforms: list[Any], dtype: torch.dtype = torch.float32, *, width: int = 0) -> Any:
    base = dist.Normal(torch.zeros(D, dtype=dtype), torch.ones(D, dtype=dtype)).to_event(1)
    kinds = dist.ConditionalTransformedDistribution if width else dist.TransformedDistribution
    return kinds(base, transforms)


def made(kind: str, width: int = 0, inverted: bool = False, dtype: torch.dtype = torch.float64) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transforms = (GIVEN if width else PLAIN)[kind]()
        for module in modules(transforms):
            perturb_(module, 0.1).to(dtype)
    return distribution([t.inv for t in transforms[::-1]] if inverted else transforms, dtype, width=width)


@functools.cache
def pair(kind: str, width: int = 0, inverted: bool = False, dtype: torch.dtype = torch.float64) -> tuple[Any, cf.Flow]:
    theirs = made(kind, width, inverted, dtype)
    return theirs, from_pyro(theirs)


def given(width: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    context = contexts(width, dtype)
    return () if context is None else (context,)


def conditioned(theirs: Any, context: tuple[torch.Tensor, ...]) -> Any:
    return theirs.condition(*context) if context else theirs


@EVERY
@torch.no_grad()
def test_a_converted_distribution_scores_as_the_original(
    kind: str, width: int, inverted: bool, dtype: torch.dtype
) -> None:
    theirs, ours = pair(kind, width, inverted, dtype)
    x, c = points(D, dtype, spread=1.5), given(width, dtype)
    with by_default(dtype):  # Pyro inverts affine autoregressive transforms in no other precision
        expected = conditioned(theirs, c).log_prob(x)
    assert largest_difference(ours.log_prob(x, *c), expected) <= TOLERANCE[dtype]


@EVERY
@torch.no_grad()
def test_equal_noise_gives_equal_samples(kind: str, width: int, inverted: bool, dtype: torch.dtype) -> None:
    theirs, ours = pair(kind, width, inverted, dtype)
    c, rows = given(width, dtype), 200
    torch.manual_seed(3)
    with by_default(dtype):
        expected = conditioned(theirs, c).sample((rows,))
    torch.manual_seed(3)
    drawn = ours.sample(() if width else (rows,), *c)
    assert drawn.shape == (rows, D)
    # The inverse of a steep map carries the rounding of either library further than its density does.
    assert largest_difference(drawn, expected) <= 10 * TOLERANCE[dtype]


@pytest.mark.parametrize(("kind", "width"), CASES)
def test_a_converted_distribution_is_saved_and_loaded(kind: str, width: int, tmp_path: Path) -> None:
    _, ours = pair(kind, width)
    cf.save(tmp_path / "flow.safetensors", ours)
    again = cf.load(tmp_path / "flow.safetensors")
    x, c = points(D, torch.float64), given(width, torch.float64)
    assert torch.equal(again.log_prob(x, *c), ours.log_prob(x, *c))


@pytest.mark.parametrize("kind", ["affine", "spline, linear", "spline coupling", "affine, skips"])
def test_a_converted_distribution_is_trained_further(kind: str) -> None:
    theirs = made(kind, inverted=True)
    ours = from_pyro(theirs)
    x = points(D, torch.float64)[20:]
    loss = -ours.log_prob(x).mean()
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in ours.parameters() if p.requires_grad)
    torch.optim.SGD(ours.parameters(), lr=1e-4).step()
    assert float(-ours.log_prob(x).detach().mean()) < float(loss.detach())


def test_networks_become_plain_masked_mlps_where_they_fit_one() -> None:
    assert type(pair("affine")[1].bijection.parts[0].conditioner) is MaskedMLP
    assert type(pair("affine, skips")[1].bijection.conditioner) is MaskedNetwork
    transform = pair("affine")[0].transforms[0]
    assert pair("affine")[1].bijection.parts[0].order == tuple(transform.arn.permutation.tolist())


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
