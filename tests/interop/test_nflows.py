"""Flows of nflows as flows of ours: every architecture in both precisions, with a context and without."""

import functools
import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from nflows import distributions as d
from nflows import transforms as t
from nflows.flows import Flow, MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms.standard import PointwiseAffineTransform
from torch import nn

import counterflow as cf
from counterflow.conditioners import MaskedMLP
from counterflow.interop import Unsupported, UntestedVersion, from_nflows
from interop.agreement import TOLERANCE, contexts, largest_difference, perturb_, points

# nflows solves with a function that torch no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning")

D, H = 5, 16
MASK = torch.tensor([1, -1, 1, -1, 1])


def stack(*layers: Any, base: Any = None, embedding: Any = None) -> Any:
    return Flow(t.CompositeTransform(list(layers)), base or d.StandardNormal([D]), embedding)


def affine(c: int, **options: Any) -> Any:
    return t.MaskedAffineAutoregressiveTransform(D, H, context_features=c or None, **options)


def spline(c: int, **options: Any) -> Any:
    box: dict[str, Any] = {"num_bins": 5, "tails": "linear", "tail_bound": 3.0}
    return t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(D, H, context_features=c or None, **box, **options)


def net(c: int, **options: Any) -> Any:
    return lambda inputs, outputs: ResidualNet(inputs, outputs, H, context_features=c or None, **options)


def coupled(mask: Any, c: int, own: bool = False, **options: Any) -> Any:
    box: dict[str, Any] = {"num_bins": 5, "tails": "linear", "tail_bound": 3.0, "apply_unconditional_transform": own}
    return t.PiecewiseRationalQuadraticCouplingTransform(mask, net(c, **options), **box)


class SoftplusCoupling(t.AffineCouplingTransform):
    """The other scale of the comments in nflows."""

    def _scale_and_shift(self, transform_params: Any) -> Any:
        scale, shift = (
            transform_params[:, self.num_transform_features :],
            transform_params[:, : self.num_transform_features],
        )
        return F.softplus(scale) + 1e-3, shift


