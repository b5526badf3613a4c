"""The four checks, and the table of the laws that each of them enforces."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from . import (
    bijection_laws,
    conditioner_laws,
    density_laws,
    door_laws,
    purity_laws,
    sampling_laws,
    shape_laws,
    state_laws,
    univariate_laws,
)
from .cases import BATCHES, Call, Case, Law, LawBroken, Make, Traits

_GENERAL = (*purity_laws.LAWS, *shape_laws.LAWS)
_CONDITIONAL = (*shape_laws.CONTEXT_LAWS, *door_laws.LAWS, *state_laws.LAWS)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A contract: the scoring calls that its subjects answer, and the laws that bind them."""

    calls: Callable[[Case, Any], list[Call]]
    laws: Mapping[str, Law]


def _kind(calls: Callable[[Case, Any], list[Call]], *laws: Law) -> Kind:
    return Kind(calls, MappingProxyType({law.name: law for law in laws}))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "univariate": _kind(univariate_laws.calls, *univariate_laws.LAWS, *_GENERAL),
        "conditioner": _kind(conditioner_laws.calls, *conditioner_laws.LAWS, *_GENERAL, *_CONDITIONAL),
        "bijection": _kind(bijection_laws.calls, *bijection_laws.LAWS, *_GENERAL, *_CONDITIONAL),
        "density": _kind(density_laws.calls, *density_laws.LAWS, *sampling_laws.LAWS, *_GENERAL, *_CONDITIONAL),
    }
)


def laws(kind: str) -> tuple[Law, ...]:
    """The laws of "univariate", "conditioner", "bijection" or "density".

    Raises:
        ValueError: there is no such kind.
    """
    return tuple(_known(kind).laws.values())


def enforce(
    kind: str,
    law: str,
    make: Make,
    *,
    features: Iterable[int] = (1, 2, 3, 4, 5, 6),
    context_features: Iterable[int] = (0, 2),
    seeds: Iterable[int] = (0,),
    traits: Traits = Traits(),
) -> int:
    """One law on one class, over all its cases; arguments as for the checks.

    Returns:
        The number of cases tried, which is 0 where no size of the class is one of the law's.

    Raises:
        LawBroken: at the first case that breaks it.
        ValueError: there is no such kind or law.
    """
    chosen = _known(kind)
    if law not in chosen.laws:
        raise ValueError(f"no law of kind {kind!r} is called {law!r}; there are {', '.join(chosen.laws)}")
    count = 0
    for case in _cases(
        chosen, chosen.laws[law], make, (tuple(features), tuple(context_features), tuple(seeds)), traits
    ):
        chosen.laws[law].enforce(case)
        count += 1
    return count


def broken_laws(kind: str, make: Make, **options: Any) -> dict[str, LawBroken]:
    """Every law that a class breaks, by name, with the first case that breaks it; arguments as for `enforce`."""
    broken = {}
    for law in laws(kind):
        try:
            enforce(kind, law.name, make, **options)
        except LawBroken as error:
            broken[law.name] = error
    return broken


def check_univariate(univariate: Any, *, seeds: Iterable[int] = (0, 1), traits: Traits = Traits()) -> None:
    """Hold a univariate map to every law of its contract, with random parameters.

    Args:
        univariate: A map: `num_params`, `forward`, `inverse`, `inverted`.
        seeds: Of the points and parameters.
        traits: What the contract leaves open: the image of the line, where the formula changes.

    Raises:
        LawBroken: names the law, the case, and by how much it is broken.
    """
    _check(
        "univariate", lambda features, context_features: univariate, context_features=(0,), seeds=seeds, traits=traits
    )


def check_conditioner(make: Make, **options: Any) -> None:
    """Hold a conditioner to every law of its contract.

    Args:
        make: (features, context_features) -> a new conditioner; its parameters will be overwritten.
        options: features, context_features, seeds: the sizes and seeds to try, by default 1..6, (0, 2), (0,);
            traits: whether its rows read all earlier coordinates.

    Raises:
        LawBroken: names the law, the case, and by how much it is broken.
    """
    _check("conditioner", make, **options)


def check_bijection(make: Make, **options: Any) -> None:
    """Hold a bijection to every law of its contract.

    Args:
        make: (features, context_features) -> a new bijection; its parameters will be overwritten.
        options: features, context_features, seeds: the sizes and seeds to try, by default 1..6, (0, 2), (0,); a class
            without context is checked with context_features=(0,). traits: how to write random parameters.

    Raises:
        LawBroken: names the law, the case, and by how much it is broken.
    """
    _check("bijection", make, **options)


def check_density(make: Make, **options: Any) -> None:
    """Hold a density that draws to every law of its contract.

    Args:
        make: (features, context_features) -> a new density; its parameters will be overwritten.
        options: features, context_features, seeds: the sizes and seeds to try, by default 1..6, (0, 2), (0,); a class
            without context is checked with context_features=(0,). traits: its support, and which of the optional
            capabilities it has.

    Raises:
        LawBroken: names the law, the case, and by how much it is broken.
    """
    _check("density", make, **options)


def _check(kind: str, make: Make, **options: Any) -> None:
    for law in laws(kind):
        enforce(kind, law.name, make, **options)


def _known(kind: str) -> Kind:
    if kind not in KINDS:
        raise ValueError(f"no such kind {kind!r}; there are {', '.join(KINDS)}")
    return KINDS[kind]


def _cases(
    kind: Kind, law: Law, make: Make, sizes: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]], traits: Traits
) -> Iterator[Case]:
    features, context_features, seeds = sizes
    chosen = [d for d in features if d in law.features]
    for d in chosen:
        for k, m in enumerate(context_features):
            for seed in seeds:
                # Batch shapes take turns, so that each meets most sizes without the product of all.
                yield Case(make, kind.calls, d, m, BATCHES[(d + k + seed) % len(BATCHES)], seed, traits=traits)
