"""Models of tables: columns with types, supports and contexts around a flow."""

from ..conditioners import ContextUnits
from .fitted import Fitted, Prepared, finish, prepare
from .fitting import Watch, fitting_batch
from .judging import HeldOut, held_out, scores
from .parts import Cells, Parts
from .presets import Preset
from .recipe import Recipe
from .table_model import TableModel

__all__ = [
    "TableModel",
    "Recipe",
    "Preset",
    "Cells",
    "Parts",
    "prepare",
    "Prepared",
    "finish",
    "Fitted",
    "Watch",
    "fitting_batch",
    "HeldOut",
    "held_out",
    "scores",
    "ContextUnits",
]
