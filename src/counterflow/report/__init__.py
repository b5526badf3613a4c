"""What a model is and how well it does, for people: words, pictures, one page."""

from .certified import Certified, Corrected
from .document import Figure, Finding, NumberTable, Section, Status
from .pictures import image_grid, save_images_beside
from .rendering import render, sections_of
from .results import (
    Calibration,
    Clouds,
    ColumnFacts,
    Coverage,
    Curve,
    DataFacts,
    HeldOutLikelihood,
    MarginalDistance,
    Memorisation,
    ModelFacts,
    Report,
    Timing,
    Timings,
    Training,
    TwoSample,
    Uniform,
)
from .verdict import findings, in_one_sentence
from .words import Costs, costs_in_words, costs_of, folded, layers_in_words

__all__ = [
    "Report",
    "render",
    "findings",
    "in_one_sentence",
    "Finding",
    "Status",
    "HeldOutLikelihood",
    "Clouds",
    "ColumnFacts",
    "MarginalDistance",
    "Calibration",
    "Uniform",
    "Coverage",
    "TwoSample",
    "Memorisation",
    "Certified",
    "Corrected",
    "Training",
    "Curve",
    "Timings",
    "Timing",
    "ModelFacts",
    "DataFacts",
    "Figure",
    "NumberTable",
    "Section",
    "sections_of",
    "image_grid",
    "save_images_beside",
    "layers_in_words",
    "folded",
    "costs_in_words",
    "costs_of",
    "Costs",
]
