"""The one-page summary of a fit: facts in, one self-contained HTML file out."""

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from ..diagnostics import Comparison, Estimate


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Held-out nats per row: of the model and, where one could be fitted, against a Gaussian."""

    model: Estimate
    against: Comparison | None
    rows_are: str  # which rows these are, in words


@dataclasses.dataclass(frozen=True)
class Picture:
    """An SVG element or a PNG image, with what it shows."""

    content: str | bytes
    caption: str

    @property
    def element(self) -> Markup:
        """As HTML, everything inside."""
        if isinstance(self.content, str):
            return Markup(self.content)
        data = base64.b64encode(self.content).decode("ascii")
        caption = Markup.escape(self.caption)
        return Markup(f'<img class="pixels" alt="{caption}" src="data:image/png;base64,{data}">')


@dataclasses.dataclass(frozen=True)
class Summary:
    """What the page shows, in this order."""

    title: str
    likelihood: Likelihood | None
    beside: Sequence[Picture]  # data and samples
    curve: Picture
    layers: Sequence[str]
    costs: Sequence[str]
    facts: Mapping[str, str]  # model, data and run
    command: str


def render(summary: Summary) -> str:
    """The page, as HTML without any outside file."""
    template = resources.files(__package__).joinpath("summary.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["nats"] = _nats
    return environment.from_string(template).render(s=summary, verdict=_verdict(summary.likelihood))


def _nats(estimate: Estimate) -> str:
    return _unbroken(estimate.mean, estimate.standard_error)


def _unbroken(value: float, error: float) -> str:
    """The number with its error, which no line break may part."""
    return f"{value:.2f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{error:.2f}".replace("-", "\N{MINUS SIGN}")


def _verdict(likelihood: Likelihood | None) -> str:
    if likelihood is None:
        return "No rows were held out, so this page cannot say how good the model is on rows that it has not seen."
    if likelihood.against is None:
        return "The table has too few rows to fit a Gaussian to compare with."
    gain, error = likelihood.against.difference.mean, likelihood.against.difference.standard_error
    size = f"{_unbroken(abs(gain), error)} nats per row"
    if gain > 2 * error:
        return f"The flow explains rows that it has not seen better than a Gaussian, by {size}."
    if gain < -2 * error:
        return f"The flow is worse than a Gaussian on rows that it has not seen, by {size}."
    return f"Flow and Gaussian cannot be told apart on rows that neither has seen: they differ by {size}."
