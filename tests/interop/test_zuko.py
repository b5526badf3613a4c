"""Flows of zuko as flows of ours: what is refused, what is left alone, and what test_conversions does not ask."""

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
from foreign import zoo_zuko
from foreign.agreement import pair, points
from foreign.zoo_zuko import COUPLED, LINEAR, MASKED, D, H, made, stack


def test_fitting_goes_on_from_the_converted_weights() -> None:
    theirs, ours = pair(zoo_zuko, "linear layers")
    x = points(D, torch.float64)
    before = ours.log_prob(x).mean()
    again = from_zuko(theirs)
    cf.fit(again, x, steps=1, learning_rate=1e-9, validation=x)
    assert torch.allclose(again.log_prob(x).mean(), before, atol=1e-3)


def test_masked_networks_without_extras_become_plain_masked_mlps_in_the_order_of_the_original() -> None:
    theirs, ours = pair(zoo_zuko, "MAF, random orders")
    layers = [part.bijection for part in reversed(ours.bijection.parts)]
    for layer, transform in zip(layers, theirs.transform.transforms, strict=True):
        assert type(layer.conditioner) is MaskedMLP
        assert layer.order == tuple(transform.order.argsort().tolist())


def test_a_state_from_a_file_is_converted_after_loading_it_into_a_flow(tmp_path: Path) -> None:
    theirs, ours = pair(zoo_zuko, "NSF", dtype=torch.float32)
    torch.save(theirs.state_dict(), tmp_path / "state.pt")
    fresh = zuko.flows.NSF(D, hidden_features=H)
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    x = points(D, torch.float32)
    assert torch.equal(from_zuko(fresh).log_prob(x), ours.log_prob(x))


def test_a_conversion_leaves_the_original_and_the_random_streams_alone() -> None:
    theirs = made("MAF, residual", 3, torch.float32)
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
    "activation with weights": (
        lambda: stack(MASKED(D, activation=nn.PReLU)),
        "transform.transforms[0].hyper[1]",
        "activation torch.nn.modules.activation.PReLU is not one of torch without weights",
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
    theirs = made("MAF")
    theirs.transform.transforms[0].hyper[0].register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(Unsupported, match="scores differently"):
        from_zuko(theirs)


class Bent(MASKED):
    def forward(self, c: Any = None) -> Any:
        return super().forward(None if c is None else c.sin())


def test_a_subclass_that_computes_something_else_is_named_with_its_place() -> None:
    with pytest.raises(
        Unsupported, match="Bent, whose forward is not that of MaskedAutoregressiveTransform"
    ) as refused:
        from_zuko(stack(MASKED(D), Bent(D)))
    assert refused.value.place == "transform.transforms[1]"


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko", None)
    with pytest.raises(ImportError, match=r"zuko is not installed: pip install 'counterflow\[interop\]'"):
        from_zuko(nn.Linear(2, 2))


def test_another_version_warns_with_the_tested_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.3.1")
    with pytest.warns(UntestedVersion, match=r"zuko 0\.3\.1 was not tested, only 1\.4\.0 to 1\.6\.0"):
        from_zuko(made("MAF", dtype=torch.float32))
