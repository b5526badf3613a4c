"""``fit``, the only optimisation loop, for any module and any loss."""

from .averaging import ExponentialAverage
from .fit import fit
from .guard import TrainingDiverged
from .history import History, Record
from .interrupt import TrainingInterrupted
from .objective import negative_log_likelihood
from .optimiser import adamw
from .rows import Rows
from .schedule import Constant, Plateau, Schedule, WarmupCosine

__all__ = [
    "Constant",
    "ExponentialAverage",
    "History",
    "Plateau",
    "Record",
    "Rows",
    "Schedule",
    "TrainingDiverged",
    "TrainingInterrupted",
    "WarmupCosine",
    "adamw",
    "fit",
    "negative_log_likelihood",
]
