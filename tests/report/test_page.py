"""The one-page summary: complete, self-contained, and honest about what it does not know."""

import html.parser
import re

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.diagnostics import Comparison, Estimate
from counterflow.report import (
    Likelihood,
    Picture,
    Summary,
    corner_plot,
    costs_in_words,
    costs_of,
    folded,
    image_grid,
    layers_in_words,
    render,
    training_curve,
)

ROWS = np.random.default_rng(0).normal(size=(40, 3))


def likelihood(gain: float, error: float) -> Likelihood:
    against = Comparison(Estimate(-1.0, 0.1, 50), Estimate(-1.0 - gain, 0.1, 50), Estimate(gain, error, 50))
    return Likelihood(against.model, against, "test rows")


def summary(score: Likelihood | None = None, name: str = "x.csv") -> Summary:
    curve = training_curve([1.0, 2.0, 3.0], [-5.0, -3.0, -2.5], [-5.0, -3.1, None])
    return Summary(
        title=f"A flow of {name}",
        likelihood=score,
        beside=[
            Picture(corner_plot(ROWS, ROWS[:9], ["a", "b", "c <d>"]), "rows and samples"),
            Picture(image_grid(ROWS, (1, 3), 5, (-3.0, 3.0)), "rows as images"),
        ],
        curve=Picture(curve, "kept"),
        layers=["noise", "map"],
        costs=["Scoring: 1", "Sampling: 2"],
        facts={"Data": name},
        command=f"counterflow fit {name}",
    )


class Balance(html.parser.HTMLParser):
    """Counts elements that are open, and collects every address the page mentions."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    return parser


def test_every_element_is_closed() -> None:
    assert read(render(summary(likelihood(2.0, 0.1)))).open == []


def test_nothing_is_fetched_from_anywhere() -> None:
    page = render(summary(likelihood(2.0, 0.1)))
    addresses = read(page).addresses
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "<script" not in page


def test_names_from_the_data_are_text_never_markup() -> None:
    page = render(summary(likelihood(2.0, 0.1), name="<b>x&y</b>.csv"))
    assert "<b>" not in page
    assert "&lt;b&gt;x&amp;y&lt;/b&gt;.csv" in page
    assert "c &lt;d&gt;" in page


def test_pictures_take_the_page_s_text_colour() -> None:
    page = render(summary())
    assert "currentColor" in page
    assert "#010203" not in page


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (likelihood(2.0, 0.1), "better than a Gaussian, by 2.00"),
        (likelihood(-2.0, 0.1), "worse than a Gaussian on rows that it has not seen, by 2.00"),
        (likelihood(0.1, 0.1), "cannot be told apart"),
        (Likelihood(Estimate(-1.0, 0.1, 5), None, "test rows"), "too few rows to fit a Gaussian"),
        (None, "No rows were held out"),
    ],
)
def test_the_verdict_is_what_two_standard_errors_allow(score: Likelihood | None, words: str) -> None:
    assert words in render(summary(score))


def test_pictures_are_the_same_each_time() -> None:
    assert corner_plot(ROWS, ROWS, ["a", "b", "c"]) == corner_plot(ROWS, ROWS, ["a", "b", "c"])


def test_a_pixel_of_an_image_grid_is_a_number_of_the_row() -> None:
    from io import BytesIO

    from matplotlib.image import imread

    grid = imread(BytesIO(image_grid(np.array([[0.0, 1.0, 0.5, 9.0]]), (2, 2), 3, (0.0, 1.0))))[..., 0]
    assert grid.shape == (4, 10)  # paper around and between three places, of which one is filled
    np.testing.assert_allclose(grid[1:3, 1:3], [[1.0, 0.0], [0.5, 0.0]], atol=0.01)


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
