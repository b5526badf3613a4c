"""A model with the columns it was fitted to: rows of a table in, log densities out; samples come back as such rows."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..checkpoint import CheckpointError, load, read_header, save
from ..conditioners import ContextUnits
from ..diagnostics import chunk_rows
from ..model import Model
from ..tables.encoding import as_table, check_whole, dequantised, outside
from ..tables.schema import Schema, plain_schema
from ..tables.source import Block

Scores = npt.NDArray[np.float64]
_SCHEMA = "schema"


@dataclasses.dataclass(frozen=True, eq=False)
class TableModel:
    """A density of the columns of a table, given other columns or none.

    Attributes:
        model: Of rows in the columns' own units, whole numbers dequantised (k + u, u uniform in [0, 1)).
        schema: The columns.
        facts: How it was made, as JSON values.
    """

    model: Model
    schema: Schema
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def log_prob(
        self, values: Block, context: Block | None = None, *, generator: np.random.Generator | None = None
    ) -> Scores:
        """log p(x | c) of every row in nats, where whole numbers k are dequantised: p is the density of k + u.

        Args:
            values: (rows, D), in the order of the schema.
            context: (rows, M), if the model has one.
            generator: Of the noise u on whole numbers; without one, the density in the middle of the cell, u = 1/2.

        Returns:
            (rows,); -inf for rows outside the support of a column.

        Raises:
            TableError: a column of whole numbers holds others.
            ValueError: another number of columns, or a context that does not fit.
        """
        if values.ndim != 2 or values.shape[1] != len(self.schema.columns):
            raise ValueError(f"expected rows of {len(self.schema.columns)} columns, got shape {values.shape}")
        if context is not None and len(context) != len(values):
            raise ValueError(f"expected a context for each of the {len(values)} rows, got {len(context)}")
        check_whole(self.schema.columns, values, "the rows")
        noisy = dequantised(self.schema.columns, values, generator)
        inside = ~outside(self.schema.columns, values)
        scores = np.full(len(values), -math.inf)
        given = None if context is None else context[inside]
        scores[inside] = self._in_chunks(noisy[inside], given)
        return scores

    def log_mass_bound(
        self, values: Block, context: Block | None = None, *, draws: int, generator: np.random.Generator
    ) -> Scores:
        r"""A lower bound, on average, of log P of the whole numbers (times the density of the other columns).

        .. math:: E \log \frac1K \sum_{k=1}^K p(x + u_k) \le \log P(x)

        Error: the gap closes as K grows, as 1 / K.    Cost: K times that of `log_prob`.
        Source: Burda et al. (2016), arXiv:1509.00519, with the noise of dequantisation as the latent variable.
        """
        if draws < 1:
            raise ValueError(f"expected at least 1 draw, got {draws}")
        total = np.full(len(values), -math.inf)
        for _ in range(draws):
            total = np.logaddexp(total, self.log_prob(values, context, generator=generator))
        return np.asarray(total - math.log(draws))

    def sample(self, rows: int, context: Block | None = None, *, generator: torch.Generator) -> Block:
        """New rows: whole numbers whole, every column inside its support.

        Args:
            rows: How many; with a context, how many for each of its rows.
            context: (N, M), if the model has one.
            generator: Of the draws.

        Returns:
            (rows, D), or (N rows, D), those of a context after each other.

        Raises:
            ValueError: a negative number of rows, or a context that does not fit.
        """
        if rows < 0:
            raise ValueError(f"expected 0 or more rows, got {rows}")
        if context is None:
            drawn = [self.model.sample(n, generator=generator) for n in _sizes(rows, self._chunk)]
        else:
            repeated = self.tensor(np.repeat(context, rows, axis=0))
            drawn = [self.model.sample((), c, generator=generator) for c in repeated.split(self._chunk)]
        x = torch.cat(drawn) if drawn else torch.empty(0, self.model.features)
        return as_table(self.schema.columns, x.numpy())

    def save(self, path: str | os.PathLike[str]) -> None:
        """One file with everything; see `counterflow.save`."""
        save(path, self.model, metadata={**self.facts, _SCHEMA: self.schema.to_json()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TableModel":
        """Read it back. A model that was not fitted to a table has nameless columns without supports.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: truncated, foreign, not a density, or written by a newer version.
        """
        model, facts = load(path), dict(read_header(path).get("metadata") or {})
        if not isinstance(model, Model):
            raise CheckpointError(f"{path} holds a {type(model).__name__}, not a density")
        written = facts.pop(_SCHEMA, None)
        try:
            plain = plain_schema(model.features, _width(model), facts.get("columns")) if written is None else None
            schema = plain or Schema.from_json(written)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: what it says of its columns is damaged ({error})") from error
        told, there = (len(schema.columns), len(schema.context)), (model.features, _width(model))
        if told != there:
            raise CheckpointError(
                f"{path}: what it says of its columns is damaged ({told[0]} columns and {told[1]} of context; "
                f"the model has {there[0]} and {there[1]})"
            )
        return cls(model, schema, facts)

    def tensor(self, values: Block) -> Tensor:
        """Cells in the precision of the model."""
        dtype = next((t.dtype for t in self.model.state_dict().values() if t.is_floating_point()), torch.float32)
        return torch.from_numpy(np.array(values)).to(dtype)  # a copy: torch takes no arrays that are read-only

    @property
    def _chunk(self) -> int:
        return chunk_rows(self.model.features + _width(self.model))

    def _in_chunks(self, values: Block, context: Block | None) -> Scores:
        x, c = self.tensor(values), None if context is None else self.tensor(context)
        scores: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, len(x), self._chunk):
                part = slice(start, start + self._chunk)
                given = () if c is None else (c[part],)
                scores.append(self.model.log_prob(x[part], *given))
        return torch.cat(scores).double().numpy() if scores else np.empty(0)


def _width(model: Model) -> int:
    """Of the context, as the user gives it."""
    encoder = model.context_encoder
    return len(encoder.loc) if isinstance(encoder, ContextUnits) else model.context_features


def _sizes(rows: int, chunk: int) -> list[int]:
    return [min(chunk, rows - start) for start in range(0, rows, chunk)]
