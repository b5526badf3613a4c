"""Context columns in numbers of order one: which locations, scales and logarithms suit the training rows."""

import numpy as np

from ..conditioners import ContextUnits
from ..tables.source import Block

DECADES = 2.0  # a positive column whose largest number is so far above most others is taken by its logarithm
MOST = 0.95  # of the rows: a few that happen to be next to zero make no decades


def context_units(rows: Block, others: Block | None = None) -> ContextUnits:
    """Of training rows (rows, M). A constant column becomes zero.

    Args:
        rows: Training rows.
        others: Rows that have to pass as well: a column that is not positive there is not taken by its logarithm.
    """
    everywhere = rows if others is None else np.concatenate([rows, others])
    positive = (everywhere > 0).all(axis=0)
    low, high = rows.min(axis=0), rows.max(axis=0)
    most = np.quantile(rows, 1 - MOST, axis=0, method="inverted_cdf")
    log = positive & (np.log10(np.where(positive, high, 1.0)) - np.log10(np.where(positive, most, 1.0)) > DECADES)
    rows = np.where(log, np.log(np.where(log, rows, 1.0)), rows)
    # The mean of equal numbers may differ from them in the last digit, and their deviation from zero.
    constant = low == high
    loc, scale = np.where(constant, low, rows.mean(axis=0)), np.where(constant, 1.0, rows.std(axis=0))
    return ContextUnits(loc.tolist(), scale.tolist(), log.tolist())
