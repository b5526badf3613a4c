"""Models of tables: columns with types, supports and contexts around a flow."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

# Imported when they are first asked for: the command line's help asks for the names of presets only.
_HOMES = (
    ("..conditioners", ("ContextUnits",)),
    (".fitted", ("Fitted", "Prepared", "finish", "prepare")),
    (".fitting", ("Watch", "fitting_batch")),
    (".judging", ("HeldOut", "held_out", "scores")),
    (".parts", ("Cells", "Parts")),
    (".presets", ("Preset",)),
    (".recipe", ("Recipe",)),
    (".table_model", ("TableModel",)),
)
_LAZY = {name: home for home, names in _HOMES for name in names}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LAZY[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
