"""The log-likelihood of held-out rows, beside that of a Gaussian fitted to the others."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..diagnostics import Estimate, FittedGaussian, chunk_rows, estimate
from ..model import Model
from ..tables.schema import Column
from ..training import Rows
from .parts import Parts, noised, single

# Hands on what is computed piece by piece, each with its number of rows, under a title and out of so many; on its way
# it may show how far we are.
Watched = Callable[[Iterable[tuple[int, Any]], str, int | None], Iterator[Any]]


def unwatched(pieces: Iterable[tuple[int, Any]], what: str, total: int | None) -> Iterator[Any]:
    """Pass pieces on; nobody looks."""
    return (piece for _, piece in pieces)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """Log-likelihood of rows that training did not learn from, in nats per row; weights respected.

    Attributes:
        rows_are: Which rows.
        model: Of the model.
        gaussian: Of a fitted Gaussian (given the context, of a linear one); None: too few rows to fit it, or columns
            that depend on each other.
        gain: Of the model minus that of the Gaussian, row by row.
    """

    rows_are: str
    model: Estimate
    gaussian: Estimate | None
    gain: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        values: dict[str, Any] = {"rows_are": self.rows_are, "unit": "nats per row", "model": _to_json(self.model)}
        if self.gaussian is not None and self.gain is not None:
            values |= {"gaussian": _to_json(self.gaussian), "model_minus_gaussian": _to_json(self.gain)}
        return values


class GaussianGiven:
    """log N(x, c) - log N(c): the linear Gaussian of maximum likelihood, x = a + B c + noise.

    Columns of c that are constant say nothing and are left out.

    Raises:
        ValueError: too few rows, or linearly dependent columns.
    """

    def __init__(self, rows: Rows) -> None:
        c = rows.x[:, :0] if rows.context is None else rows.context
        self._varying = (c != c[:1]).any(0)
        self._joint = FittedGaussian(torch.cat([rows.x, c[:, self._varying]], -1), rows.weight)
        self._context = FittedGaussian(c[:, self._varying], rows.weight) if bool(self._varying.any()) else None

    def log_prob(self, rows: Rows) -> Tensor:
        """Of every row, in double precision."""
        if self._context is None or rows.context is None:
            return self._joint.log_prob(rows.x)
        c = rows.context[:, self._varying]
        return self._joint.log_prob(torch.cat([rows.x, c], -1)) - self._context.log_prob(c)


def held_out(
    model: Model, parts: Parts, columns: tuple[Column, ...], seed: int, watched: Watched = unwatched
) -> HeldOut | None:
    """How well the model does on the test rows (or, without any, on the validation rows); None without either.

    The Gaussian is fitted to everything else, validation rows included, since it has no other use for them.

    Args:
        model: Of the columns.
        parts: The rows; those to train on still without noise on whole numbers.
        columns: Say which are whole.
        seed: Of that noise, which the Gaussian gets as the model does.
        watched: Shows how far we are.
    """
    model.eval()
    if not parts.test.count + parts.validation.count:
        return None
    training = dataclasses.replace(parts.training, x=single(noised(columns, parts.training, seed)))
    if parts.test.count:
        rows, seen, rows_are = parts.test, [training, parts.validation], "test rows"
    else:
        rows, seen = parts.validation, [training]
        rows_are = "validation rows, which also chose when to stop"
    ours = scores(model, rows, watched)
    try:
        comparison = ((part.count, GaussianGiven(_stacked(seen)).log_prob(part)) for part in (rows,))
        (theirs,) = watched(comparison, "fitting a Gaussian to compare with", None)
    except ValueError:
        return HeldOut(rows_are, estimate(ours, rows.weight), None, None)
    gain = estimate(ours - theirs, rows.weight)
    return HeldOut(rows_are, estimate(ours, rows.weight), estimate(theirs, rows.weight), gain)


@torch.no_grad()
def scores(model: Model, rows: Rows, watched: Watched = unwatched) -> Tensor:
    """log p(x | c) of every row, in double precision and bounded memory."""
    size = chunk_rows(model.features)
    parts = [rows.part(start, start + size) for start in range(0, rows.count, size)]
    found = ((p.count, model.log_prob(p.x) if p.context is None else model.log_prob(p.x, p.context)) for p in parts)
    return torch.cat(list(watched(found, "scoring the held-out rows", rows.count))).double()


def _stacked(parts: list[Rows]) -> Rows:
    fields = [[getattr(part, name) for part in parts] for name in ("x", "context", "weight")]
    return Rows(*(None if any(f is None for f in field) else torch.cat(field) for field in fields))  # type: ignore[arg-type]


def _to_json(value: Estimate) -> dict[str, float | int | None]:
    known = math.isfinite(value.standard_error)
    return {"mean": value.mean, "standard_error": value.standard_error if known else None, "rows": value.rows}
