"""Memorisation in one share: of samples that lie near to training rows, or that equal them where new rows do, too."""

import math

import numpy as np
import numpy.typing as npt

from ..diagnostics import Estimate, Memorisation
from . import results

Numbers = npt.NDArray[np.floating]


def memorised(found: Memorisation, *, weight: Numbers | None, sample_weight: Numbers | None) -> results.Memorisation:
    """The share of its first quantile, or of copies if so many held-out rows equal a training row.

    Args:
        found: The distances.
        weight: Of the held-out rows.
        sample_weight: Of the samples.
    """
    if found.distance[0] == 0:
        return _copies(found, weight, sample_weight)
    share = Estimate(float(found.share_nearer[0]), float(found.share_error[0]), found.samples)
    expected = float(found.quantile[0])
    return results.Memorisation(found.sample_distance, found.held_out_distance, share, expected=expected)


def _copies(found: Memorisation, weight: Numbers | None, sample_weight: Numbers | None) -> results.Memorisation:
    """How many samples equal a training row in every cell, beside how many held-out rows do."""
    shares, rows = [], []
    for distance, given in ((found.sample_distance, sample_weight), (found.held_out_distance, weight)):
        w = np.ones(len(distance)) if given is None else given
        shares.append(float(w @ (distance == 0) / w.sum()))
        rows.append(float(w.sum() ** 2 / (w @ w)))
    share, expected = shares
    error = math.sqrt(expected * (1 - expected) * (1 / rows[0] + 1 / rows[1]))
    return results.Memorisation(
        found.sample_distance,
        found.held_out_distance,
        Estimate(share, error, found.samples),
        expected=expected,
        share_is="of the samples equal a training row in every cell",
    )
