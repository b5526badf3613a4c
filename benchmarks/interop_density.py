"""Section `density` of benchmarks/interop.py: how far converted flows are from their originals, and both from truth."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import interop_models
import torch
from torch import Tensor

import counterflow as cf

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # the flows that conversions are tested on
from foreign import zoo_nflows, zoo_normflows, zoo_pyro, zoo_zuko
from foreign.agreement import contexts, largest_difference, points

ZOOS: dict[str, Any] = {"zuko": zoo_zuko, "nflows": zoo_nflows, "normflows": zoo_normflows, "Pyro": zoo_pyro}
WIDE_FEATURES, WIDE_ROWS, WIDE_CONTEXT = 8, 1000, 3
SINGLE, DOUBLE = torch.float32, torch.float64


class Pair(NamedTuple):
    """A foreign flow and ours, at some points.

    Attributes:
        scored: Their log density, of (x, context).
        ours: What the flow became.
        drawn: Samples of ours and of theirs from equal noise.
        x, c: Points, and contexts or None.
    """

    scored: Callable[[Tensor, Tensor | None], Tensor]
    ours: cf.Flow
    drawn: Callable[[], tuple[Tensor, Tensor]]
    x: Tensor
    c: Tensor | None


def flows() -> list[tuple[str, str, int]]:
    """Every flow that is measured: its library, its name, the width of its context."""
    zoo = [(library, *case) for library, zoo in ZOOS.items() for case in zoo.CASES]
    wide = [
        (*name.split(), width)
        for name in interop_models.MODELS
        for width in (0, WIDE_CONTEXT)
        if not (width and name in interop_models.WITHOUT_CONTEXT)
    ]
    return zoo + [(library, f"{kind}, wide", width) for library, kind, width in wide]


@torch.no_grad()
def differences(library: str, kind: str, width: int) -> dict[str, float]:
    """Largest differences, relative where a value is above 1, in single and double precision.

    `single`, `double` are those of log densities, of ours from theirs; `single ours`, `single theirs` those in single
    precision from what the original gives in double precision: the rounding of either.
    """
    found: dict[str, float] = {}
    for name, dtype in (("single", SINGLE), ("double", DOUBLE)):
        pair = _pair(library, kind, width, dtype)
        given = () if pair.c is None else (pair.c,)
        ours, theirs = pair.ours.log_prob(pair.x, *given), pair.scored(pair.x, pair.c)
        found[name] = largest_difference(ours, theirs)
        found[f"{name}, samples"] = largest_difference(*pair.drawn())
        if dtype is SINGLE:
            exact = _pair(library, kind, width, DOUBLE)
            truth = exact.scored(pair.x.double(), None if pair.c is None else pair.c.double())
            found["single ours"] = largest_difference(ours.double(), truth)
            found["single theirs"] = largest_difference(theirs.double(), truth)
    return found


def _pair(library: str, kind: str, width: int, dtype: torch.dtype) -> Pair:
    if kind.endswith(", wide"):
        return _wide(library, kind.removesuffix(", wide"), width, dtype)
    zoo = ZOOS[library]
    theirs = zoo.made(kind, width, dtype)
    ours, c = zoo.convert(theirs), contexts(width, dtype)
    return Pair(
        lambda x, c: zoo.scored(theirs, x, c),
        ours,
        lambda: zoo.drawn(theirs, ours, c, dtype),
        points(ours.features, dtype, spread=1.5),
        c,
    )


def _wide(library: str, kind: str, width: int, dtype: torch.dtype) -> Pair:
    """The flows whose time is measured, with steeper weights."""
    made = interop_models.made(f"{library} {kind}", WIDE_FEATURES, width, dtype)
    generator = torch.Generator().manual_seed(1)

    def normal(columns: int) -> Tensor:
        return torch.randn(WIDE_ROWS, columns, generator=generator, dtype=DOUBLE).to(dtype)

    x, c, noise = 2 * normal(WIDE_FEATURES), normal(width) if width else None, normal(WIDE_FEATURES)
    base = made.ours.base
    u = base.loc + base.log_scale.exp() * noise if isinstance(base, cf.bases.DiagonalNormal) else noise
    given = c if made.ours.bijection.context_features else None
    return Pair(made.log_prob, made.ours, lambda: (made.ours.bijection(u, given)[0], made.from_noise(noise, c)), x, c)
