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
        TypeError: `module` is neither.

    Cost: one Python object per submodule; no tensor is copied.
    """
    if isinstance(module, nn.Module):
        return _constant_copy(module, {})  # type: ignore[return-value]
    own: Any = getattr(module, "detached", None)
    if own is None:
        raise TypeError(f"a {type(module).__name__} has no parameters that can be held constant")
    return own()  # type: ignore[no-any-return]


def _constant_copy(module: nn.Module, memo: dict[int, nn.Module]) -> nn.Module:
    if id(module) in memo:
        return memo[id(module)]
    twin = copy.copy(module)  # a shallow copy shares these three dicts, so they are replaced, not edited
    memo[id(module)] = twin
    constants: dict[str, Tensor | None] = {
        name: None if p is None else p.detach() for name, p in module._parameters.items()
    }
    twin.__dict__["_parameters"] = constants
    twin.__dict__["_buffers"] = dict(module._buffers)
    twin.__dict__["_modules"] = {
        name: None if child is None else _constant_copy(child, memo) for name, child in module._modules.items()
    }
    return twin
