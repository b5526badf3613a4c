"""Flows of nflows as flows of ours: what is refused, what is left alone, and what test_conversions does not ask."""

import importlib.metadata
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from nflows import distributions as d
from nflows import transforms as t
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms.made import MADE
from torch import nn

import counterflow as cf
from counterflow.conditioners import MaskedMLP
from counterflow.interop import Unsupported, UntestedVersion, from_nflows
from foreign import zoo_nflows
from foreign.agreement import contexts, largest_difference, pair, perturb_, points
from foreign.zoo_nflows import MASK, D, H, affine, made, net, spline, stack

# nflows solves with a function that torch no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning")


@torch.no_grad()
def test_a_conditional_base_draws_what_the_context_says() -> None:
    theirs, ours = pair(zoo_nflows, "conditional base, two layers", 3)
    c, generator = contexts(3, torch.float64), torch.Generator().manual_seed(3)
    noise = torch.randn(200, D, generator=generator, dtype=torch.float64)
    loc, log_scale = theirs._distribution._compute_params(c)
    expected = theirs._transform.inverse(loc + log_scale.exp() * noise)[0]
    drawn = ours.sample((), c, generator=generator.manual_seed(3))
    assert largest_difference(drawn, expected) <= 1e-9


def test_fitting_goes_on_from_the_converted_weights() -> None:
    _, ours = pair(zoo_nflows, "affine couplings")
    again, x = from_nflows(made("affine couplings", 0)), points(D, torch.float64)
    cf.fit(again, x, steps=1, learning_rate=1e-9, validation=x)
    assert torch.allclose(again.log_prob(x).mean(), ours.log_prob(x).mean(), atol=1e-3)


@pytest.mark.parametrize("kind", ["residual MADE", "feedforward MADE", "random masks"])
def test_networks_without_extras_become_plain_masked_mlps(kind: str) -> None:
    _, ours = pair(zoo_nflows, kind)
    assert type(next(m for m in ours.modules() if isinstance(m, cf.Conditioner))) is MaskedMLP


def test_a_flow_in_training_mode_is_converted_as_in_evaluation_mode() -> None:
    theirs, ours = made("MaskedAutoregressiveFlow", 0).train(), pair(zoo_nflows, "MaskedAutoregressiveFlow")[1]
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


SCALES: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda a: torch.sigmoid(a + 2) + 1e-3,
    "sigmoid, shifted otherwise": lambda a: torch.sigmoid(a - 0.3) + 0.5,
    "softplus": lambda a: F.softplus(a) + 1e-3,
    "softplus, shifted": lambda a: F.softplus(a + 1) + 1e-2,
    "exponential": torch.exp,
    "clipped": lambda a: a.clamp(-5, 3).exp(),
    "clipped above": lambda a: a.clamp(max=2).exp(),
    "soft-clipped": lambda a: (a / (1 + a.abs() / 3)).exp(),
}


def scaled(function: Callable[[Any], Any]) -> Any:
    class Scaled(t.AffineCouplingTransform):
        def _scale_and_shift(self, transform_params: Any) -> Any:
            shift, a = transform_params.chunk(2, 1)
            return function(a), shift

    return Scaled


@pytest.mark.parametrize("name", SCALES)
@torch.no_grad()
def test_the_scale_of_a_coupling_is_recognised_by_its_values(name: str) -> None:
    torch.manual_seed(0)
    theirs = perturb_(stack(scaled(SCALES[name])(MASK, net(0)))).double().eval()
    ours, x = from_nflows(theirs), points(D, torch.float64)
    assert largest_difference(ours.log_prob(x), theirs.log_prob(x)) < 1e-10


@pytest.mark.parametrize(
    "function", [lambda a: (2 * torch.tanh(a / 2)).exp(), lambda a: torch.sigmoid(a).clamp(max=0.9)]
)
def test_a_scale_of_somebodys_own_is_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(Unsupported, match="Scaled whose scale is none of") as refused:
        from_nflows(stack(affine(0), scaled(function)(MASK, net(0))))
    assert refused.value.place == "_transform._transforms[1]"


class Steeper(t.MaskedAffineAutoregressiveTransform):
    def _elementwise_forward(self, inputs: Any, autoregressive_params: Any) -> Any:
        return super()._elementwise_forward(2 * inputs, autoregressive_params)


class OwnMADE(MADE):
    def forward(self, inputs: Any, context: Any = None) -> Any:
        return super().forward(inputs, context).sin()


def test_a_subclass_that_computes_something_else_is_named_with_its_place() -> None:
    with pytest.raises(Unsupported, match="Steeper, whose _elementwise_forward is not that") as refused:
        from_nflows(stack(affine(0), Steeper(D, H)))
    assert refused.value.place == "_transform._transforms[1]"
    layer = affine(0)
    layer.autoregressive_net = OwnMADE(D, H, output_multiplier=2)
    with pytest.raises(Unsupported, match="OwnMADE, whose forward is not that of MADE") as refused:
        from_nflows(stack(layer))
    assert refused.value.place == "_transform._transforms[0].autoregressive_net"


class OwnNet(ResidualNet):
    def forward(self, inputs: Any, context: Any = None) -> Any:
        return super().forward(inputs).sin()


@torch.no_grad()
def test_an_embedding_net_may_override_what_it_likes() -> None:
    theirs = stack(affine(2), embedding=OwnNet(3, 2, 8)).double().eval()
    x, c = points(D, torch.float64), contexts(3, torch.float64)
    assert largest_difference(from_nflows(theirs).log_prob(x, c), theirs.log_prob(x, c)) < 1e-10


def test_a_subclass_with_a_constructor_of_its_own_is_converted() -> None:
    class Small(t.MaskedAffineAutoregressiveTransform):
        def __init__(self) -> None:
            super().__init__(D, 4)

    theirs, x = stack(Small()).double(), points(D, torch.float64)
    with torch.no_grad():
        assert largest_difference(from_nflows(theirs).log_prob(x), theirs.eval().log_prob(x)) < 1e-10


@pytest.mark.parametrize(
    ("kind", "width", "shape", "words"),
    [
        ("embedding net", 3, (0, 3), "expected some contexts"),
        ("conditional base", 3, (7, 4), "expected contexts with 3 features"),
        ("residual MADE", 0, (7, 3), "takes no context"),
    ],
)
def test_contexts_that_do_not_fit_are_refused(kind: str, width: int, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_nflows(made(kind, width), context=torch.zeros(shape))


def test_a_model_of_nan_is_called_one() -> None:
    theirs = made("residual MADE", 0)
    with torch.no_grad():
        next(theirs.parameters()).fill_(torch.nan)
    with pytest.raises(Unsupported, match="NaN among its weights"):
        from_nflows(theirs)


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
    with pytest.warns(UntestedVersion, match=r"nflows 0\.15 was not tested, only 0\.14;"):
        from_nflows(made("residual MADE", 0))
