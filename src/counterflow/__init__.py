"""Counterflow: autoregressive flows that are fast in both directions."""

import importlib
from typing import TYPE_CHECKING, Any

from . import bases, bijections, conditioners, families, models, solvers, univariate
from .autoregressive import AutoregressiveModel, Ensemble
from .bases import Base
from .bijections import Autoregressive, Bijection, Chain, Coupling, Inverse
from .checkpoint import CheckpointError, load, read_header, save
from .conditioners import Conditioner, MaskedMLP
from .densities import AutoregressiveDensity, Conditionals, Density, Reparameterised, StepwiseSampler, detached
from .families import Family
from .flow import Flow, initialise_
from .model import Given, Model
from .objectives import forward_kl, reverse_kl, reverse_kl_path
from .one_order import as_autoregressive
from .solvers import Solver
from .spec import SpecError, register
from .training import ExponentialAverage, History, Rows, TrainingDiverged, TrainingInterrupted, fit
from .univariate import Univariate

if TYPE_CHECKING:
    from .estimator import ConditionalFlowDensity, FlowDensity
    from .tabular import TableModel

__version__ = "0.1.0.dev0"

__all__ = [
    # Fit, draw, score, keep.
    "models",
    "fit",
    "save",
    "load",
    "read_header",
    "CheckpointError",
    "Rows",
    "History",
    "ExponentialAverage",
    "TrainingInterrupted",
    "TrainingDiverged",
    # Tables.
    "FlowDensity",
    "ConditionalFlowDensity",
    "TableModel",
    # Densities.
    "Flow",
    "AutoregressiveModel",
    "Ensemble",
    "Given",
    "Model",
    "as_autoregressive",
    "detached",
    "initialise_",
    "forward_kl",
    "reverse_kl",
    "reverse_kl_path",
    # What a flow is made of.
    "bijections",
    "Bijection",
    "Autoregressive",
    "Coupling",
    "Inverse",
    "Chain",
    "univariate",
    "Univariate",
    "conditioners",
    "Conditioner",
    "MaskedMLP",
    "solvers",
    "Solver",
    "bases",
    "Base",
    "families",
    "Family",
    # Contracts, and classes of your own.
    "Density",
    "Reparameterised",
    "AutoregressiveDensity",
    "StepwiseSampler",
    "Conditionals",
    "register",
    "SpecError",
]

# Imported when they are first asked for: scikit-learn takes a second.
_LAZY = {"FlowDensity": ".estimator", "ConditionalFlowDensity": ".estimator", "TableModel": ".tabular"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
