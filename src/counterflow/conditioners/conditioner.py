"""The contract of a conditioner: a network whose row i reads only the coordinates generated before i."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..shapes import Context, Params, RowParams, Scalars, Shape, Vector


@runtime_checkable
class Stepper(Protocol):
    """A conditioner run one row at a time, in its order. Owned by the caller, used once."""

    def params(self) -> RowParams:
        """Parameters of the next row, (*B, P)."""

    def push(self, value: Scalars) -> None:
        """That row's coordinate, (*B); the row after it is next."""


class Conditioner(nn.Module, ABC):
    """Networks (*B, D) -> (*B, D, P) whose row i reads only the coordinates before i in `order`, and the context."""

    features: int
    context_features: int
    num_params: int

    @property
    def order(self) -> tuple[int, ...]:
        """The coordinates in the order in which they are generated."""
        return tuple(range(self.features))

    @abstractmethod
    def forward(self, x: Vector, context: Context | None = None) -> Params:
        """All rows in one parallel pass."""

    def stepper(self, batch_shape: Shape, context: Context | None = None) -> Stepper:
        """All rows one by one. This default repeats the parallel pass, D passes in all; better ones override it."""
        return RepeatedPass(self, batch_shape, context)


def check_sizes(features: int, num_params: int, context_features: int) -> None:
    """Refuse sizes that no conditioner has.

    Raises:
        ValueError: no coordinates, no parameters, or a context of fewer than none.
    """
    if features < 1 or num_params < 1 or context_features < 0:
        raise ValueError(
            f"expected features >= 1, num_params >= 1 and context_features >= 0, "
            f"got {features}, {num_params}, {context_features}"
        )


class RepeatedPass:
    """The stepper that any conditioner has: the whole network again for every row. Cost: D parallel passes.

    It is what other libraries do, and the reference that every faster stepper and solver must agree with.
    """

    def __init__(self, conditioner: Conditioner, batch_shape: Shape, context: Tensor | None = None) -> None:
        self._conditioner, self._context, self._known = conditioner, context, 0
        like = next(conditioner.parameters())
        self._x = torch.zeros(*batch_shape, conditioner.features, dtype=like.dtype, device=like.device)

    def params(self) -> RowParams:
        """Parameters of the next row."""
        # Coordinates not yet known are zero; the next row does not read them, so their value is free.
        rows: Tensor = self._conditioner(self._x, self._context)
        return rows[..., self._conditioner.order[self._known], :]

    def push(self, value: Scalars) -> None:
        """Record that row's coordinate."""
        index = torch.tensor([self._conditioner.order[self._known]], device=self._x.device)
        self._x = self._x.index_copy(-1, index, value[..., None].to(self._x.dtype))
        self._known += 1
