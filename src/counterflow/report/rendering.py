"""A report as one page: every check in words first, then its sections, in HTML without any outside file."""

import re
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from . import background, sections
from .certificate_section import certificate
from .clouds import Pairs
from .document import Section, cleaned
from .results import Report
from .verdict import findings, in_one_sentence


def render(report: Report) -> str:
    """The page, as HTML.

    Every string of the report is text: markup in it is shown, not obeyed; control characters are replaced.

    Cost: a second or two, most of it for the corner plot; the page is below 2 MB.
    """
    found = findings(report)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    parts = resources.files(__package__)
    template = environment.from_string(parts.joinpath("page.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        report=report,
        summary=in_one_sentence(found),
        findings=found,
        sections=sections_of(report),
        style=Markup(parts.joinpath("page.css").read_text(encoding="utf-8")),
    )
    return _numbered(page)


def sections_of(report: Report) -> list[Section]:
    """In the order of a reader with little time; what was not measured is not there."""
    made: list[Section] = []
    if report.likelihood is not None:
        made.append(sections.likelihood(report.likelihood))
    if report.certificate is not None:
        made.append(certificate(report.certificate))
    if report.images:
        made.append(sections.images(report.images))
    if report.clouds is not None:
        pairs = Pairs(report.clouds)
        made += [sections.corner(report.clouds, pairs), sections.marginals(report.clouds, pairs)]
    if report.calibration is not None:
        made.append(sections.calibration(report.calibration))
    if report.two_sample is not None:
        made.append(sections.two_sample(report.two_sample))
    if report.memorisation is not None:
        made.append(sections.memorisation(report.memorisation))
    if report.training is not None and report.training.curves:
        made.append(background.training(report.training))
    if report.timings is not None:
        made.append(background.costs(report.timings))
    if report.model is not None:
        made.append(background.model(report.model))
    if report.data is not None:
        made.append(background.data(report.data))
    if report.command:
        made.append(background.again(report.command))
    return [section for section in made if section.blocks]


def _shown(value: Any) -> Any:
    return cleaned(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _numbered(page: str) -> str:
    """The same page with identifiers that are unique: each picture names its own parts `id-...`."""
    count = iter(range(page.count("<svg")))

    def renamed(picture: re.Match[str]) -> str:
        number = next(count)
        return re.sub(r"<[^>]*>", lambda tag: re.sub(r'(id="|url\(#|href="#)id-', rf"\1p{number}-", tag[0]), picture[0])

    return re.sub(r"<svg.*?</svg>", renamed, page, flags=re.DOTALL)
