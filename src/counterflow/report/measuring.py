"""Measure a fitted model on held-out rows: all that a report shows, or the reason why a part of it is missing."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import diagnostics
from ..diagnostics import Estimate
from ..tables.encoding import dequantised
from ..tables.source import Block
from ..tabular import Cells, TableModel
from ..tabular.judging import GaussianGiven
from ..tabular.parts import as_rows
from . import results
from .certified import Certified
from .certifying import certified_student
from .memorised import memorised

CALIBRATION_DRAWS = 100  # for each row, of a conditional model
UNCONDITIONAL_DRAWS = 5000
LEVELS = tuple(k / 20 for k in range(1, 20))  # of highest-density regions
TRAINING_ROWS = 20_000  # at most, among which nearest neighbours are sought

R = TypeVar("R")
Numbers = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, eq=False)
class Judged:
    """What a model is judged on.

    Attributes:
        held_out: Rows that it has not learnt from, in the columns of its schema.
        training: Rows that it has learnt from; None: not known.
        rows_are: What the held-out rows are, in words.
        noisy: The held-out rows with noise on whole numbers, as `fit` scored them; None: noise is drawn here.
    """

    held_out: Cells
    training: Cells | None
    rows_are: str
    noisy: Block | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> "Judged":
        """Some of the held-out rows."""
        noisy = None if self.noisy is None else self.noisy[rows]
        return dataclasses.replace(self, held_out=self.held_out.take(rows), noisy=noisy)


class Measurement:
    """One run over the parts, with what they share: samples, noise, random streams.

    Args:
        model: The fitted model.
        judged: Its rows.
        previous: Another model of the same columns, and its name.
        teacher: The one that the model is a student of, and its name.
        seed: Of everything random.
    """

    def __init__(
        self,
        model: TableModel,
        judged: Judged,
        previous: tuple[TableModel, str] | None = None,
        teacher: tuple[TableModel, str] | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self._model, self._judged, self._previous, self._seed = model, judged, previous, seed
        self._teacher = teacher
        self._missing: list[str] = []
        cells = judged.held_out
        drawn = np.random.default_rng([seed, 3])
        self._noisy = dequantised(model.schema.columns, cells.values, drawn) if judged.noisy is None else judged.noisy
        self._x = model.tensor(self._noisy)
        self._context = None if cells.context is None else model.tensor(cells.context)
        count = 1 if cells.context is not None else max(len(cells.values), 1000)
        self._samples: Block = model.sample(count, cells.context, generator=self._stream(1))

    def parts(self) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Every part by the name of its field, to be measured one after the other."""
        yield "likelihood", lambda: self._try("The held-out log-likelihood", self._likelihood)
        if self._teacher is not None:
            yield "certificate", lambda: self._try("The certificate", self._certificate)
        yield "clouds", lambda: self._clouds()
        yield "calibration", lambda: self._calibration()
        yield "two_sample", lambda: self._try("The two-sample test", self._two_sample)
        yield "memorisation", lambda: self._try("The memorisation check", self._memorisation)

    @property
    def missing(self) -> tuple[str, ...]:
        """Sentences about parts that could not be measured."""
        return tuple(self._missing)

    def _likelihood(self) -> results.HeldOutLikelihood:
        cells, weight = self._judged.held_out, _tensor(self._judged.held_out.weight)
        ours = self._scores(self._model)
        rows = as_rows(dataclasses.replace(cells, values=self._noisy))
        gaussian = gain = None
        if self._judged.training is not None:
            noise = np.random.default_rng([self._seed, 4])
            seen = self._judged.training
            seen = dataclasses.replace(seen, values=dequantised(self._model.schema.columns, seen.values, noise))
            theirs = self._try("The fitted Gaussian", lambda: GaussianGiven(as_rows(seen)).log_prob(rows))
            if theirs is not None:
                gaussian, gain = (diagnostics.estimate(v, weight) for v in (theirs, ours - theirs))
        previous: dict[str, Any] = {}
        if self._previous is not None:
            before = self._scores(self._previous[0])
            previous = {
                "previous": diagnostics.estimate(before, weight),
                "previous_gain": diagnostics.estimate(ours - before, weight),
                "previous_name": self._previous[1],
            }
        return results.HeldOutLikelihood(
            rows_are=self._judged.rows_are,
            model=diagnostics.estimate(ours, weight),
            gaussian=gaussian,
            gain=gain,
            note=_whole_note(self._model),
            **previous,
        )

    def _certificate(self) -> Certified:
        assert self._teacher is not None
        return certified_student(self._model, *self._teacher, self._judged.held_out.context, seed=self._seed)

    def _scores(self, model: TableModel) -> Tensor:
        x, context = model.tensor(self._noisy), self._judged.held_out.context
        given = None if context is None else model.tensor(context)
        return diagnostics.log_prob_in_chunks(model.model, x, given).double()

    def _clouds(self) -> results.Clouds:
        cells = self._judged.held_out
        weights = cells.weight if cells.context is not None else None  # a draw counts as its context does
        found = self._try(
            "The marginal distances",
            lambda: diagnostics.marginal_distances(
                cells.values, self._samples, weight=cells.weight, sample_weight=weights, generator=self._stream(2)
            ),
        )
        distances = None
        if found is not None:
            numbers = zip(found.kolmogorov, found.kolmogorov_expected, found.adjusted_p_value, strict=True)
            distances = [results.MarginalDistance(*map(float, one)) for one in numbers]
        return results.Clouds(
            columns=column_facts(self._model)[: len(self._model.schema.columns)],
            data=cells.values,
            samples=self._samples,
            data_weights=cells.weight,
            sample_weights=weights,
            distances=distances,
            data_are=self._judged.rows_are,
            note="" if cells.context is None else "Each sample was drawn given the context of one of these rows.",
        )

    def _calibration(self) -> results.Calibration:
        cells, model = self._judged.held_out, self._model.model
        weight, names = cells.weight, self._model.schema.names
        base = self._try(
            "The base-space PIT",
            lambda: diagnostics.base_space_pit(model, self._x, self._context, weight=weight, generator=self._stream(3)),
        )
        coordinates = self._try("The PIT of the columns", self._coordinates)
        draws = UNCONDITIONAL_DRAWS if cells.context is None else CALIBRATION_DRAWS
        covered = self._try(
            "The coverage of highest-density regions",
            lambda: diagnostics.coverage(
                diagnostics.density_ranks(model, self._x, self._context, draws=draws, generator=self._stream(4)),
                levels=LEVELS,
                weight=weight,
            ),
        )
        ranks = area = None
        if cells.context is not None:
            posterior: Any = model
            ranks = self._try(
                "Simulation-based calibration",
                lambda: diagnostics.simulation_based_calibration(
                    posterior, self._x, self._context, weight=weight, generator=self._stream(5)
                ),
            )
            area = self._try(
                "TARP",
                lambda: diagnostics.tarp(posterior, self._x, self._context, weight=weight, generator=self._stream(6)),
            )
        noise = [f"noise {i + 1}" for i in range(len(names))]
        return results.Calibration(
            base=() if base is None else _uniforms(base.uniformity, noise),
            coordinates=() if coordinates is None else _uniforms(coordinates.uniformity, names),
            coverage=None if covered is None else _curve(covered),
            ranks=() if ranks is None else _uniforms(ranks.uniformity, names),
            tarp=None if area is None else _curve(area),
            rows_are=self._judged.rows_are,
        )

    def _coordinates(self) -> diagnostics.CoordinatePit:
        cells = self._judged.held_out
        if self._context is None:
            return diagnostics.marginal_pit(cells.values, self._samples, weight=cells.weight, generator=self._stream(7))
        return diagnostics.conditional_pit(
            self._model.model, self._x, self._context, weight=cells.weight, generator=self._stream(7)
        )

    def _two_sample(self) -> results.TwoSample:
        cells = self._judged.held_out
        if cells.context is None:
            found = diagnostics.two_sample_test(
                cells.values, self._samples, weight=cells.weight, generator=self._stream(8)
            )
        else:
            found = diagnostics.conditional_two_sample_test(
                cells.values, self._samples, cells.context, weight=cells.weight, generator=self._stream(8)
            )
        ours, control = found.samples, found.control
        return results.TwoSample(
            Estimate(ours.auc, ours.auc_error, sum(ours.rows)),
            Estimate(ours.accuracy, ours.accuracy_error, sum(ours.rows)),
            Estimate(control.auc, control.auc_error, sum(control.rows)),
            Estimate(control.accuracy, control.accuracy_error, sum(control.rows)),
            classifier="gradient-boosted trees (scikit-learn)",
        )

    def _memorisation(self) -> results.Memorisation | None:
        training = self._judged.training
        if training is None:
            return None
        cells = self._judged.held_out
        weights = cells.weight if cells.context is not None else None
        seen = training.values[:TRAINING_ROWS]
        found = diagnostics.memorisation(
            self._samples, seen, cells.values, weight=cells.weight, sample_weight=weights, quantiles=(0.05, 0.25, 0.5)
        )
        return memorised(found, weight=cells.weight, sample_weight=weights)

    def _try(self, what: str, measure: Callable[[], R]) -> R | None:
        """A part, or None with the reason among `missing`."""
        try:
            return measure()
        except (TypeError, ValueError) as error:
            self._missing.append(f"{what} is not here: {error}.")
            return None

    def _stream(self, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._seed * 1000 + number)


