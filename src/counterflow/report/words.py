"""A model in words: its layers from noise to data, and what each direction costs."""

import dataclasses
import re
from typing import Any, NamedTuple

from torch import nn

from ..autoregressive import AutoregressiveModel
from ..bijections import (
    ActNorm,
    Autoregressive,
    Chain,
    Coupling,
    Elementwise,
    Inverse,
    LULinear,
    Permutation,
    Rescale,
    Standardise,
)
from ..conditioners import MaskedMLP
from ..flow import Flow
from ..univariate import HalfLine, Interval, Inverted, Line


class Costs(NamedTuple):
    """Network evaluations that must wait for each other, in each direction."""

    score: int
    sample: int


def layers_in_words(model: nn.Module) -> list[str]:
    """One phrase per layer, in the order of generation: noise first, data last."""
    if isinstance(model, Flow):
        return [*layers_in_words(model.base), *_bijection(model.bijection)]
    if isinstance(model, AutoregressiveModel):
        net = _network(model.conditioner)
        return [f"autoregressive model: each column given those before it has a {_spaced(model.family)} law, {net}"]
    members = getattr(model, "members", None)
    if members is not None:
        return [f"an equal mixture of {len(members)}:", *layers_in_words(members[0])]
    return [f"noise: {_spaced(model)}"]


def folded(layers: list[str]) -> list[str]:
    """The same list with repetitions told once: n equal layers, or n with one other phrase between each two."""
    told: list[str] = []
    i = 0
    while i < len(layers):
        for stride in (1, 2):
            n = 1
            while layers[i : i + stride * n + 1 : stride] == [layers[i]] * (n + 1) and _even(layers, i, stride, n):
                n += 1
            if n > 1:
                between = f" (between them: {layers[i + 1]})" if stride == 2 else ""
                told.append(f"{n} times{between}: {layers[i]}")
                i += stride * (n - 1) + 1
                break
        else:
            told.append(layers[i])
            i += 1
    return told


def _even(layers: list[str], i: int, stride: int, n: int) -> bool:
    """Whether what stands between n + 1 equal layers, if anything, is equal too."""
    return stride == 1 or len(set(layers[i + 1 : i + stride * n + 1 : stride])) == 1


def costs_of(model: nn.Module) -> Costs:
    """Dependent network evaluations to score and to sample; rows of a batch share them."""
    if isinstance(model, Flow):
        base, (forward, inverse) = costs_of(model.base), _steps(model.bijection)
        return Costs(base.score + inverse, base.sample + forward)
    if isinstance(model, AutoregressiveModel):
        return Costs(1, model.features)
    members = [costs_of(member) for member in getattr(model, "members", ())]
    return Costs(max((m.score for m in members), default=0), max((m.sample for m in members), default=0))


def costs_in_words(model: nn.Module) -> tuple[str, str]:
    """What scoring costs, and what sampling costs, as two sentences."""
    score, sample = costs_of(model)
    cheap, dear = min(score, sample), max(score, sample)
    if cheap == dear:
        both = f"{_passes(cheap)}."
        return f"Scoring: {both}", f"Sampling: {both}"
    stepped = f"{dear} small steps that wait for each other, in which every network unit is evaluated once per row."
    sentences = {cheap: f"{_passes(cheap)}.", dear: stepped}
    return f"Scoring: {sentences[score]}", f"Sampling: {sentences[sample]}"


def _passes(count: int) -> str:
    return f"{count} parallel network pass{'es' * (count != 1)}"


def _steps(bijection: nn.Module) -> tuple[int, int]:
    """Dependent evaluations of forward, and of inverse."""
    if isinstance(bijection, Chain):
        parts = [_steps(part) for part in bijection.parts]
        return sum(forward for forward, _ in parts), sum(inverse for _, inverse in parts)
    if isinstance(bijection, Inverse):
        forward, inverse = _steps(bijection.bijection)
        return inverse, forward
    if isinstance(bijection, Autoregressive):
        return 1, bijection.features
    return (1, 1) if isinstance(bijection, Coupling) else (0, 0)


def _bijection(bijection: nn.Module, inverted: bool = False) -> list[str]:
    if isinstance(bijection, Inverse):
        return _bijection(bijection.bijection, not inverted)
    if isinstance(bijection, Chain):
        if [type(part) for part in bijection.parts] == [Standardise, Elementwise, Standardise]:
            return [f"{_UNITS}, {_supports(bijection.parts[1])}"]
        parts = [_bijection(part, inverted) for part in bijection.parts]
        return [line for part in (reversed(parts) if inverted else parts) for line in part]
    if isinstance(bijection, Autoregressive):
        kind = "masked autoregressive layer" if inverted else "inverse autoregressive layer"
        return [f"{kind}: {_map(bijection.univariate)} of each column given those before it, {_net(bijection)}"]
    if isinstance(bijection, Coupling):
        kept = sum(bijection.kept)
        others = len(bijection.kept) - kept
        steered = f"{kept} columns steer the other {others} by {_map(bijection.univariate)}"
        return [f"coupling layer: {steered}, {_net(bijection)}"]
    if isinstance(bijection, Elementwise):
        return [f"each column by itself, {_supports(bijection)}"]
    for fixed, phrase in _FIXED.items():
        if isinstance(bijection, fixed):
            return [phrase]
    return [_spaced(bijection)]


def _supports(bijection: Any) -> str:
    """`of 64 columns 12 bounded on one side, 1 between two ends`."""
    total = len(bijection.maps)
    kinds = ((HalfLine, "bounded on one side"), (Interval, "between two ends"))
    counts = [(sum(isinstance(m, kind) for m in bijection.maps), phrase) for kind, phrase in kinds]
    others = sum(not isinstance(m, (HalfLine, Interval, Line)) for m in bijection.maps)
    told = [f"{count} {phrase}" for count, phrase in [*counts, (others, "mapped in another way")] if count]
    return f"of {total} columns {', '.join(told)}" if told else f"{total} columns without bounds"


_UNITS = "the columns' own units"
_FIXED: dict[type[nn.Module], str] = {
    Permutation: "the columns in another order",
    LULinear: "a learned linear map",
    ActNorm: "a learned shift and scale of each column",
    Rescale: "a learned scale of each column",
    Standardise: f"{_UNITS} (mean and standard deviation of the training rows)",
}


def _map(univariate: Any) -> str:
    if isinstance(univariate, Inverted):
        return _map(getattr(univariate, dataclasses.fields(univariate)[0].name))
    words = _spaced(univariate)
    bins = getattr(univariate, "bins", None)
    return f"{words} spline with {bins} bins" if bins else f"{words} map"


def _net(layer: Autoregressive | Coupling) -> str:
    return _network(layer.conditioner if isinstance(layer, Autoregressive) else layer.network)


def _network(network: Any) -> str:
    hidden = getattr(network, "hidden", None)
    if hidden is None:
        return _spaced(network)
    kind = "masked network" if isinstance(network, MaskedMLP) else "network"
    residual = "residual " if getattr(network, "residual", False) else ""
    return f"{residual}{kind} of {' + '.join(map(str, hidden))} units"


def _spaced(thing: Any) -> str:
    """`RationalQuadratic` as `rational quadratic`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(thing).__name__).lower()
