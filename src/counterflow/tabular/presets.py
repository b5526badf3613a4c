"""The models that `fit --model` knows by name, each a call of counterflow.models."""

import enum
from collections.abc import Callable

from .. import models
from ..model import Model


class Preset(enum.StrEnum):
    """Names for people; in Python, call the function of that name."""

    RECOMMENDED = "recommended"
    MAF = "maf"
    NSF = "nsf"
    NSF_COUPLING = "nsf-coupling"
    REALNVP = "realnvp"
    NICE = "nice"
    MADE = "made"
    MADE_MOG = "made-mog"


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
