"""The page: complete, self-contained, legible in any light, and deaf to markup in the user's file."""

import dataclasses
import html.parser
import itertools
import re
from importlib import resources

import numpy as np
import pytest

from counterflow.diagnostics import Estimate
from counterflow.report import Clouds, ColumnFacts, DataFacts, Figure, MarginalDistance, Report, image_grid, render
from report.examples import conditional_report, full_report

VOID = ("meta", "img", "br")
EVIL = "</svg><script>alert('x')</script>\"&<b>\x00\u202e $x^{ 漢"


class Reader(html.parser.HTMLParser):
    """Elements that are open, headings, identifiers and addresses, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} is there twice"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for _, attrs in self.tags for name, value in attrs.items() if name in names]


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


@pytest.fixture(scope="module")
def page() -> str:
    return render(full_report(600))


@pytest.fixture(scope="module")
def conditional() -> str:
    return render(conditional_report())


def test_every_element_is_closed(page: str, conditional: str) -> None:
    assert read(page).open == read(conditional).open == []


def test_no_identifier_is_there_twice_and_each_reference_has_its_target(page: str) -> None:
    reader = read(page)
    names = reader.values("id")
    assert len(names) == len(set(names)) > 50
    styles = " ".join(reader.values("clip-path"))
    wanted = [v for v in reader.values("href") if v.startswith("#")] + re.findall(r"url\((#[^)]+)\)", styles)
    wanted += [f"#{name}" for name in reader.values("aria-labelledby")]
    assert len(wanted) > 50
    assert {name[1:] for name in wanted} <= set(names)


def test_nothing_is_fetched_and_nothing_runs(page: str, conditional: str) -> None:
    for text in (page, conditional):
        addresses = read(text).values("src", "href", "xlink:href", "action", "srcset", "data")
        assert addresses
        assert all(address.startswith(("data:image/png;base64,", "#")) for address in addresses)
        assert not re.search(r"https?:|@import|url\((?!#)|<script|<link|<iframe", text)
        assert not [name for _, attrs in read(text).tags for name in attrs if name.startswith("on")]


def test_headings_descend_one_level_at_a_time_from_a_single_title(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in read(page).tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_picture_says_what_it_shows(page: str) -> None:
    pictures = [(tag, attrs) for tag, attrs in read(page).tags if tag in ("svg", "img")]
    assert len(pictures) > 20
    for tag, attrs in pictures:
        assert len(attrs["aria-label" if tag == "svg" else "alt"]) > 10
    assert all(attrs["role"] == "img" for tag, attrs in pictures if tag == "svg")


def test_the_page_is_in_a_language_and_fits_a_phone(page: str) -> None:
    tags = read(page).tags
    assert ("html", {"lang": "en"}) in tags
    assert any(attrs.get("content") == "width=device-width, initial-scale=1" for _, attrs in tags)
    inside = re.findall(r'<div class="scroll"[^>]*>\s*<(\w+)', page)
    assert inside.count("table") == page.count("<table")  # what is wide scrolls inside itself


ANCHORS = {
    "likelihood": ("likelihood",),
    "images": ("images",),
    "clouds": ("pairs", "marginals"),
    "calibration": ("calibration",),
    "two_sample": ("two-sample",),
    "memorisation": ("memorisation",),
    "training": ("training",),
    "timings": ("costs",),
    "model": ("model",),
    "data": ("data",),
}


def test_every_section_is_there_when_its_results_are(page: str) -> None:
    anchors = [attrs["id"] for tag, attrs in read(page).tags if tag == "section"]
    assert anchors == ["verdict", *(a for names in ANCHORS.values() for a in names), "again"]
    contents = re.search(r"<nav.*?</nav>", page, re.DOTALL)
    assert contents is not None
    assert read(contents[0]).values("href") == [f"#{anchor}" for anchor in anchors[1:]]


@pytest.mark.parametrize("field", ANCHORS)
def test_a_section_is_absent_when_its_results_are(field: str) -> None:
    cheap = dataclasses.replace(full_report(600), clouds=None, calibration=None)
    report = dataclasses.replace(cheap, **{field: () if field == "images" else None})
    anchors = [attrs["id"] for tag, attrs in read(render(report)).tags if tag == "section"]
    left_out = {anchor for name in (field, "clouds", "calibration") for anchor in ANCHORS[name]}
    assert anchors == ["verdict", *(a for names in ANCHORS.values() for a in names if a not in left_out), "again"]


def test_a_conditional_model_has_ranks_and_random_regions(page: str, conditional: str) -> None:
    for words in ("simulation-based calibration", "TARP"):
        assert words in conditional
        assert words not in page


def test_an_empty_report_says_that_it_cannot_say() -> None:
    text = " ".join(read(render(Report(title="t", command=""))).text)
    assert "No rows were held out" in text
    assert "<nav" not in text


def test_markup_and_control_characters_of_the_user_are_text() -> None:
    columns = (ColumnFacts(EVIL, unit=EVIL, support=EVIL), ColumnFacts("b"))
    rows = np.random.default_rng(0).normal(size=(150, 2))
    distances = [MarginalDistance(0.2, 0.1, 1e-9), MarginalDistance(0.1, 0.1, 1.0)]
    report = dataclasses.replace(
        conditional_report(),
        title=EVIL,
        command=EVIL,
        warnings=[EVIL],
        images=[Figure(image_grid(rows, (1, 2), 5, (-3.0, 3.0)), EVIL)],
        clouds=Clouds(columns=columns, data=rows, samples=rows, distances=distances, note=EVIL),
        data=DataFacts({EVIL: EVIL}, columns),
    )
    page = render(report)
    reader = read(page)
    assert reader.open == []
    assert {tag for tag, _ in reader.tags} & {"script", "b"} == set()
    assert not re.search("[\x00-\x08\u202e]", page)
    assert "".join(reader.text).count("</svg><script>") > 8  # shown as it is


def test_the_page_stays_small_with_many_rows_and_columns() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 60))
    columns = [ColumnFacts(f"column {i}", kind="integer" if i % 3 == 0 else "continuous") for i in range(60)]
    rows[:, ::3] = np.round(3 * rows[:, ::3])
    wide = Clouds(columns=columns, data=rows, samples=rows[::-1], distances=[MarginalDistance(0.1)] * 60)
    page = render(Report(title="t", command="c", clouds=wide, data=DataFacts(columns=columns)))
    assert len(page.encode()) < 1_000_000
    assert page.count("<svg") == 25
    assert "36 columns more are left out" in page


def test_the_same_report_gives_the_same_page() -> None:
    report = dataclasses.replace(conditional_report(), calibration=None)
    assert render(report) == render(report)


def test_pictures_follow_the_page_s_colours(page: str) -> None:
    pictures = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", pictures)) == set()
    for ink in ("currentColor", "var(--data)", "var(--samples)", "var(--soft)"):
        assert ink in pictures


def test_a_name_beside_an_axis_is_not_set_as_mathematics(page: str) -> None:
    assert re.search(r"<text[^>]*>\$n_\{tracks\}\$</text>", page)


def colours() -> dict[str, dict[str, str]]:
    """The colours of the page by light, from its style sheet."""
    style = resources.files("counterflow.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{([^}]*)\}", style)
    assert len(blocks) == 3
    return {
        light: dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for light, block in zip(("light", "dark", "print"), blocks, strict=True)
    }


def contrast(a: str, b: str) -> float:
    """As the Web Content Accessibility Guidelines 2.2 define it."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("light", ["light", "dark", "print"])
def test_letters_and_lines_stand_out_from_the_paper(light: str) -> None:
    c = colours()[light]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    for ink in ("ink", "soft", "link", "good", "warn"):
        assert contrast(c[ink], c["paper"]) >= 4.5
        assert contrast(c[ink], c["tint"]) >= 4.5
    for ink in ("data", "samples", "other"):
        assert contrast(c[ink], c["paper"]) >= 3


def test_a_mark_needs_no_colour(page: str) -> None:
    marks = re.findall(r'class="mark (\w+)"><span aria-hidden="true">(.)</span> (\w+)<', page)
    assert {name for name, _, _ in marks} == {"good", "small", "attention"}
    assert len({sign for _, sign, _ in marks}) == len({word for _, _, word in marks}) == 3


def test_a_single_row_has_no_standard_error_to_show() -> None:
    report = full_report(600)
    assert report.likelihood is not None
    lonely = dataclasses.replace(report.likelihood, model=Estimate(-3.0, float("nan"), 1), gaussian=None, gain=None)
    page = render(Report(title="t", command="c", likelihood=lonely))
    assert "nan" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).lower()
