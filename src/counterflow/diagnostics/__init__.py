"""Diagnostics: whether a fitted density is right, in numbers, each with its N and its error or p-value."""

from .calibration import ExpectedCoverage, RankCalibration, simulation_based_calibration, tarp
from .coverage import Coverage, coverage
from .density_ranks import DensityRanks, density_ranks, density_ranks_among
from .dependence import Dependence
from .distances import MarginalDistances, marginal_distances
from .likelihood import (
    Comparison,
    Estimate,
    FittedGaussian,
    chunk_rows,
    compare,
    compare_scores,
    estimate,
    log_prob_in_chunks,
)
from .memorisation import Memorisation, memorisation
from .outliers import FlagThreshold, Typicality, flag_threshold, typicality
from .pit import BaseSpacePit, CoordinatePit, base_space_cdf, base_space_pit, conditional_pit, marginal_pit
from .running import RunningMean
from .two_sample import Separation, TwoSample, conditional_two_sample_test, two_sample_test
from .uniformity import Uniformity, uniformity

__all__ = [
    # The held-out log-likelihood.
    "Estimate",
    "estimate",
    "FittedGaussian",
    "Comparison",
    "compare",
    "compare_scores",
    "log_prob_in_chunks",
    "chunk_rows",
    "RunningMean",
    # Calibration: where rows stand among what the model expects.
    "BaseSpacePit",
    "base_space_pit",
    "base_space_cdf",
    "CoordinatePit",
    "marginal_pit",
    "conditional_pit",
    "DensityRanks",
    "density_ranks",
    "density_ranks_among",
    "Coverage",
    "coverage",
    "RankCalibration",
    "simulation_based_calibration",
    "ExpectedCoverage",
    "tarp",
    "Uniformity",
    "uniformity",
    "Dependence",
    # Samples beside data.
    "TwoSample",
    "Separation",
    "two_sample_test",
    "conditional_two_sample_test",
    "MarginalDistances",
    "marginal_distances",
    "Memorisation",
    "memorisation",
    # Single rows.
    "Typicality",
    "typicality",
    "FlagThreshold",
    "flag_threshold",
]
