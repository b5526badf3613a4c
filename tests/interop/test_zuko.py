"""Flows of zuko as flows of ours: every architecture in both precisions, with a context and without."""

import functools
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import zuko
from torch import nn

import counterflow as cf
from counterflow.conditioners import MaskedMLP
from counterflow.interop import Unsupported, UntestedVersion, from_zuko
from interop.agreement import TOLERANCE, contexts, largest_difference, perturb_, points

D, H = 5, (24, 24)
GRAPH = torch.tensor(
    [[1, 0, 0, 0, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1]], dtype=torch.bool
)
MASKED, COUPLED = zuko.flows.MaskedAutoregressiveTransform, zuko.flows.GeneralCouplingTransform
LINEAR = zuko.lazy.UnconditionalTransform


def normal(loc: float = 0.0, scale: float = 1.0, *, buffer: bool = True) -> Any:
    loc_, scale_ = torch.full((D,), loc), torch.full((D,), scale)
    return zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, loc_, scale_, buffer=buffer)


def stack(*transforms: Any, base: Any = None) -> Any:
    return zuko.flows.Flow(transforms, base or normal())


def graph(context: int) -> torch.Tensor:
    """Some coordinates see some of the context."""
    seen = torch.arange(D)[:, None] % 2 == torch.arange(context) % 2
    return torch.cat([GRAPH, seen], 1)


def linear_layers(c: int) -> Any:
    matrix = 2 * torch.eye(D) + torch.arange(float(D * D)).view(D, D) / 25
    return stack(
        LINEAR(torch.distributions.AffineTransform, torch.arange(float(D)), 1 + torch.arange(D) / 3, buffer=True),
        LINEAR(zuko.transforms.LULinearTransform, matrix),
        LINEAR(zuko.transforms.PermutationTransform, torch.tensor([3, 1, 4, 0, 2]), buffer=True),
        MASKED(D, c, hidden_features=H).inv,
        LINEAR(zuko.transforms.MonotonicAffineTransform, torch.ones(D), torch.ones(D) / 2),
        LINEAR(zuko.transforms.IdentityTransform),
    )


@torch.no_grad()
def tamed(flow: Any) -> Any:
    """With smaller weights: maps whose steepness would carry the rounding of either library further."""
    for parameter in flow.parameters():
        parameter.mul_(0.3)
    return flow


KINDS: dict[str, Callable[[int], Any]] = {
    "MAF": lambda c: zuko.flows.MAF(D, c, hidden_features=H),
    "MAF, random orders": lambda c: zuko.flows.MAF(D, c, randperm=True, hidden_features=(24, 16), activation=nn.ELU),
    "MAF, residual": lambda c: zuko.flows.MAF(D, c, residual=True, hidden_features=(24, 24, 16, 16)),
    "MAF, one layer": lambda c: tamed(zuko.flows.MAF(D, c, hidden_features=())),
    "MAF, graph": lambda c: zuko.flows.MAF(D, c, adjacency=GRAPH, hidden_features=H),
    "MAF, graph of the context": lambda c: zuko.flows.MAF(D, c, adjacency=graph(c), residual=True, hidden_features=H),
    "MAF, two passes": lambda c: zuko.flows.MAF(D, c, passes=2, hidden_features=H),
    "MAF, steeper": lambda c: zuko.flows.MAF(
        D, c, hidden_features=H, univariate=functools.partial(zuko.transforms.MonotonicAffineTransform, slope=1e-2)
    ),
    "additive": lambda c: zuko.flows.MAF(
        D, c, hidden_features=H, univariate=zuko.transforms.AdditiveTransform, shapes=[()]
    ),
    "NSF": lambda c: zuko.flows.NSF(D, c, hidden_features=H),
    "NSF, few bins, three passes": lambda c: zuko.flows.NSF(D, c, bins=3, passes=3, hidden_features=H),
    "NSF, small box": lambda c: stack(
        MASKED(
            D,
            c,
            hidden_features=H,
            univariate=functools.partial(zuko.transforms.MonotonicRQSTransform, bound=2.0, slope=1e-2),
            shapes=[(4,), (4,), (3,)],
        )
    ),
    "NICE": lambda c: zuko.flows.NICE(D, c, randmask=True, hidden_features=H),
    "NICE, one layer": lambda c: tamed(zuko.flows.NICE(D, c, hidden_features=())),
    "coupled splines": lambda c: stack(
        COUPLED(
            D,
            c,
            hidden_features=H,
            activation=nn.SiLU,
            univariate=zuko.transforms.MonotonicRQSTransform,
            shapes=[(6,), (6,), (5,)],
        )
    ),
    "elementwise": lambda c: stack(zuko.flows.ElementWiseTransform(D, c, hidden_features=H), base=normal(1.0, 2.0)),
    "one coordinate": lambda c: tamed(zuko.flows.NSF(1, c, hidden_features=H)),
    "linear layers": linear_layers,
    "learnt base": lambda c: stack(MASKED(D, c, hidden_features=H), base=normal(0.5, 1.5, buffer=False)),
}
CASES = [(kind, dtype, width) for kind in KINDS for dtype in TOLERANCE for width in (0, 3)]
EVERY = pytest.mark.parametrize(("kind", "dtype", "width"), CASES)


