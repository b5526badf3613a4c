"""Counterflow: autoregressive flows that are fast in both directions."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import bases, bijections, conditioners, families, models, solvers, univariate
    from .autoregressive import AutoregressiveModel, Ensemble
    from .bases import Base
    from .bijections import Autoregressive, Bijection, Chain, Coupling, Inverse
    from .checkpoint import CheckpointError, load, read_header, save
    from .conditioners import Conditioner, MaskedMLP
    from .densities import AutoregressiveDensity, Conditionals, Density, Reparameterised, StepwiseSampler, detached
    from .distillation import distil
    from .estimator import ConditionalFlowDensity, FlowDensity
    from .exporting import export_onnx, export_program, export_torch
    from .families import Family
    from .flow import Flow, initialise_
    from .model import Given, Model
    from .objectives import forward_kl, reverse_kl, reverse_kl_path
    from .one_order import as_autoregressive
    from .solvers import Solver
    from .spec import SpecError, register
    from .tabular import TableModel
    from .training import ExponentialAverage, History, Rows, TrainingDiverged, TrainingInterrupted, fit
    from .univariate import Univariate

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
    # A fast student of a slow teacher, and samplers without Python.
    "distil",
    "export_onnx",
    "export_torch",
    "export_program",
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

# Imported when they are first asked for: torch takes a second, and `counterflow --help` does without it.
_PACKAGES = ("bases", "bijections", "conditioners", "families", "models", "solvers", "univariate")
_HOMES = (
    (".autoregressive", ("AutoregressiveModel", "Ensemble")),
    (".bases", ("Base",)),
    (".bijections", ("Autoregressive", "Bijection", "Chain", "Coupling", "Inverse")),
    (".checkpoint", ("CheckpointError", "load", "read_header", "save")),
    (".conditioners", ("Conditioner", "MaskedMLP")),
    (
        ".densities",
        ("AutoregressiveDensity", "Conditionals", "Density", "Reparameterised", "StepwiseSampler", "detached"),
    ),
    (".distillation", ("distil",)),
    (".estimator", ("ConditionalFlowDensity", "FlowDensity")),
    (".exporting", ("export_onnx", "export_program", "export_torch")),
    (".families", ("Family",)),
    (".flow", ("Flow", "initialise_")),
    (".model", ("Given", "Model")),
    (".objectives", ("forward_kl", "reverse_kl", "reverse_kl_path")),
    (".one_order", ("as_autoregressive",)),
    (".solvers", ("Solver",)),
    (".spec", ("SpecError", "register")),
    (".tabular", ("TableModel",)),
    (".training", ("ExponentialAverage", "History", "Rows", "TrainingDiverged", "TrainingInterrupted", "fit")),
    (".univariate", ("Univariate",)),
)
_LAZY = {name: home for home, names in _HOMES for name in names}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(importlib.import_module(_LAZY[name], __name__), name)
    elif name in _PACKAGES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_PACKAGES})
