"""`FlowDensity`: a flow as a scikit-learn density estimator."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ..tables.schema import Schema
from ..tabular import Cells, TableModel
from .frames import columns_of, framed, look_of
from .keeping import kept, restored
from .settings import Support, declared_of, fitted_cells, recipe_of, seed_of, warn_of, weighted_mean

Array = npt.NDArray[np.float64]


class FlowDensity(DensityMixin, BaseEstimator):  # type: ignore[misc]
    r"""p(x) of a table's rows, by maximum likelihood.

    Columns are standardised inside. With `detect` whole numbers are dequantised (k + u) and supports respected, so that
    samples have the types and never leave the ranges of the data.

    Args:
        model: None for the recommended preset, the name of a preset (`maf`, `nsf`, ...), or a function
            (features, context_features) -> Model, e.g. `functools.partial(counterflow.models.maf, layers=3)`.
        epochs, steps: Passes over the rows at most, or optimiser steps; None: 200 times what
            `patience` counts, at most 20,000 steps.
        batch_size: Rows per step; None: a 25th of the training rows, at least 64 and at most 256.
        learning_rate: Of AdamW.
        validation: Share of the rows that decides when to stop; 0: run to the last step.
        patience: Stop after this many validations without a better one: one after each epoch, or every 25 steps where
            an epoch has fewer.
        detect: Tell supports and whole numbers from the rows. Off, every column is any number unless declared.
        support: {column: (low, high)} by name or position; None for an end that there is not.
        integer: Columns of whole numbers, by name or position.
        random_state: Of the split, the starting weights and the batches.

    Attributes:
        model_: The fitted `TableModel`; `model_.model` is the flow.
        history_: Of the training; an estimator that was loaded has none.
        n_features_in_, feature_names_in_: As in scikit-learn.

    Source: Papamakarios et al. (2017), arXiv:1705.07057; Durkan et al. (2019), arXiv:1906.04032, for the preset.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 3e-3,
        validation: float = 0.1,
        patience: int = 20,
        detect: bool = True,
        support: Support | None = None,
        integer: Sequence[Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.patience = patience
        self.detect = detect
        self.support = support
        self.integer = integer
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "FlowDensity":
        """Fit to rows.

        Args:
            X: (rows, columns): an array, or a frame of pandas or polars.
            y: Ignored.
            sample_weight: How much each row counts, (rows,).

        Raises:
            ValueError: data that no density fits (one row, a constant or dependent column, NaN), in words.

        Warns: of a column that looks like an identifier, or has the same value in many rows.
        """
        values = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        look = look_of(X, values.shape[1])
        names = list(getattr(self, "feature_names_in_", [f"x{i}" for i in range(values.shape[1])]))
        recipe, make = recipe_of(self, seed_of(self.random_state))
        declared = declared_of(names, self.support, self.integer)
        columns, doubts = columns_of(values, names, look.types, declared, detect=self.detect)
        warn_of(doubts)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        schema = Schema(columns, named=hasattr(self, "feature_names_in_"))
        fitted = fitted_cells(Cells(values, None, weight), schema, recipe, make)
        self.model_, self.history_, self._look = fitted.model, fitted.history, look
        return self

    def score_samples(self, X: Any) -> Array:
        """log p(x) of every row in nats, (rows,); -inf outside the support of a column.

        Where columns hold whole numbers k, p is the density of k + u, u uniform in [0, 1), in the middle of the cell.
        """
        return self.model_.log_prob(self._rows(X))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean of `score_samples`, by which a grid search chooses."""
        scores = self.score_samples(X)
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, X, dtype=np.float64)
        return weighted_mean(scores, weight)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """New rows, as X was: an array, or a frame with its names and types.

        Args:
            n_samples: How many, at least 1.
            random_state: None draws from the estimator's own.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(f"expected n_samples of at least 1, got {n_samples}")
        seed = seed_of(self.random_state if random_state is None else random_state)
        block = self.model_.sample(n_samples, generator=torch.Generator().manual_seed(seed))
        return framed(block, self.model_.schema.columns, self._look)

    def save(self, path: str | os.PathLike[str]) -> None:
        """One safetensors file, which the command line reads too; never a pickle."""
        check_is_fitted(self)
        kept(self).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FlowDensity":
        """Read what `save` or `counterflow fit` wrote.

        Raises:
            CheckpointError, ValueError: not such a file, or one of a conditional density.
        """
        return restored(cls, TableModel.load(path), path)

    def _rows(self, X: Any) -> Array:
        check_is_fitted(self)
        values: Array = validate_data(self, X, dtype=np.float64, reset=False)
        return values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags
