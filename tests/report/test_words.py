"""A model in words: its layers from noise to data, and the cost of both directions."""

import pytest
import torch

import counterflow as cf
from counterflow.bases import StandardNormal
from counterflow.bijections import Chain, Elementwise, Standardise
from counterflow.flow import Flow
from counterflow.report import costs_in_words, costs_of, folded, layers_in_words
from counterflow.univariate import HalfLine, Interval, Line


def test_costs_are_those_of_the_two_directions() -> None:
    assert costs_of(cf.models.maf(7, layers=3, hidden=(8,))) == (3, 21)
    assert costs_of(cf.models.iaf(7, layers=3, hidden=(8,))) == (21, 3)
    assert costs_of(cf.models.realnvp(7, layers=4, hidden=(8,))) == (4, 4)
    assert costs_of(cf.models.made(7, hidden=(8,))) == (1, 7)


def test_the_dear_direction_is_said_of_the_right_one() -> None:
    scoring, sampling = costs_in_words(cf.models.iaf(7, layers=3, hidden=(8,)))
    assert scoring.startswith("Scoring: 21 small steps")
    assert sampling == "Sampling: 3 parallel network passes."


def test_layers_are_told_from_noise_to_data() -> None:
    torch.manual_seed(0)
    layers = layers_in_words(cf.models.maf(3, layers=2, hidden=(8, 9)))
    assert layers[0] == "noise: standard normal"
    assert layers[1] == layers[3]
    assert layers[1] == "masked autoregressive layer: affine map of each column given those before it, " + (
        "masked network of 8 + 9 units"
    )


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (["a", "b"], ["a", "b"]),
        (["z", "a", "a", "a", "y"], ["z", "3 times: a", "y"]),
        (["z", "a", "b", "a", "b", "a", "y"], ["z", "3 times (between them: b): a", "y"]),
        (["a", "b", "a", "c", "a"], ["2 times (between them: b): a", "c", "a"]),
        (["a", "b", "a", "b"], ["2 times (between them: b): a", "b"]),
        ([], []),
    ],
)
def test_repeated_layers_are_told_once(layers: list[str], told: list[str]) -> None:
    assert folded(layers) == told


def test_supports_are_told_with_the_units_as_one_layer() -> None:
    maps = (HalfLine(0.0, above=True), HalfLine(0.0, above=True), Interval(0.0, 1.0, 1e-6), Line())
    units = Standardise((0.0,) * 4, (1.0,) * 4)
    flow = Flow(StandardNormal(4), Chain([units, Elementwise(maps), units]))
    assert layers_in_words(flow)[1:] == [
        "the columns' own units, of 4 columns 2 bounded on one side, 1 between two ends"
    ]
