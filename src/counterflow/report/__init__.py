"""What a model is and how well it does, for people: words, pictures, one page."""

from .pictures import corner_plot, image_grid, save_images_beside, training_curve
from .summary import Likelihood, Picture, Summary, render
from .words import Costs, costs_in_words, costs_of, folded, layers_in_words

__all__ = [
    "Summary",
    "Likelihood",
    "Picture",
    "render",
    "training_curve",
    "corner_plot",
    "image_grid",
    "save_images_beside",
    "layers_in_words",
    "folded",
    "costs_in_words",
    "costs_of",
    "Costs",
]
