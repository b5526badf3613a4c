"""The look of every picture: inks that follow the page's colours, axes, and SVG that stands in a page."""

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator, ScalarFormatter

from .document import cleaned
from .numbers import raised, shortened

# Each ink is replaced in the SVG by a colour of the page, so that pictures follow dark mode and print.
INK, SOFT, DATA, SAMPLES, OTHER = "#010203", "#040506", "#3b82c4", "#d9772b", "#070809"
_COLOURS = {
    INK: "currentColor",
    SOFT: "var(--soft)",
    DATA: "var(--data)",
    SAMPLES: "var(--samples)",
    OTHER: "var(--other)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "counterflow",
    "text.parse_math": False,  # a column may be called $x$
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.labelpad": 2.0,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.h_pad": 0.02,
}


@contextmanager
def canvas(width: float, height: float, font: float = 9.0, *, fitted: bool = True) -> Iterator[Figure]:
    """An empty figure of so many inches; one inch is 72 units of the SVG, and a font of 72 is as high.

    Args:
        width: Inches.
        height: Inches.
        font: Size.
        fitted: Whether the axes shrink until their labels fit; if not, the caller says where they are.
    """
    with rc_context({**_STYLE, "font.size": font}), warnings.catch_warnings():
        # The browser has its own font, so a letter that matplotlib's lacks is none of the reader's business.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        yield Figure(figsize=(width, height), layout="constrained" if fitted else None)


def svg(figure: Figure) -> str:
    """The figure as an element for a page: as wide as its frame, in the page's colours and font, without addresses.

    Its identifiers start with `id-`; a page that holds several pictures numbers them.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, dpi=200, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None  # matplotlib writes one
    return f'<svg role="img" {box[0]}>{_lean(body)}'.strip()


def _lean(body: str) -> str:
    """Shorter tags, without the names that nothing refers to; what stands between tags is left as it is."""
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', body))

    def shorter(tag: re.Match[str]) -> str:
        text = re.sub(r' id="([^"]+)"', lambda m: f' id="id-{m[1]}"' if m[1] in used else "", tag[0])
        text = re.sub(r'(?:xlink:)?(url\(#|href="#)', r"\1id-", text)
        text = re.sub(r' transform="rotate\(-0 [^"]*"|font-family: [^;"]*; ', "", text)
        text = re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), text)
        for ink, colour in _COLOURS.items():
            text = text.replace(ink, colour)
        return " ".join(text.split())

    body = re.sub(r"<[^>]*>", shorter, body)
    return re.sub(r">\s*\n\s*<", "><", re.sub(r"<(g|defs)>\s*</\1>", "", body))


def plain_ticks(axis: Axis, count: int = 4, whole: bool = False) -> None:
    """Few ticks, without mathematical setting; only whole numbers where the column has no others."""
    axis.set_major_locator(MaxNLocator(count, integer=whole))
    formatter = ScalarFormatter()
    formatter.set_powerlimits((-3, 5))
    axis.set_major_formatter(formatter)


def log_ticks(axis: Axis, count: int = 4) -> None:
    """Powers of ten: 0.1, 1, 10, 10³."""
    axis.set_major_locator(LogLocator(numticks=count))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value)))


def inner_ticks(axis: Axis, margin: float) -> None:
    """None within that share of the ends, where labels of neighbouring panels would meet, but two if that can be.

    The limits and the kind of ticks must be set before.
    """
    low, high = axis.get_transform().transform(np.asarray(axis.get_view_interval()))
    formatter, locator = axis.get_major_formatter(), axis.get_major_locator()
    ticks: list[float] = []
    for count in (3, 4, 6, 9):
        locator.set_params(**({"numticks": count} if isinstance(locator, LogLocator) else {"nbins": count}))
        found = np.asarray(locator())
        place = (axis.get_transform().transform(found) - low) / (high - low)
        ticks = found[(place > margin) & (place < 1 - margin)].tolist()
        if len(ticks) > 1:
            break
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(formatter)


def _power(value: float) -> str:
    return f"{value:g}" if 1e-2 <= value <= 100 else f"10{raised(round(math.log10(value)))}"


def no_ticks(axes: Axes) -> None:
    """A histogram's heights need none: its two outlines are compared with each other."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def printable(name: str, longest: int) -> str:
    """The name as a label: without control characters, on one line, cut where it is too long."""
    return shortened(cleaned(name), longest)
