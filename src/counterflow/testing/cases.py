"""A case: what a law is tried on, with which sizes, at which points."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from .quadrature import Continuous, Support

Make = Callable[[int, int], Any]
BATCHES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3))


class Fault(AssertionError):
    """What a law found; the one who runs the law adds its name and the case."""


class Call(NamedTuple):
    """One scoring call of a subject: a pure function of a point and a context.

    Attributes:
        name: What a message calls it.
        function: (subject, point, context) -> tensors.
        point: Where it is called, (*batch, D).
        context: What it is called with, (*batch, M), or None; the parameters of a univariate map, (*batch, D, P).
        events: The shape of each result after the batch axes.
        refuses: Whether it checks the width and the dtype of the point itself.
    """

    name: str
    function: Callable[[Any, Tensor, Tensor | None], tuple[Tensor, ...]]
    point: Tensor
    context: Tensor | None
    events: tuple[tuple[int, ...], ...]
    refuses: bool = True

    def __call__(self, subject: Any) -> tuple[Tensor, ...]:
        """The results at the call's own point and context."""
        return self.function(subject, self.point, self.context)


@torch.no_grad()
def perturb_(module: nn.Module, generator: Generator) -> None:
    """Add noise to every parameter, so that nothing is tried at a special start such as the identity."""
    for parameter in module.parameters():
        fan_in = parameter.shape[-1] if parameter.dim() > 1 else 4
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_((0.6 * noise / math.sqrt(max(fan_in, 1))).to(parameter))


@dataclasses.dataclass(frozen=True)
class Traits:
    """What a class says of itself where the contract leaves a choice.

    Attributes:
        support: Where a density lives, for quadrature.
        reparameterised: Whether a density has `rsample_and_log_prob`; without, it must raise TypeError.
        has_conditionals: Whether a density has `conditionals`.
        refuses_context: Whether a subject without context refuses one (a base may ignore it).
        sees_all: Whether row i of a conditioner reads every earlier coordinate; random masks may not.
        image: The open interval onto which a univariate map maps the line.
        special_points: Where a univariate map changes its formula: (map, params (*B, P)) -> points x (*B, K) of its
            image. By default its `bound`, on both sides, if it has one.
        perturb: Writes random admissible parameters into a module.
    """

    support: Support = Continuous()
    reparameterised: bool = True
    has_conditionals: bool = False
    refuses_context: bool = True
    sees_all: bool = True
    image: tuple[float, float] = (-math.inf, math.inf)
    special_points: Callable[[Any, Tensor], Tensor] | None = None
    perturb: Callable[[nn.Module, Generator], None] = perturb_


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes, seed and precision; everything drawn from it is the same at every call."""

    make: Make
    calls_of: Callable[["Case", Any], list[Call]]
    features: int
    context_features: int = 0
    batch: tuple[int, ...] = ()
    seed: int = 0
    dtype: torch.dtype = torch.float64
    traits: Traits = Traits()

    def __str__(self) -> str:
        """The case in words."""
        return (
            f"D = {self.features}, context of {self.context_features}, batch shape {self.batch}, "
            f"seed {self.seed}, {self.dtype}"
        )

    def subject(self, variant: int = 0) -> Any:
        """A new object of the class; variants differ in their parameters only."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            subject = self.make(self.features, self.context_features)
        if isinstance(subject, nn.Module):
            subject = subject.to(self.dtype).eval()
            self.traits.perturb(subject, self.generator(1000 + variant))
        return subject

    def calls(self, subject: Any) -> list[Call]:
        """The scoring calls of the subject at points of this case."""
        return self.calls_of(self, subject)

    def with_(self, **changes: Any) -> "Case":
        """The same case with other sizes."""
        return dataclasses.replace(self, **changes)

    def generator(self, stream: int = 0) -> Generator:
        """A generator of this case; streams are independent."""
        return torch.Generator().manual_seed(7919 * self.seed + 104729 * stream + self.features)

    def noise(self, *event: int, stream: int = 0) -> Tensor:
        """Standard normal numbers, (*batch, *event)."""
        drawn = torch.randn((*self.batch, *event), generator=self.generator(stream), dtype=torch.float64)
        return drawn.to(self.dtype)

    def point(self, stream: int = 0) -> Tensor:
        """A point of the line to the D, (*batch, D), a little wider than standard normal."""
        return 1.5 * self.noise(self.features, stream=stream)

    def context(self, stream: int = 50) -> Tensor | None:
        """A context, (*batch, M), or None."""
        return self.noise(self.context_features, stream=stream) if self.context_features else None


