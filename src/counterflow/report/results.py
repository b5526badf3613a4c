"""What a report is made of: measured results and facts, as plain numbers and arrays, without any picture."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..diagnostics import Estimate
from .certified import Certified
from .document import Figure

Rows = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True)
class ColumnFacts:
    """One column of the table, in words and numbers.

    Attributes:
        name: Of the column.
        kind: What its cells are; `integer` and `boolean` are drawn as bars.
        unit: As the file says.
        support: In words.
        missing: Rows without a value.
        smallest, largest: Of the rows that were read; NaN: not known.
        role: `modelled`, `context`, `weight`.
    """

    name: str
    kind: str = "continuous"
    unit: str | None = None
    support: str = "any number"
    missing: int = 0
    smallest: float = math.nan
    largest: float = math.nan
    role: str = "modelled"

    @property
    def whole(self) -> bool:
        """Whether its cells are whole numbers."""
        return self.kind in ("integer", "boolean")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutLikelihood:
    """Log-likelihood of rows that training did not see, in nats per row.

    Attributes:
        rows_are: Which rows, in words: `test rows`.
        model: Of the model.
        gaussian: Of a fitted Gaussian; None: it could not be fitted.
        gain: Of the model minus that of the Gaussian, row by row.
        previous: Of the model to compare with.
        previous_gain: Of the model minus that of the previous one, row by row.
        previous_name: What to call it.
        note: What the density is of, where it is not that of the cells: dequantised integers, bounds.
    """

    rows_are: str
    model: Estimate
    gaussian: Estimate | None = None
    gain: Estimate | None = None
    previous: Estimate | None = None
    previous_gain: Estimate | None = None
    previous_name: str = "previous model"
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Curve:
    """Log-likelihood during a training, in nats per row.

    Attributes:
        name: Of the model.
        steps: Optimiser steps.
        training: Mean over the training rows since the step before.
        held_out: Of the validation rows, None where it was not measured.
        kept: The step whose weights the model has.
    """

    name: str
    steps: Sequence[int | float]
    training: Sequence[float]
    held_out: Sequence[float | None]
    kept: int | float | None = None


@dataclasses.dataclass(frozen=True)
class Training:
    """The training curves, this model first, and how the training ended, in words."""

    curves: Sequence[Curve]
    ended: str = ""


@dataclasses.dataclass(frozen=True)
class MarginalDistance:
    """How far the samples of one column are from its data.

    Attributes:
        value: The distance.
        control: That of as many other data from the data, on average.
        p_value: The chance of a larger distance if the laws are the same, corrected for the number of columns.
    """

    value: float
    control: float | None = None
    p_value: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Clouds:
    """Rows of data beside samples of the model, in the units of the user.

    Attributes:
        columns: D of them.
        data: (N, D).
        samples: (M, D).
        data_weights, sample_weights: One per row, None: all rows count the same.
        distances: One per column, None: not measured.
        distance_is: What the distance is, in words.
        data_are: Which rows, in words.
        note: What the reader should know: what the samples were given.
    """

    columns: Sequence[ColumnFacts]
    data: Rows
    samples: Rows
    data_weights: Rows | None = None
    sample_weights: Rows | None = None
    distances: Sequence[MarginalDistance] | None = None
    distance_is: str = "Kolmogorov-Smirnov distance"
    data_are: str = "held-out rows"
    note: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Uniform:
    """Numbers between 0 and 1 that are uniform if the model is right: a PIT, or ranks.

    Attributes:
        name: Of the coordinate.
        counts: Over equal bins.
        effective_rows: (sum w)^2 / sum w^2.
        distance: The largest gap between their distribution function and the diagonal.
        p_value: The chance of a larger gap, corrected for the number of coordinates.
    """

    name: str
    counts: Rows
    effective_rows: float
    distance: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How often regions that claim a probability hold what they should: achieved and error per nominal level."""

    nominal: Sequence[float]
    achieved: Sequence[float]
    errors: Sequence[float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """Whether the model's probabilities are true.

    Attributes:
        base: PIT in the base space, one per coordinate of the noise.
        coordinates: PIT of each column given those before it, or alone.
        coverage: Of highest-density regions.
        ranks: Of simulation-based calibration, for conditional models.
        tarp: Of random regions (TARP), for conditional models.
        rows_are: Which rows, in words.
    """

    base: Sequence[Uniform] = ()
    coordinates: Sequence[Uniform] = ()
    coverage: Coverage | None = None
    ranks: Sequence[Uniform] = ()
    tarp: Coverage | None = None
    rows_are: str = "held-out rows"


@dataclasses.dataclass(frozen=True)
class TwoSample:
    """A classifier that tries to tell samples from data, beside the same one on data against data."""

    auc: Estimate
    accuracy: Estimate
    control_auc: Estimate
    control_accuracy: Estimate
    classifier: str = "a classifier"


@dataclasses.dataclass(frozen=True, eq=False)
class Memorisation:
    """How near to the training rows samples are, beside how near held-out rows are.

    Attributes:
        samples: Distance of each sample to its nearest training row.
        held_out: The same of held-out rows.
        share: Of the samples, that lie nearer than the held-out rows do.
        expected: That share for a model that does not copy.
        share_is: What the samples of that share do, in words.
        distance_is: The distance, in words.
    """

    samples: Rows
    held_out: Rows
    share: Estimate
    expected: float
    share_is: str = "of the samples lie nearer to a training row than 95 % of the held-out rows do"
    distance_is: str = "distance to the nearest training row, in standard deviations"


@dataclasses.dataclass(frozen=True)
class Timing:
    """One direction: what it does, what it costs in network evaluations, and how long it took."""

    direction: str
    work: str
    rows: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Timings:
    """What each direction costs on this machine."""

    machine: str
    timings: Sequence[Timing]


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """The model in words: its layers from noise to data, sentences about it, and facts such as recipe and versions."""

    layers: Sequence[str] = ()
    sentences: Sequence[str] = ()
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """The data in words: facts such as file, rows and split, and one line per column."""

    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    columns: Sequence[ColumnFacts] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All that one page shows. What is None or empty was not measured, and has no place on the page.

    Attributes:
        title: Of the page.
        command: What reproduces the model, or this page.
        subtitle: One line below the title: which data, which model, when.
        warnings: What was said when the model was made.
        missing: Sentences about what could not be measured, and why.
        images: Rows of data and of samples as pictures.
        certificate: Of a student beside its teacher.
    """

    title: str
    command: str
    subtitle: str = ""
    warnings: Sequence[str] = ()
    missing: Sequence[str] = ()
    likelihood: HeldOutLikelihood | None = None
    images: Sequence[Figure] = ()
    certificate: Certified | None = None
    clouds: Clouds | None = None
    calibration: Calibration | None = None
    two_sample: TwoSample | None = None
    memorisation: Memorisation | None = None
    training: Training | None = None
    timings: Timings | None = None
    model: ModelFacts | None = None
    data: DataFacts | None = None
