"""The pieces that a page is set from: sections of words, figures, tables and lists."""

import base64
import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import ClassVar

from markupsafe import Markup


class Status(enum.Enum):
    """What a check found, as a sign and a word that need no colour."""

    GOOD = ("\N{CHECK MARK}", "pass")
    SMALL = ("\N{ALMOST EQUAL TO}", "small")
    ATTENTION = ("!", "attention")
    OPEN = ("?", "open")

    @property
    def sign(self) -> str:
        """One character."""
        return self.value[0]

    @property
    def word(self) -> str:
        """The same for those who hear the page."""
        return self.value[1]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check in one sentence.

    Attributes:
        status: What it found.
        check: Its name, two or three words.
        sentence: With the number that decides.
        detail: What that number is compared with.
        anchor: The section that shows it; empty: none does.
    """

    status: Status
    check: str
    sentence: str
    detail: str = ""
    anchor: str = ""


@dataclasses.dataclass(frozen=True)
class Figure:
    """An SVG element or a PNG image.

    Attributes:
        content: The picture; an SVG element is trusted, and must have been made by `drawing.svg`.
        caption: What it shows and what to look for.
        alt: What it shows, for those who do not see it; the caption where it is empty.
        heading: A short name above it: a column's.
        narrowest: Width below which it is not legible and scrolls in its frame, in rem; 0: it fits a phone.
        widest: Width above which its letters are too large, in rem; 0: that of its place.
    """

    content: str | bytes
    caption: str = ""
    alt: str = ""
    heading: str = ""
    narrowest: float = 0.0
    widest: float = 0.0

    @property
    def element(self) -> Markup:
        """As HTML, everything inside."""
        alt = Markup.escape(cleaned(self.alt or self.caption))
        if isinstance(self.content, str):
            return Markup(self.content.replace('role="img"', f'role="img" aria-label="{alt}"', 1))
        data = base64.b64encode(self.content).decode("ascii")
        return Markup(f'<img class="pixels" alt="{alt}" src="data:image/png;base64,{data}">')


@dataclasses.dataclass(frozen=True)
class Words:
    """A paragraph."""

    kind: ClassVar[str] = "words"
    text: str
    soft: bool = False


@dataclasses.dataclass(frozen=True)
class Legend:
    """Which ink is which, for the pictures below: pairs of an ink (`data`, `samples`) and its meaning."""

    kind: ClassVar[str] = "legend"
    inks: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Figures:
    """Pictures beside each other as far as the screen goes: many `small` ones, two `medium` ones, one `wide` one."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]
    size: str = "medium"


@dataclasses.dataclass(frozen=True)
class NumberTable:
    """A table whose first column names its rows.

    Attributes:
        title: What the table is, for those who hear the page.
        header: One cell per column.
        rows: Cells.
        numbers: Which columns are numbers, set to the right with digits below each other.
        strong: Which rows matter most.
    """

    kind: ClassVar[str] = "table"
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    strong: Sequence[int] = ()


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names with their values."""

    kind: ClassVar[str] = "facts"
    pairs: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Steps:
    """A numbered list."""

    kind: ClassVar[str] = "steps"
    items: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Command:
    """What to type, as it is."""

    kind: ClassVar[str] = "command"
    text: str


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    text: str


Block = Words | Legend | Figures | NumberTable | Facts | Steps | Command | Heading


@dataclasses.dataclass(frozen=True)
class Section:
    """One heading and what stands below it.

    Attributes:
        anchor: Its address on the page.
        title: Its heading.
        blocks: In order.
        short: Its name in the contents; the title where it is empty.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]
    short: str = ""


def cleaned(text: str) -> str:
    """The text without control characters: HTML has no place for them, and some would turn the text around them."""
    return "".join(c if c.isprintable() or c in "\n\t\N{NO-BREAK SPACE}" else "\N{REPLACEMENT CHARACTER}" for c in text)
