"""The contract of a bijection, and the two that are made of others: `Inverse` and `Chain`."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..shapes import Context, LogDensity, Vector, broadcast_batch, check_context, check_vector
from ..spec import register
from ..univariate import Composed, Univariate


class RowMaps(NamedTuple):
    """The univariate maps by which a bijection acts on each row, given the rows before it.

    x_i = univariate.forward(u_i; params_i), params (*B, D, P).
    """

    univariate: Univariate
    params: Tensor


class Bijection(nn.Module, ABC):
    """Invertible, differentiable maps. forward: u -> x (generate); inverse: x -> u (normalise).

    Value and log-det come from the same call; the log-det is of the map just applied, summed over the event.
    A bijection without context (context_features 0) is given none.
    """

    features: int
    context_features: int = 0

    @abstractmethod
    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """x, log |dx/du|."""

    @abstractmethod
    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """u, log |du/dx|."""

    @property
    def order(self) -> tuple[int, ...] | None:
        """An order of the coordinates in which row i of both directions reads only rows up to i; None if there is none.

        Bijections that act on each coordinate alone return (): every order will do.
        """
        return None

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """x, and the univariate maps u_i -> x_i that each row is, given the rows before it.

        Raises:
            TypeError: rows are mixed; there are no such maps.
        """
        raise TypeError(f"{type(self).__name__} mixes coordinates: its rows are not univariate maps")

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """u, and the univariate maps u_i -> x_i that each row is, given the rows before it.

        Raises:
            TypeError: rows are mixed; there are no such maps.
        """
        raise TypeError(f"{type(self).__name__} mixes coordinates: its rows are not univariate maps")

    def initialise_(self, x: Vector, context: Context | None = None) -> None:
        """Data-dependent start: write parameters so that `inverse` normalises x. Nothing, unless overridden."""

    def initialise_reversed_(self, u: Vector, context: Context | None = None) -> None:
        """The same for `forward`: write parameters so that forward normalises u. Nothing, unless overridden."""

    def check(self, x: Tensor, name: str, context: Tensor | None) -> None:
        """Refuse, at the door, an ill-shaped x or a context that is missing, surplus or does not fit.

        Raises:
            TypeError: x is not floating point.
            ValueError: in the user's words, what does not fit.
        """
        check_vector(x, self.features, name)
        check_context(context, self.context_features)
        broadcast_batch(x, context)


@register
class Inverse(Bijection):
    """The same bijection, the other way round: MAF is Inverse(Autoregressive(...)).

    Args:
        bijection: Whose forward becomes the inverse.
    """

    def __init__(self, bijection: Bijection) -> None:
        super().__init__()
        self.bijection = bijection
        self.features, self.context_features = bijection.features, bijection.context_features

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """The inner inverse."""
        return self.bijection.inverse(u, context)

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """The inner forward."""
        return self.bijection.forward(x, context)

    @property
    def order(self) -> tuple[int, ...] | None:
        """That of the inner bijection: triangular maps have triangular inverses."""
        return self.bijection.order

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """The inner inverse's rows, inverted."""
        x, rows = self.bijection.inverse_rows(u, context)
        return x, RowMaps(rows.univariate.inverted, rows.params)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """The inner forward's rows, inverted."""
        u, rows = self.bijection.forward_rows(x, context)
        return u, RowMaps(rows.univariate.inverted, rows.params)

    def initialise_(self, x: Vector, context: Context | None = None) -> None:
        """The inner start, reversed."""
        self.bijection.initialise_reversed_(x, context)

    def initialise_reversed_(self, u: Vector, context: Context | None = None) -> None:
        """The inner start."""
        self.bijection.initialise_(u, context)


@register
class Chain(Bijection):
    """Bijections applied one after the other: forward runs the first one first, inverse the last one first.

    Args:
        parts: At least one; all of the same D, and those with a context of the same M.

    Raises:
        ValueError: no parts, or parts that do not fit each other; the message names the layer.
    """

    def __init__(self, parts: Iterable[Bijection]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        if not len(self.parts):
            raise ValueError("expected at least one bijection to chain")
        self.features = self._parts()[0].features
        widths = [part.context_features for part in self._parts() if part.context_features]
        self.context_features = widths[0] if widths else 0
        for index, part in enumerate(self._parts()):
            if part.features != self.features or part.context_features not in (0, self.context_features):
                raise ValueError(
                    f"layer {index} ({type(part).__name__}) has {part.features} features and {part.context_features} "
                    f"context features, the chain has {self.features} and {self.context_features}"
                )

    def forward(self, u: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """x, and the sum of the parts' log-dets."""
        self.check(u, "u", context)
        log_det = u.new_zeros(())
        for part in self._parts():
            u, step = part(u, context if part.context_features else None)
            log_det = log_det + step
        return u, log_det

    def inverse(self, x: Vector, context: Context | None = None) -> tuple[Vector, LogDensity]:
        """u, and the sum of the parts' log-dets."""
        self.check(x, "x", context)
        log_det = x.new_zeros(())
        for part in reversed(self._parts()):
            x, step = part.inverse(x, context if part.context_features else None)
            log_det = log_det + step
        return x, log_det

    @property
    def order(self) -> tuple[int, ...] | None:
        """The order that all parts share; None if there is none."""
        orders = {part.order for part in self._parts()} - {()}
        return (orders or {()}).pop() if len(orders) <= 1 else None

    def forward_rows(self, u: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """The parts' rows, composed."""
        maps = []
        for part in self._parts():
            u, rows = part.forward_rows(u, context if part.context_features else None)
            maps.append(rows)
        return u, _compose(maps)

    def inverse_rows(self, x: Vector, context: Context | None = None) -> tuple[Vector, RowMaps]:
        """The parts' rows, composed."""
        maps = []
        for part in reversed(self._parts()):
            x, rows = part.inverse_rows(x, context if part.context_features else None)
            maps.append(rows)
        return x, _compose(maps[::-1])

    def initialise_(self, x: Vector, context: Context | None = None) -> None:
        """Each part in turn, on the data as it reaches it."""
        for part in reversed(self._parts()):
            own = context if part.context_features else None
            part.initialise_(x, own)
            x = part.inverse(x, own)[0]

    def initialise_reversed_(self, u: Vector, context: Context | None = None) -> None:
        """Each part in turn, the other way round."""
        for part in self._parts():
            own = context if part.context_features else None
            part.initialise_reversed_(u, own)
            u = part(u, own)[0]

    def _parts(self) -> list[Bijection]:
        return list(self.parts)  # type: ignore[arg-type]


def _compose(maps: list[RowMaps]) -> RowMaps:
    if len(maps) == 1:
        return maps[0]
    shape = torch.broadcast_shapes(*(rows.params.shape[:-1] for rows in maps))
    params = torch.cat([rows.params.expand(*shape, -1) for rows in maps], -1)
    return RowMaps(Composed(tuple(rows.univariate for rows in maps)), params)