def column_facts(model: TableModel, missing: int = 0) -> list[results.ColumnFacts]:
    """The columns of a schema, in words: those modelled, the context, the weight."""
    schema = model.schema
    facts = []
    for role, columns in (("modelled", schema.columns), ("context", schema.context)):
        for c in columns:
            support = c.support_in_words() if role == "modelled" else "given"
            facts.append(
                results.ColumnFacts(c.name, c.kind.value, c.unit, support, missing, c.smallest, c.largest, role)
            )
    if schema.weight is not None:
        facts.append(results.ColumnFacts(schema.weight, support="any number of positive sum", role="weight"))
    return facts


def _uniforms(found: diagnostics.Uniformity, names: Any) -> list[results.Uniform]:
    numbers = zip(names, found.counts, found.statistic, found.adjusted_p_value, strict=True)
    return [results.Uniform(n, c, found.effective_rows, float(s), float(p)) for n, c, s, p in numbers]


def _curve(found: diagnostics.Coverage | diagnostics.ExpectedCoverage) -> results.Coverage:
    return results.Coverage(found.level.tolist(), found.coverage.tolist(), found.standard_error.tolist())


def _whole_note(model: TableModel) -> str:
    whole = [column.name for column in model.schema.columns if column.whole]
    if not whole:
        return ""
    names = ", ".join(whole[:5]) + (", ..." if len(whole) > 5 else "")
    return (
        f"Whole numbers k ({names}) are scored by the density of k + u, u uniform in [0, 1): "
        "its mean is a lower bound of that of log P."
    )


def _tensor(weight: npt.NDArray[np.float64] | None) -> Tensor | None:
    return None if weight is None else torch.from_numpy(weight)