class ContextSplineMap(nn.Module):
    """What sbi has for a single parameter: a network of the context alone."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        self.hidden_features = H
        self.spline_predictor = nn.Sequential(nn.Linear(width, H), nn.ReLU(), nn.Linear(H, outputs))

    def forward(self, inputs: Any, context: Any) -> Any:
        return self.spline_predictor(context)


def standardised(*layers: Any) -> Any:
    return stack(PointwiseAffineTransform(torch.arange(D) / 3.0, 1 / (1 + torch.arange(D))), *layers)


FEEDFORWARD: dict[str, Any] = {"use_residual_blocks": False}
KINDS: dict[str, Callable[[int], Any]] = {
    "residual MADE": lambda c: stack(affine(c), t.RandomPermutation(D), affine(c, activation=torch.tanh)),
    "residual MADE, batch norm": lambda c: stack(affine(c, use_batch_norm=True), t.ReversePermutation(D)),
    "feedforward MADE": lambda c: stack(affine(c, activation=F.elu, **FEEDFORWARD), t.RandomPermutation(D)),
    "feedforward MADE, batch norm": lambda c: stack(affine(c, use_batch_norm=True, **FEEDFORWARD)),
    "random masks": lambda c: stack(*(affine(c, random_mask=True, **FEEDFORWARD) for _ in range(2))),
    "no blocks": lambda c: stack(affine(c, num_blocks=0), affine(c, num_blocks=0, **FEEDFORWARD)),
    "inverse": lambda c: stack(
        t.InverseTransform(t.CompositeTransform([affine(c, num_blocks=1), t.RandomPermutation(D)])), affine(c)
    ),
    "splines": lambda c: stack(spline(c), t.RandomPermutation(D), spline(c, use_batch_norm=True)),
    "feedforward splines": lambda c: stack(spline(c, **FEEDFORWARD)),
    "coupled splines": lambda c: stack(coupled(MASK, c), t.LULinear(D), coupled(-MASK, c, use_batch_norm=True)),
    "coupled splines, own ones": lambda c: stack(coupled(MASK, c, own=True)),
    "affine couplings": lambda c: stack(t.AffineCouplingTransform(MASK, net(c)), t.ActNorm(D), t.BatchNorm(D)),
    "softplus couplings": lambda c: stack(SoftplusCoupling(MASK, net(c, activation=F.silu))),
    "additive couplings": lambda c: stack(t.AdditiveCouplingTransform(MASK, net(c))),
    "standardised": lambda c: standardised(affine(c), t.IdentityTransform(), PointwiseAffineTransform(0.5, 2.0)),
    "own splines": lambda c: stack(
        t.PiecewiseRationalQuadraticCDF(D, tails="linear", tail_bound=2.0, num_bins=4), affine(c)
    ),
    "learnt base": lambda c: stack(affine(c), base=d.DiagonalNormal([D])),
}
CONDITIONAL: dict[str, Callable[[], Any]] = {
    "embedding net": lambda: stack(affine(2), embedding=nn.Sequential(nn.Linear(3, 2), nn.Tanh())),
    "conditional base": lambda: stack(affine(3), base=d.ConditionalDiagonalNormal([D], nn.Linear(3, 2 * D))),
    "conditional base, two layers": lambda: stack(
        t.RandomPermutation(D),
        base=d.ConditionalDiagonalNormal([D], nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2 * D))),
    ),
    "one coordinate": lambda: Flow(
        t.PiecewiseRationalQuadraticCouplingTransform(
            torch.tensor([1]), lambda i, o: ContextSplineMap(i, o, 3), num_bins=5, tails="linear", tail_bound=3.0
        ),
        d.StandardNormal([1]),
    ),
}
UNCONDITIONAL: dict[str, Callable[[], Any]] = {
    "MaskedAutoregressiveFlow": lambda: MaskedAutoregressiveFlow(
        D, H, 2, 1, batch_norm_within_layers=True, batch_norm_between_layers=True, use_random_permutations=True
    ),
    "SimpleRealNVP": lambda: SimpleRealNVP(D, H, 2, 1, batch_norm_within_layers=True, batch_norm_between_layers=True),
}
PAIRS = [
    *((kind, width) for kind in KINDS for width in (0, 3)),
    *((kind, 3) for kind in CONDITIONAL),
    *((kind, 0) for kind in UNCONDITIONAL),
]
EVERY = pytest.mark.parametrize(("kind", "width", "dtype"), [(*own, dtype) for own in PAIRS for dtype in TOLERANCE])


def made(kind: str, width: int, dtype: torch.dtype = torch.float64) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        make = (CONDITIONAL | UNCONDITIONAL).get(kind)
        return perturb_(make() if make else KINDS[kind](width), 0.2).to(dtype).eval()


@functools.cache
def pair(kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Any, cf.Flow]:
    """A flow of nflows, and what it becomes."""
    theirs = made(kind, width, dtype)
    return theirs, from_nflows(theirs)


def given(context: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    return () if context is None else (context,)


@EVERY
@torch.no_grad()
def test_a_converted_flow_scores_as_the_original(kind: str, width: int, dtype: torch.dtype) -> None:
    theirs, ours = pair(kind, width, dtype)
    x, c = points(ours.features, dtype, spread=1.5), contexts(width, dtype)
    assert largest_difference(ours.log_prob(x, *given(c)), theirs.log_prob(x, c)) <= TOLERANCE[dtype]


@pytest.mark.parametrize(
    ("kind", "width", "dtype"),
    # The noise of ours is the standard normal one behind a conditional base: another test.
    [(*own, dtype) for own in PAIRS for dtype in TOLERANCE if "conditional base" not in own[0]],
)
@torch.no_grad()
def test_equal_noise_gives_equal_samples(kind: str, width: int, dtype: torch.dtype) -> None:
    theirs, ours = pair(kind, width, dtype)
    c, noise = contexts(width, dtype), points(ours.features, dtype, spread=1.0)
    expected = theirs._transform.inverse(noise, theirs._embedding_net(c))[0]
    drawn = ours.bijection(noise, ours.encode(c))[0]
    # The inverse of a steep map carries the rounding of either library further than its density does.
    assert largest_difference(drawn, expected) <= 10 * TOLERANCE[dtype]


@torch.no_grad()
def test_a_conditional_base_draws_what_the_context_says() -> None:
    theirs, ours = pair("conditional base, two layers", 3)
    c, generator = contexts(3, torch.float64), torch.Generator().manual_seed(3)
    noise = torch.randn(200, D, generator=generator, dtype=torch.float64)
    loc, log_scale = theirs._distribution._compute_params(c)
    expected = theirs._transform.inverse(loc + log_scale.exp() * noise)[0]
    drawn = ours.sample((), c, generator=generator.manual_seed(3))
    assert largest_difference(drawn, expected) <= 1e-9


@pytest.mark.parametrize(("kind", "width"), [own for own in PAIRS if own[1] or own[0] in UNCONDITIONAL])
def test_a_converted_flow_is_saved_and_loaded(kind: str, width: int, tmp_path: Path) -> None:
    _, ours = pair(kind, width)
    cf.save(tmp_path / "flow.safetensors", ours)
    encoder = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    again = cf.load(
        tmp_path / "flow.safetensors", modules={} if ours.context_encoder is None else {"context_encoder": encoder}
    )
    x, c = points(ours.features, torch.float64), given(contexts(width, torch.float64))
    assert torch.equal(again.log_prob(x, *c), ours.log_prob(x, *c))


@pytest.mark.parametrize(("kind", "width"), [own for own in PAIRS if own[1] or own[0] in UNCONDITIONAL])
def test_a_converted_flow_is_trained_further(kind: str, width: int) -> None:
    theirs = made(kind, width)
    before = [value.clone() for value in theirs.state_dict().values()]
    ours = from_nflows(theirs).train()
    x, c = points(ours.features, torch.float64)[20:], given(contexts(width, torch.float64))
    c = tuple(each[20:] for each in c)
    first = -ours.log_prob(x, *c).mean()
    slopes = torch.autograd.grad(first, list(ours.parameters()))
    steepness = sum(slope.square().sum() for slope in slopes) ** 0.5
    with torch.no_grad():
        for parameter, slope in zip(ours.parameters(), slopes, strict=True):
            parameter.sub_(1e-5 * slope / steepness)
        assert bool(-ours.log_prob(x, *c).mean() < first)
    assert all(torch.equal(value, old) for value, old in zip(theirs.state_dict().values(), before, strict=True))


def test_fitting_goes_on_from_the_converted_weights() -> None:
    _, ours = pair("affine couplings")
    again, x = from_nflows(made("affine couplings", 0)), points(D, torch.float64)
    cf.fit(again, x, steps=1, learning_rate=1e-9, validation=x)
    assert torch.allclose(again.log_prob(x).mean(), ours.log_prob(x).mean(), atol=1e-3)


@pytest.mark.parametrize("kind", ["residual MADE", "feedforward MADE", "random masks"])
def test_networks_without_extras_become_plain_masked_mlps(kind: str) -> None:
    _, ours = pair(kind)
    assert type(next(m for m in ours.modules() if isinstance(m, cf.Conditioner))) is MaskedMLP


def test_a_flow_in_training_mode_is_converted_as_in_evaluation_mode() -> None:
    theirs, ours = made("MaskedAutoregressiveFlow", 0).train(), pair("MaskedAutoregressiveFlow")[1]
    before = {name: value.clone() for name, value in theirs.state_dict().items()}
    again, x = from_nflows(theirs), points(D, torch.float64)
    assert torch.equal(again.log_prob(x), ours.log_prob(x))
    assert theirs.training
    assert all(torch.equal(value, before[name]) for name, value in theirs.state_dict().items())


def test_a_cached_matrix_is_not_what_is_converted() -> None:
    theirs = made("coupled splines", 0)
    linear = theirs._transform._transforms[1]
    linear.use_cache()
    x = points(D, torch.float64)
    with torch.no_grad():
        theirs.log_prob(x)  # fills the cache
        linear.bias.add_(1)
        theirs.eval()
        linear.cache.invalidate()
        assert largest_difference(from_nflows(theirs).log_prob(x), theirs.log_prob(x)) < 1e-10
    assert linear.using_cache


@torch.no_grad()
def test_the_conversion_can_be_checked_at_contexts_of_the_user() -> None:
    theirs = made("embedding net", 3)
    c = contexts(3, torch.float64)
    ours = from_nflows(theirs, context=c[:7])
    x = points(D, torch.float64)
    assert largest_difference(ours.log_prob(x, c), theirs.log_prob(x, c)) < 1e-10
    assert ours.context_encoder is not theirs._embedding_net


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "quadratic spline": (
        lambda: stack(affine(0), t.MaskedPiecewiseQuadraticAutoregressiveTransform(4, D, H)),
        "_transform._transforms[1]",
        "MaskedPiecewiseQuadraticAutoregressiveTransform",
    ),
    "unit box": (
        lambda: stack(t.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(D, H)),
        "_transform._transforms[0]",
        "tails None",
    ),
    "widths": (
        lambda: stack(spline(0, min_bin_width=1e-2)),
        "_transform._transforms[0]",
        "smallest width and smallest height",
    ),
    "logit": (lambda: stack(affine(0), t.Logit()), "_transform._transforms[1]._transform", "Sigmoid"),
    "rotation": (
        lambda: stack(t.CompositeTransform([t.HouseholderSequence(D, 3)])),
        "_transform._transforms[0]._transforms[0]",
        "HouseholderSequence",
    ),
    "activation": (
        lambda: stack(affine(0, activation=lambda h: h.relu())),
        "_transform._transforms[0].autoregressive_net.blocks[0].activation",
        "activation",
    ),
    "network": (
        lambda: stack(t.AffineCouplingTransform(MASK, lambda i, o: nn.Linear(i, o))),
        "_transform._transforms[0].transform_net",
        "Linear",
    ),
    "base": (lambda: stack(affine(0), base=d.MADEMoG(D, 8, None)), "_distribution", "MADEMoG"),
    "pictures": (
        lambda: Flow(t.IdentityTransform(), d.StandardNormal([3, 4, 4])),
        "_distribution",
        r"shape \(3, 4, 4\)",
    ),
    "no flow": (lambda: nn.Linear(2, 2), "flow", "torch.nn.modules.linear.Linear"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_named_with_its_place(case: str) -> None:
    make, place, words = REFUSED[case]
    with pytest.raises(Unsupported, match=words) as refused:
        from_nflows(make())
    assert refused.value.place == place


def test_a_scale_of_somebodys_own_is_refused() -> None:
    class Clamped(t.AffineCouplingTransform):
        def _scale_and_shift(self, transform_params: Any) -> Any:
            scale, shift = super()._scale_and_shift(transform_params)
            return scale.clamp(max=0.9), shift

    with pytest.raises(Unsupported, match="whose scale is not"):
        from_nflows(stack(Clamped(MASK, net(0))))


def test_a_layer_that_computes_something_else_is_refused() -> None:
    theirs = made("residual MADE", 0)
    made_net = theirs._transform._transforms[0].autoregressive_net
    made_net.final_layer.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(Unsupported, match="scores differently"):
        from_nflows(theirs)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nflows", None)
    with pytest.raises(ImportError, match=r"nflows is not installed: pip install 'counterflow\[interop\]'"):
        from_nflows(nn.Linear(2, 2))


def test_another_version_warns_with_the_tested_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.15")
    with pytest.warns(UntestedVersion, match=r"nflows 0\.15 was not tested, only 0\.14 to 0\.14"):
        from_nflows(made("residual MADE", 0))