@dataclasses.dataclass(frozen=True)
class Law:
    """A named law, and the numbers of features on which it is worth trying.

    Attributes:
        check: Raises `Fault` where a case breaks the law; its first docstring line says the law.
        features: D on which it is tried.
    """

    check: Callable[[Case], None]
    features: tuple[int, ...] = (1, 2, 3, 4, 5, 6)

    @property
    def name(self) -> str:
        """The law's name, of the function that checks it."""
        return self.check.__name__.replace("_", " ")

    @property
    def sentence(self) -> str:
        """What the law says."""
        return (self.check.__doc__ or "").strip().split("\n")[0]

    def enforce(self, case: Case) -> None:
        """Try one case.

        Raises:
            LawBroken: the case breaks the law, or raised where it should have answered.
        """
        try:
            self.check(case)
        except Fault as fault:
            raise LawBroken(self, case, str(fault)) from fault
        except Exception as error:
            raise LawBroken(self, case, f"it raised {type(error).__name__}: {error}") from error


class LawBroken(AssertionError):
    """A class breaks a law; says which law, on which case, and by how much.

    Attributes:
        law: The law.
        case: The case.
        found: What was found instead.
    """

    def __init__(self, law: Law, case: Case, found: str) -> None:
        super().__init__(f"the law {law.name!r} is broken ({law.sentence.rstrip('.')}): {found} [{case}]")
        self.law, self.case, self.found = law, case, found


def require(holds: bool, found: str) -> None:
    """Raise `Fault` with what was found, unless it holds."""
    if not holds:
        raise Fault(found)


def agree(found: Tensor, expected: Tensor, what: str, tolerance: float = 1e-9) -> None:
    """Two tensors of one shape, equal up to tolerance x (1 + |expected|); NaN never agrees."""
    require(found.shape == expected.shape, f"{what}: shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
    if not expected.numel():
        return
    gap = (found.detach() - expected.detach()).abs() / (1 + expected.detach().abs())
    require(
        bool((gap <= tolerance).all()),
        f"{what}: off by {float(gap.max()):.3g}, allowed {tolerance:g} (relative to 1 + |expected|)",
    )


def agree_all(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], what: str, tolerance: float = 1e-9) -> None:
    """`agree` for every result of a call."""
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        agree(a, b, f"{what}, result {k}", tolerance)


def refused(action: Callable[[], object], errors: type[Exception] | tuple[type[Exception], ...], what: str) -> None:
    """Require that an action raises one of the errors that the contract names."""
    wanted = errors.__name__ if isinstance(errors, type) else " or ".join(e.__name__ for e in errors)
    try:
        action()
    except errors:
        return
    except Exception as error:
        raise Fault(f"{what} raised {type(error).__name__} instead of {wanted}: {error}") from error
    raise Fault(f"{what} was accepted; expected {wanted}")


def gradients(output: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of the sum of an output; zero in what it does not depend on, also if it depends on nothing."""
    if not output.requires_grad:
        return tuple(torch.zeros_like(t) for t in inputs)
    found = torch.autograd.grad(output.sum(), inputs, retain_graph=True, allow_unused=True, materialize_grads=True)
    return tuple(found)


def optional(context: Tensor | None) -> tuple[Tensor, ...]:
    """The context as the arguments that pass it: a class without context need not have the argument."""
    return () if context is None else (context,)
