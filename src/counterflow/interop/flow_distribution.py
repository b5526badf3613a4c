"""A flow, given a context, as a distribution of torch."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ..bijections import Bijection, Chain, Elementwise, Permutation
from ..flow import Flow
from ..model import Given, Model
from ..univariate import HalfLine, Interval, Univariate


class FlowDistribution(Distribution):
    """p(. | context) over vectors: one event axis, and the batch axes of the context, or those it was expanded to.

    It holds the flow and the context as they are: it follows parameters that change, and gradients reach both. What
    is expanded is the encoded context, so that an encoder sees the context as it was given. Draws come from torch's
    global stream, as those of every distribution of torch do.

    Args:
        flow: Any model of ours.
        context: What to condition on; None for a flow without context.
        validate_args: Whether to check the context and every value that is scored; by default as torch is set.

    Raises:
        ValueError: the context is missing, surplus or ill-shaped.
    """

    has_rsample: bool

    def __init__(self, flow: Model, context: Tensor | None = None, validate_args: bool | None = None) -> None:
        with torch.no_grad():
            encoded = flow.encode(context)
        batch = torch.Size() if encoded is None else encoded.shape[:-1]
        self.flow, self.context = flow, context
        self._context_axes = 0 if context is None else context.dim() - len(batch)  # those of one context
        self.has_rsample = _is_reparameterised(flow, encoded)
        super().__init__(batch, torch.Size((flow.features,)), validate_args=validate_args)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The context is real; nothing else is an argument."""
        if self.context is None:
            return {}
        return {"context": constraints.independent(constraints.real, max(self._context_axes, 0))}

    @property
    def support(self) -> constraints.Constraint:
        """Vectors of reals, or what the flow's outermost maps of single coordinates leave of them."""
        maps = _outermost(self.flow.bijection) if isinstance(self.flow, Flow) else None
        ends = [_interval(m) for m in maps or ()]
        if all(end is constraints.real for end in ends):
            return constraints.real_vector
        first, *others = maps or ()
        same = all(other == first for other in others)
        return constraints.independent(ends[0] if same else constraints.cat(ends, -1, [1] * len(ends)), 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value | context), the batch axes of both broadcast."""
        if self._validate_args:
            self._validate_sample(value)
        scores = self._given().log_prob(value)
        return scores.expand(torch.broadcast_shapes(scores.shape, self.batch_shape))

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without gradient, (*sample_shape, *batch_shape, D)."""
        return self._given().sample(self._draws(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Reparameterised draws, (*sample_shape, *batch_shape, D).

        Raises:
            NotImplementedError: the flow has none.
        """
        if not self.has_rsample:
            raise NotImplementedError(f"this {type(self.flow).__name__} has no reparameterised draws: use sample")
        return self._given().rsample_and_log_prob(self._draws(sample_shape))[0]

    def expand(self, batch_shape: Any, _instance: Any = None) -> "FlowDistribution":
        """The same distribution for a larger batch; nothing is copied.

        Raises:
            ValueError: a batch shape that this one does not broadcast to.
        """
        batch = torch.Size(batch_shape)
        if not _expands(self.batch_shape, batch):
            raise ValueError(f"a batch of shape {tuple(self.batch_shape)} does not expand to {tuple(batch)}")
        new: FlowDistribution = self._get_checked_instance(FlowDistribution, _instance)  # type: ignore[no-untyped-call]
        new.flow, new.context, new.has_rsample = self.flow, self.context, self.has_rsample
        new._context_axes = self._context_axes
        super(FlowDistribution, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)})"

    def _given(self) -> Given:
        """The flow with its context encoded, and then expanded to the batch shape."""
        encoded = self.flow.encode(self.context)
        if encoded is not None:
            encoded = encoded.expand(*self.batch_shape, encoded.shape[-1])
        return Given(self.flow, self.context, encoded)

    def _draws(self, sample_shape: Any) -> torch.Size:
        """What to ask of the flow: with a context it adds the batch axes itself."""
        shape = torch.Size((sample_shape,) if isinstance(sample_shape, int) else sample_shape)
        return shape if self.context is not None else shape + self.batch_shape


def _expands(old: torch.Size, new: torch.Size) -> bool:
    try:
        return bool(torch.broadcast_shapes(old, new) == new)
    except RuntimeError:
        return False


def _is_reparameterised(flow: Model, encoded: Tensor | None) -> bool:
    """Whether an empty draw with gradient is refused; only bases can refuse."""
    source: Any = flow.base if isinstance(flow, Flow) else flow
    try:
        with torch.no_grad():
            source.rsample_and_log_prob((0,), encoded if source.context_features else None)
    except TypeError:
        return False
    return True


def _outermost(bijection: Bijection) -> tuple[Univariate, ...] | None:
    """The maps of single coordinates that come last, by the coordinates of the data."""
    if isinstance(bijection, Elementwise):
        return bijection.maps
    if isinstance(bijection, Chain):
        parts: list[Any] = list(bijection.parts)
        if isinstance(parts[-1], Permutation) and len(parts) > 1:
            inner = _outermost(parts[-2])
            return None if inner is None else tuple(inner[i] for i in parts[-1].indices)
        return _outermost(parts[-1])
    return None


def _interval(univariate: Univariate) -> constraints.Constraint:
    """The image of the line."""
    if isinstance(univariate, Interval):
        overshoot = univariate.margin * (univariate.high - univariate.low) / (1 - 2 * univariate.margin)
        return constraints.interval(univariate.low - overshoot, univariate.high + overshoot)
    if isinstance(univariate, HalfLine):
        bound = univariate.bound
        return constraints.greater_than(bound) if univariate.above else constraints.less_than(bound)
    return constraints.real
