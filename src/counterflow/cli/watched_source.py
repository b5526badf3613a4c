"""A file that shows how far it has been read."""

from collections.abc import Iterator

from ..tables import Source
from ..tables.source import Block
from .console import Console


class WatchedSource(Source):
    """The same rows as another source.

    Args:
        source: The file.
        console: Where to show it.
        what: What is done.
    """

    def __init__(self, source: Source, console: Console, what: str) -> None:
        self.path, self.names, self.columns, self.rows = source.path, source.names, source.columns, source.rows
        self.types, self.units, self.numbers, self.width = source.types, source.units, source.numbers, source.width
        self._source, self._console, self._what = source, console, f"{what} {source.path.name}"

    def blocks(self) -> Iterator[Block]:
        return self._console.watched(
            ((len(block), block) for block in self._source.blocks()), self._what, self._source.rows
        )

    def place(self, row: int) -> str:
        return self._source.place(row)
