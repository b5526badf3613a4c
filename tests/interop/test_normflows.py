"""Models of normflows as flows of ours: every architecture in both precisions, with a context where there is one."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import normflows as nf
import pytest
import torch
from torch import nn

import counterflow as cf
from counterflow.conditioners import MaskedMLP, MaskedNetwork
from counterflow.interop import Unsupported, from_normflows
from counterflow.interop.precision import by_default
from interop.agreement import TOLERANCE, contexts, largest_difference, perturb_, points

D, M, H = 5, 3, 16
F = nf.flows
KEPT = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])

# What normflows calls when it makes a matrix, and a uniform base.
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


def mlp(*widths: int) -> nn.Module:
    return nf.nets.MLP(list(widths))  # type: ignore[no-any-return]


def blocks(scale_map: str) -> list[Any]:
    return [
        F.AffineCouplingBlock(mlp(3, H, 4), scale_map=scale_map),
        F.Permute(D),
        F.AffineCouplingBlock(mlp(2, H, 6), scale_map=scale_map, split_mode="channel_inv"),
    ]


def started(layer: Any) -> Any:
    layer(torch.randn(64, D) * 2 + 1)
    return layer


def maf(**options: Any) -> Any:
    return F.Reverse(F.MaskedAffineAutoregressive(D, H, **options))


PLAIN: dict[str, Callable[[], list[Any]]] = {
    "masked affine, from noise": lambda: [F.MaskedAffineAutoregressive(D, H), F.Permute(D), maf(num_blocks=1)][:2],
    "masked affine, from data": lambda: [maf(), F.Permute(D, "swap"), maf(activation=torch.tanh)],
    "no residual blocks": lambda: [maf(use_residual_blocks=False), maf(use_residual_blocks=False, random_mask=True)],
    "batch normalisation": lambda: [maf(use_batch_norm=True), maf(use_residual_blocks=False, use_batch_norm=True)],
    "autoregressive splines": lambda: [
        F.AutoregressiveRationalQuadraticSpline(D, 2, H, permute_mask=True),
        F.LULinearPermute(D),
        F.AutoregressiveRationalQuadraticSpline(D, 1, H, num_bins=4, tail_bound=2, activation=nn.SiLU),
    ],
    "coupling splines": lambda: [
        F.CoupledRationalQuadraticSpline(D, 2, H),
        F.LULinearPermute(D),
        F.CoupledRationalQuadraticSpline(D, 1, H, reverse_mask=True, num_bins=5),
    ],
    "couplings, exp": lambda: blocks("exp"),
    "couplings, sigmoid": lambda: blocks("sigmoid"),
    "couplings, inverse sigmoid": lambda: blocks("sigmoid_inv"),
    "couplings, additive": lambda: [F.AffineCouplingBlock(mlp(3, H, H, 2), scale=False)],
    "RealNVP": lambda: [
        F.MaskedAffineFlow(KEPT, mlp(D, 8, 8, D), mlp(D, 8, D)),
        F.MaskedAffineFlow(1 - KEPT, mlp(D, 8, D)),
        F.MaskedAffineFlow(KEPT, None, mlp(D, 8, D)),
    ],
    "linear layers": lambda: [
        F.InvertibleAffine(D),
        started(F.ActNorm(D)),
        F.InvertibleAffine(D, use_lu=False),
        F.AffineConstFlow(D, scale=False),
        F.AffineConstFlow((D,)),
    ],
    "composed": lambda: [F.base.Composite([F.Permute(D), maf()]), F.Reverse(F.base.Composite([F.Permute(D), maf()]))],
}
GIVEN: dict[str, Callable[[], list[Any]]] = {
    "masked affine": lambda: [F.MaskedAffineAutoregressive(D, H, context_features=M), F.Permute(D)],
    "masked affine, batch normalisation": lambda: [
        F.MaskedAffineAutoregressive(D, H, context_features=M, use_batch_norm=True),
        F.InvertibleAffine(D),
    ],
    "autoregressive splines": lambda: [
        F.AutoregressiveRationalQuadraticSpline(D, 2, H, num_context_channels=M, permute_mask=True),
        F.LULinearPermute(D),
    ],
    "coupling splines": lambda: [
        F.CoupledRationalQuadraticSpline(D, 2, H, num_context_channels=M),
        F.LULinearPermute(D),
        F.CoupledRationalQuadraticSpline(D, 1, H, num_context_channels=M, reverse_mask=True),
    ],
}
CASES = [(kind, 0) for kind in PLAIN] + [(kind, M) for kind in GIVEN]
PRECISIONS = (torch.float32, torch.float64)
EVERY = pytest.mark.parametrize(
    ("kind", "width", "dtype"),
    [(kind, width, dtype) for kind, width in CASES for dtype in PRECISIONS],
    ids=lambda value: {0: "plain", M: "given"}.get(value, str(value)) if isinstance(value, int) else str(value),
)


def made(kind: str, width: int, dtype: torch.dtype) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flows = (GIVEN if width else PLAIN)[kind]()
        base = nf.distributions.base.DiagGaussian(D, trainable="from data" in kind)
        if kind == "autoregressive splines" and width:
            base = nf.distributions.base.ConditionalDiagGaussian(D, mlp(M, 8, 2 * D))
        kinds = nf.ConditionalNormalizingFlow if width else nf.NormalizingFlow
        model = perturb_(kinds(base, flows)).to(dtype).eval()
        if kind in (
            "couplings, exp",
            "couplings, inverse sigmoid",
            "RealNVP",
        ):  # exponentials of networks: their far points would be infinite
            with torch.no_grad():
                torch._foreach_mul_(list(model.parameters()), 0.4)
        return model


@functools.cache
def pair(kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Any, cf.Flow]:
    theirs = made(kind, width, dtype)
    return theirs, from_normflows(theirs)


def given(width: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    context = contexts(width, dtype)
    return () if context is None else (context,)


@EVERY
@torch.no_grad()
def test_a_converted_model_scores_as_the_original(kind: str, width: int, dtype: torch.dtype) -> None:
    theirs, ours = pair(kind, width, dtype)
    x, c = points(D, dtype), given(width, dtype)
    with by_default(dtype):  # compositions of normflows add up log-dets in no other precision
        expected = theirs.log_prob(x, *c)
    assert largest_difference(ours.log_prob(x, *c), expected) <= TOLERANCE[dtype]


@EVERY
@torch.no_grad()
def test_equal_noise_gives_equal_samples(kind: str, width: int, dtype: torch.dtype) -> None:
    theirs, ours = pair(kind, width, dtype)
    c = given(width, dtype)
    rows = 200
    torch.manual_seed(3)
    expected = theirs.sample(rows, *c)[0]
    torch.manual_seed(3)
    drawn = ours.sample((rows,) if not c else (), *c)
    assert drawn.shape == (rows, D)
    # The inverse of a steep map carries the rounding of either library further than its density does.
    assert largest_difference(drawn, expected) <= 10 * TOLERANCE[dtype]


@pytest.mark.parametrize(("kind", "width"), CASES)
def test_a_converted_model_is_saved_and_loaded(kind: str, width: int, tmp_path: Path) -> None:
    _, ours = pair(kind, width)
    cf.save(tmp_path / "flow.safetensors", ours)
    again = cf.load(tmp_path / "flow.safetensors")
    x, c = points(D, torch.float64), given(width, torch.float64)
    assert torch.equal(again.log_prob(x, *c), ours.log_prob(x, *c))


@pytest.mark.parametrize("kind", ["masked affine, from data", "coupling splines", "RealNVP", "linear layers"])
def test_a_converted_model_is_trained_further(kind: str) -> None:
    theirs = made(kind, 0, torch.float64)
    before = [parameter.clone() for parameter in theirs.parameters()]
    ours = from_normflows(theirs).train()
    x = points(D, torch.float64)[20:]
    loss = -ours.log_prob(x).mean()
    loss.backward()
    learning = [p for p in ours.parameters() if p.requires_grad]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in learning)
    torch.optim.SGD(learning, lr=1e-5).step()
    assert float(-ours.log_prob(x).detach().mean()) < float(loss.detach())
    assert all(torch.equal(p, old) for p, old in zip(theirs.parameters(), before, strict=True))


def test_networks_become_plain_masked_mlps_where_they_fit_one() -> None:
    plain = pair("masked affine, from data")[1].bijection.parts[0].bijection.conditioner
    wired = pair("batch normalisation")[1].bijection.parts[0].bijection.conditioner
    assert type(plain) is MaskedMLP
    assert type(wired) is MaskedNetwork


def test_a_state_from_a_file_is_converted_after_loading_it_into_a_model(tmp_path: Path) -> None:
    theirs, ours = pair("autoregressive splines", 0, torch.float32)
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
    assert ours.training
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
        "model.flows[0].flows[1].param_map.net",
        "activation between",
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
