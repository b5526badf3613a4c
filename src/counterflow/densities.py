"""What an objective may ask of a density: four protocols, and `detached`, the same density with constant parameters.

Flows, teachers, posteriors and torch distributions with event_dim 1 all satisfy `Density`. The protocols are checkable
at run time for the shape checks of the tests alone: whether a density has conditionals is never decided by isinstance.
"""

import copy
from typing import Any, Protocol, TypeVar, runtime_checkable

from torch import Generator, Tensor, nn

from .shapes import LogDensity, Scalars, Shape, Vector

T = TypeVar("T")


@runtime_checkable
class Conditionals(Protocol):
    """The laws p(x_i | x_<i) of all D rows at once, batch shape (*B, D)."""

    def log_prob(self, x: Vector, /) -> Vector:
        """log p(x_i | x_<i), one per row."""

    def rsample(self, sample_shape: Shape = (), /, *, generator: Generator | None = None) -> Scalars:
        """Fresh reparameterised draws of every row given the same prefixes, (*sample, *B, D)."""

    def entropy(self) -> Vector:
        """H[p(x_i | x_<i)] in nats, one per row."""


@runtime_checkable
class Density(Protocol):
    """Anything that scores: log p(x), shape x.shape[:-1], nats per event."""

    def log_prob(self, x: Vector, /) -> LogDensity:
        """log p(x)."""


@runtime_checkable
class Reparameterised(Density, Protocol):
    """A density that draws differentiably, and knows the log density of its own draws."""

    def rsample_and_log_prob(
        self, sample_shape: Shape = (), /, *, generator: Generator | None = None
    ) -> tuple[Vector, LogDensity]:
        """x ~ q, and log q(x)."""


@runtime_checkable
class AutoregressiveDensity(Density, Protocol):
    """A density that exposes its steps: a teacher."""

    def conditionals(self, x: Vector, /) -> Conditionals:
        """p(x_i | x_<i) for all i."""


@runtime_checkable
class StepwiseSampler(Reparameterised, Protocol):
    """A sampler whose steps are known laws: a student."""

    def rsample_and_conditionals(
        self, sample_shape: Shape = (), /, *, generator: Generator | None = None
    ) -> tuple[Vector, Conditionals]:
        """x ~ q, and the laws q(x_i | x_<i) that drew it."""


def detached(module: T) -> T:
    """The same function, with its parameters as constants.

    Gradients still flow through the *inputs*. The result shares storage with `module`: make it for one step and
    let it go, never store it. Neither `requires_grad` nor any other state of `module` is touched.

    Args:
        module: Any nn.Module, or an object with a `detached` method of its own (`Given`).

    Returns:
        A copy of the module tree whose parameters are detached tensors.

    Raises:
        TypeError: `module` is neither, or was compiled.

    Cost: one Python object per submodule; no tensor is copied.
    """
    if isinstance(module, nn.Module):
        return _constant_copy(module)  # type: ignore[return-value]
    own: Any = getattr(module, "detached", None)
    if own is None:
        raise TypeError(f"a {type(module).__name__} has no parameters that can be held constant")
    return own()  # type: ignore[no-any-return]


def _constant_copy(module: nn.Module) -> nn.Module:
    """A deep copy in which every parameter is replaced by a detached alias, and every buffer by itself.

    What a module keeps beside its tensors (tuples of degrees, frozen maps) is shared; only containers are copied, since
    some modules (recurrent ones) keep lists of their parameters.
    """
    memo: dict[int, Any] = {id(p): p.detach() for p in module.parameters()}
    memo |= {id(b): b for b in module.buffers()}
    for part in module.modules():
        if type(part).__name__ == "OptimizedModule":
            raise TypeError("a compiled module keeps its own parameters: detach the module itself, then compile it")
        memo |= {id(v): v for v in vars(part).values() if not isinstance(v, nn.Module | Tensor | dict | list | set)}
    return copy.deepcopy(module, memo)
