"""Every law on every public class and model: one test per class and law."""

import inspect
import re

import jaxtyping
import pytest
from torch import nn

import counterflow as cf
from counterflow import bases, bijections, conditioners, families, models, solvers, spec, univariate
from counterflow.testing import KINDS, Traits, enforce, laws
from laws.table import TABLE, Entry

CASES = [
    pytest.param(kind, entry, law.name, id=f"{name}-{law.name.replace(' ', '_')}")
    for kind, entries in TABLE.items()
    for name, entry in entries.items()
    for law in laws(kind)
]

# Abstract classes, protocols and values that no law table can hold; everything else that is public must be in it.
CONTRACTS = {
    *("Base", "FactorisedBase", "Bijection", "Conditioner", "Programmed"),
    *("Family", "Model", "Scale", "Solver", "Univariate"),
}
RECORDS = {
    *("Given", "Laws", "RowMaps", "Solution", "Stepper", "RepeatedPass"),
    *("Dense", "Activated", "Added", "Shifted", "Gated", "Rescaled"),  # what a MaskedNetwork is made of
}
PARTS = {"MaskedLinear", "MLP", "Blocked", "Reverse", "Shuffle"}  # seen by the laws inside other classes


@pytest.mark.parametrize(("kind", "entry", "law"), CASES)
def test_class_obeys_law(kind: str, entry: Entry, law: str) -> None:
    assert enforce(kind, law, entry.make, **entry.options) > 0


FIRST = {"univariate": "round trip returns", "conditioner": "stepping is the parallel pass"}
FIRST |= {"bijection": "round trip returns", "density": "scored and sampled log density agree"}


@pytest.mark.parametrize(
    ("kind", "entry"), [pytest.param(kind, e, id=f"{kind}-{name}") for kind in TABLE for name, e in TABLE[kind].items()]
)
def test_classes_obey_with_their_shapes_checked(kind: str, entry: Entry) -> None:
    """All annotated shapes hold along the way, checked by beartype."""
    jaxtyping.config.update("jaxtyping_disable", False)
    assert enforce(kind, FIRST[kind], entry.make, **entry.options) > 0


def test_every_public_class_is_in_the_table() -> None:
    named = {word for entries in TABLE.values() for name in entries for word in re.findall(r"\w+", name)}
    assert public_names() - CONTRACTS - RECORDS - PARTS - named == set()


def test_every_model_function_is_in_the_table() -> None:
    functions = {name for name in models.__all__ if inspect.isfunction(getattr(models, name))}
    named = {name.split("(")[0].removeprefix("models.") for name in TABLE["density"]}
    assert functions - named == set()


def test_every_exempt_class_exists() -> None:
    """An exemption that outlives its class would exempt a new class of the same name."""
    assert (CONTRACTS | RECORDS | PARTS) - public_names() - {"Reverse", "Shuffle"} == set()


def test_every_concrete_public_module_is_registered_for_checkpoints() -> None:
    modules = (bases, bijections, conditioners)
    classes = [getattr(m, name) for m in modules for name in m.__all__ if inspect.isclass(getattr(m, name))]
    concrete = [c for c in classes if issubclass(c, nn.Module) and not inspect.isabstract(c)]
    unregistered = {c.__name__ for c in concrete if spec.registered().get(c.__name__) is not c}
    assert unregistered - {"MaskedLinear"} == set()


def test_a_law_that_has_no_case_is_noticed() -> None:
    assert enforce("bijection", "round trip returns", lambda d, m: None, features=()) == 0


def test_every_law_says_itself_in_a_sentence() -> None:
    for kind in KINDS:
        for law in laws(kind):
            assert law.sentence.endswith("."), law.name
            assert law.features, law.name


def test_an_unknown_law_is_named() -> None:
    with pytest.raises(ValueError, match="no law of kind 'density' is called 'gravity'"):
        enforce("density", "gravity", lambda d, m: None, traits=Traits())


def public_names() -> set[str]:
    """Classes that the library's modules of parts list, and those that the package itself does; errors are no parts."""
    names = set()
    for module in (bases, bijections, conditioners, families, solvers, univariate):
        classes = {name: getattr(module, name) for name in module.__all__ if inspect.isclass(getattr(module, name))}
        names |= {name for name, found in classes.items() if not issubclass(found, Exception)}
    top = {name for name in cf.__all__ if inspect.isclass(getattr(cf, name))}
    kinds = (nn.Module, univariate.Univariate, families.Family, solvers.Solver)
    return names | {name for name in top if issubclass(getattr(cf, name), kinds) or name == "Given"}