def made(kind: str, dtype: torch.dtype, width: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return perturb_(KINDS[kind](width)).to(dtype)


@functools.cache
def pair(kind: str, dtype: torch.dtype = torch.float64, width: int = 0) -> tuple[Any, cf.Flow]:
    """A flow of zuko, and what it becomes."""
    theirs = made(kind, dtype, width)
    return theirs, from_zuko(theirs)


def given(context: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    return () if context is None else (context,)


@EVERY
@torch.no_grad()
def test_a_converted_flow_scores_as_the_original(kind: str, dtype: torch.dtype, width: int) -> None:
    theirs, ours = pair(kind, dtype, width)
    x, c = points(ours.features, dtype), contexts(width, dtype)
    assert largest_difference(ours.log_prob(x, *given(c)), theirs(c).log_prob(x)) <= TOLERANCE[dtype]


@EVERY
@torch.no_grad()
def test_equal_noise_gives_equal_samples(kind: str, dtype: torch.dtype, width: int) -> None:
    theirs, ours = pair(kind, dtype, width)
    c, generator = contexts(width, dtype), torch.Generator().manual_seed(3)
    noise = torch.randn(200, ours.features, generator=generator, dtype=torch.float64).to(dtype)
    base = theirs.base().base_dist
    expected = theirs(c).transform.inv(base.loc + base.scale * noise)
    generator.manual_seed(3)
    drawn = ours.bijection(_noise_of_ours(ours, noise), c)[0]
    # The inverse of a steep map carries the rounding of either library further than its density does.
    assert largest_difference(drawn, expected) <= 10 * TOLERANCE[dtype]


def _noise_of_ours(flow: cf.Flow, noise: torch.Tensor) -> torch.Tensor:
    if isinstance(flow.base, cf.bases.DiagonalNormal):
        return flow.base.loc + flow.base.log_scale.exp() * noise
    return noise


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_flow_is_saved_and_loaded(kind: str, tmp_path: Path) -> None:
    _, ours = pair(kind, torch.float64, 3)
    cf.save(tmp_path / "flow.safetensors", ours)
    again = cf.load(tmp_path / "flow.safetensors")
    x, c = points(ours.features, torch.float64), contexts(3, torch.float64)
    given_ = given(c if ours.context_features else None)
    assert torch.equal(again.log_prob(x, *given_), ours.log_prob(x, *given_))


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_flow_is_trained_further(kind: str) -> None:
    theirs = made(kind, torch.float64, 0)
    ours = from_zuko(theirs).train()
    x = points(ours.features, torch.float64)[20:]
    before = [parameter.clone() for parameter in theirs.parameters()]
    first = -ours.log_prob(x).mean()
    slopes = torch.autograd.grad(first, list(ours.parameters()))
    steepness = sum(slope.square().sum() for slope in slopes) ** 0.5
    with torch.no_grad():
        for parameter, slope in zip(ours.parameters(), slopes, strict=True):
            parameter.sub_(1e-5 * slope / steepness)
        assert bool(-ours.log_prob(x).mean() < first)
    assert all(torch.equal(p, old) for p, old in zip(theirs.parameters(), before, strict=True))


def test_fitting_goes_on_from_the_converted_weights() -> None:
    theirs, ours = pair("linear layers", torch.float64)
    x = points(D, torch.float64)
    before = ours.log_prob(x).mean()
    again = from_zuko(theirs)
    cf.fit(again, x, steps=1, learning_rate=1e-9, validation=x)
    assert torch.allclose(again.log_prob(x).mean(), before, atol=1e-3)


def test_masked_networks_without_extras_become_plain_masked_mlps_in_the_order_of_the_original() -> None:
    theirs, ours = pair("MAF, random orders")
    layers = [part.bijection for part in reversed(ours.bijection.parts)]
    for layer, transform in zip(layers, theirs.transform.transforms, strict=True):
        assert type(layer.conditioner) is MaskedMLP
        assert layer.order == tuple(transform.order.argsort().tolist())


def test_a_state_from_a_file_is_converted_after_loading_it_into_a_flow(tmp_path: Path) -> None:
    theirs, ours = pair("NSF", torch.float32)
    torch.save(theirs.state_dict(), tmp_path / "state.pt")
    fresh = zuko.flows.NSF(D, hidden_features=H)
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    x = points(D, torch.float32)
    assert torch.equal(from_zuko(fresh).log_prob(x), ours.log_prob(x))


def test_a_conversion_leaves_the_original_and_the_random_streams_alone() -> None:
    theirs = made("MAF, residual", torch.float32, 3)
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in theirs.state_dict().items()}
    from_zuko(theirs)
    assert torch.equal(torch.get_rng_state(), before)
    assert theirs.training
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "UMNN": (lambda: zuko.flows.UNAF(3), "transform.transforms[0].univariate", "UMNN"),
    "MNN": (lambda: zuko.flows.NAF(3), "transform.transforms[0].univariate", "MNN"),
    "Bernstein": (lambda: zuko.flows.BPF(3), "transform.transforms[0].univariate", "Bernstein"),
    "sum of squares": (lambda: zuko.flows.SOSPF(3), "transform.transforms[0].univariate", "SOS"),
    "continuous": (lambda: zuko.flows.CNF(3), "transform", "FFJTransform"),
    "circular": (lambda: zuko.flows.NCSF(3), "base", "BoxUniform"),
    "in the middle": (
        lambda: stack(MASKED(D), MASKED(D), LINEAR(zuko.transforms.SoftclipTransform, bound=11.0)),
        "transform.transforms[2]",
        "SoftclipTransform",
    ),
    "inside an inverse": (
        lambda: stack(MASKED(D), LINEAR(zuko.transforms.RotationTransform, torch.eye(D)).inv),
        "transform.transforms[1].transform",
        "RotationTransform",
    ),
    "activation": (
        lambda: stack(MASKED(D, activation=Doubled)),
        "transform.transforms[0].hyper[1]",
        "Doubled",
    ),
    "normalised layers": (
        lambda: stack(COUPLED(D, normalize=True)),
        "transform.transforms[0].hyper[2]",
        "LayerNorm",
    ),
    "reflecting": (
        lambda: stack(LINEAR(torch.distributions.AffineTransform, torch.zeros(D), -torch.ones(D), buffer=True)),
        "transform.transforms[0]",
        "not positive",
    ),
    "mixture base": (lambda: zuko.flows.Flow([MASKED(D)], zuko.mixtures.GMM(D)), "base", "GMM"),
    "no flow": (lambda: nn.Linear(2, 2), "flow", "torch.nn.modules.linear.Linear"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_named_with_its_place(case: str) -> None:
    make, place, words = REFUSED[case]
    with pytest.raises(Unsupported, match=words) as refused:
        from_zuko(make())
    assert refused.value.place == place


def test_a_layer_that_computes_something_else_is_refused() -> None:
    theirs = made("MAF", torch.float64, 0)
    theirs.transform.transforms[0].hyper[0].register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(Unsupported, match="scores differently"):
        from_zuko(theirs)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ImportError, match=r"zuko is not installed: pip install 'counterflow\[interop\]'"):
        from_zuko(nn.Linear(2, 2))


def test_another_version_warns_with_the_tested_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.3.1")
    with pytest.warns(UntestedVersion, match=r"zuko 0\.3\.1 was not tested, only 1\.4\.0 to 1\.6\.0"):
        from_zuko(made("MAF", torch.float32, 0))
