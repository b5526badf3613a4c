"""Flows of other libraries as flows of ours: every architecture in both precisions, with a context and without."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from foreign import zoo_nflows, zoo_normflows, zoo_pyro, zoo_zuko
from foreign.agreement import TOLERANCE, contexts, largest_difference, pair, points

# What other libraries call that torch and NumPy no longer like.
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]

ZOOS = {"zuko": zoo_zuko, "nflows": zoo_nflows, "normflows": zoo_normflows, "Pyro": zoo_pyro}
PAIRS = [(library, *case) for library, zoo in ZOOS.items() for case in zoo.CASES]
EVERY = pytest.mark.parametrize(("library", "kind", "width"), PAIRS)
PRECISIONS = pytest.mark.parametrize("dtype", TOLERANCE)


def given(context: Tensor | None) -> tuple[Tensor, ...]:
    return () if context is None else (context,)


TRAINED = {
    "zuko": ("MAF", lambda theirs: theirs.parameters()),
    "nflows": ("residual MADE", lambda theirs: theirs.parameters()),
    "normflows": ("masked affine, from data", lambda theirs: theirs.parameters()),
    "Pyro": ("affine, inverted", lambda theirs: nn.ModuleList(zoo_pyro.modules(theirs.transforms)).parameters()),
}


@pytest.mark.parametrize("library", TRAINED)
def test_a_flow_trained_by_its_library_is_converted(library: str) -> None:
    zoo: Any = ZOOS[library]
    kind, parameters = TRAINED[library]
    theirs = zoo.made(kind)
    generator = torch.Generator().manual_seed(0)
    mixing = torch.eye(5) + torch.randn(5, 5, generator=generator).tril(-1)
    x = (torch.randn(500, 5, generator=generator) @ mixing + 1).double()
    learner = torch.optim.Adam(parameters(theirs), lr=1e-2)
    losses = []
    for _ in range(60):
        learner.zero_grad()
        loss = -zoo.scored(theirs, x, None).mean()
        loss.backward()
        learner.step()
        losses.append(float(loss.detach()))
        if library == "Pyro":
            for transform in zoo.modules(theirs.transforms):
                transform.clear_cache()
    assert losses[-1] < losses[0] - 1
    ours = zoo.convert(theirs)
    with torch.no_grad():
        assert largest_difference(ours.log_prob(x), zoo.scored(theirs, x, None)) <= TOLERANCE[torch.float64]


@PRECISIONS
@EVERY
@torch.no_grad()
def test_a_converted_flow_scores_as_the_original(library: str, kind: str, width: int, dtype: torch.dtype) -> None:
    zoo: Any = ZOOS[library]
    theirs, ours = pair(zoo, kind, width, dtype)
    # Beyond where the maps of Pyro and nflows are tame, the rounding of either library decides.
    x, c = points(ours.features, dtype, spread=1.5), contexts(width, dtype)
    assert largest_difference(ours.log_prob(x, *given(c)), zoo.scored(theirs, x, c)) <= TOLERANCE[dtype]


@PRECISIONS
@EVERY
@torch.no_grad()
def test_equal_noise_gives_equal_samples(library: str, kind: str, width: int, dtype: torch.dtype) -> None:
    zoo: Any = ZOOS[library]
    ours, theirs = zoo.drawn(*pair(zoo, kind, width, dtype), contexts(width, dtype), dtype)
    # The inverse of a steep map carries the rounding of either library further than its density does.
    assert largest_difference(ours, theirs) <= 10 * TOLERANCE[dtype]


@EVERY
def test_a_converted_flow_is_saved_and_loaded(library: str, kind: str, width: int, tmp_path: Path) -> None:
    _, ours = pair(ZOOS[library], kind, width)
    cf.save(tmp_path / "flow.safetensors", ours)
    encoder = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    again = cf.load(
        tmp_path / "flow.safetensors", modules={} if ours.context_encoder is None else {"context_encoder": encoder}
    )
    x, c = points(ours.features, torch.float64), given(contexts(width, torch.float64))
    assert torch.equal(again.log_prob(x, *c), ours.log_prob(x, *c))


@EVERY
def test_a_converted_flow_is_trained_further(library: str, kind: str, width: int) -> None:
    zoo: Any = ZOOS[library]
    theirs = zoo.made(kind, width)
    ours = zoo.convert(theirs).train()
    x, c = points(ours.features, torch.float64)[20:], given(contexts(width, torch.float64))
    c = tuple(each[20:] for each in c)
    before = zoo.scored(theirs, x, *(c or (None,))).detach()
    first = -ours.log_prob(x, *c).mean()
    learning = [parameter for parameter in ours.parameters() if parameter.requires_grad]
    slopes = torch.autograd.grad(first, learning)
    steepness = sum(slope.square().sum() for slope in slopes) ** 0.5
    with torch.no_grad():
        for parameter, slope in zip(learning, slopes, strict=True):
            parameter.sub_(1e-5 * slope / steepness)
        assert bool(-ours.log_prob(x, *c).mean() < first)
    assert torch.equal(zoo.scored(theirs, x, *(c or (None,))), before)  # the original is as it was
