"""From a preset's name to a new model: each a call of counterflow.models."""

from collections.abc import Callable

from .. import models
from ..model import Model
from .presets import Preset

MakeModel = Callable[[int, int], Model]  # (features, context_features)

_MAKERS: dict[Preset, MakeModel] = {
    Preset.RECOMMENDED: models.recommended,
    Preset.MAF: models.maf,
    Preset.NSF: models.nsf,
    Preset.NSF_COUPLING: models.nsf_coupling,
    Preset.REALNVP: models.realnvp,
    Preset.NICE: models.nice,
    Preset.MADE: models.made,
    Preset.MADE_MOG: models.made_mog,
}


def make_model(preset: Preset, features: int, context_features: int = 0) -> Model:
    """A new model of that many columns, given that many others."""
    return _MAKERS[preset](features, context_features)
