"""Lines of delimited text in a file, compressed or not, as rows of cells that know their line."""

import contextlib
import csv
import dataclasses
import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple, cast

from .source import TableError, reading, reason

CHUNK = 2**21  # bytes of text read at a time
LONGEST_LINE = 2**26  # bytes; a row of 100,000 numbers takes 2 MB
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """The cells of a row, and the line (from 1) on which it ends."""

    line: int
    cells: list[str]


@dataclasses.dataclass(frozen=True)
class DelimitedText:
    """A file of text with a delimiter between cells, in UTF-8, compressed by gzip if its name says so.

    Attributes:
        path: The file.
        delimiter: One character.
        decoding: `strict`, or `replace` where cells that nobody reads may hold other bytes.
    """

    path: Path
    delimiter: str
    decoding: str = "strict"

    @contextlib.contextmanager
    def opened(self, start: int = 0) -> Iterator[BufferedIOBase]:
        """The bytes of the text from `start`.

        Raises:
            TableError: the file may not be read, or is no whole gzip file.
        """
        compressed = self.path.suffix.lower() == ".gz"
        try:
            with reading(self.path), gzip.open(self.path) if compressed else self.path.open("rb") as file:
                file.seek(start)
                yield cast(BufferedIOBase, file)
        except (EOFError, zlib.error) as error:
            raise TableError(f"{self.path} is damaged or cut short ({reason(error)})") from None

    def first(self) -> tuple[Row, int, int] | None:
        """The first row that is not blank, where the text begins and where that row ends; None if there is none."""
        with self.opened() as file:
            start = len(_BYTE_ORDER_MARK) * (file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK)
            file.seek(start)
            lengths: list[int] = []
            for row in self._rows(self._lines(b"", file, 0, lengths), 0):
                return row, start, start + sum(lengths)
        return None

    def chunk(self, file: BufferedIOBase, line: int) -> bytes:
        """The next CHUNK bytes and what it takes to complete their last line; `line` lines stand before them."""
        chunk = file.read(CHUNK)
        return chunk if chunk.endswith(b"\n") or not chunk else chunk + self._line(file, line)

    def rows(self, chunk: bytes, file: BufferedIOBase, line: int) -> tuple[list[Row], int]:
        """The rows of a chunk and the number of lines before and in them; further lines if a cell goes on there.

        Raises:
            TableError: not UTF-8, or quotes that do not match, with the line.
        """
        rows, last = [], line + len(chunk.splitlines())
        for row in self._rows(self._lines(chunk, file, line, []), line):
            rows.append(row)
            if row.line >= last:
                break
        return rows, max(last, rows[-1].line if rows else 0)

    def _rows(self, lines: Iterator[str], line: int) -> Iterator[Row]:
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield Row(line + reader.line_num, cells)
        except csv.Error as error:
            separated = {",": "comma-separated", "\t": "tab-separated"}.get(self.delimiter, "delimited")
            where = f"{self.path}, line {line + reader.line_num}"
            raise TableError(f"{where}: not {separated} text ({error})") from None

    def _lines(self, chunk: bytes, file: BufferedIOBase, line: int, lengths: list[int]) -> Iterator[str]:
        """Lines of a chunk, then of the file behind it, decoded; the length in bytes of each is noted."""
        pending = chunk.splitlines(keepends=True)
        while pending or (pending := self._line(file, line).splitlines(keepends=True)):
            for held in pending:
                line += 1
                lengths.append(len(held))
                try:
                    yield held.decode("utf-8", self.decoding)
                except UnicodeDecodeError as error:
                    wrong = f"byte 0x{held[error.start]:02x}"
                    raise TableError(f"{self.path}, line {line}: not text in UTF-8 ({wrong})") from None
            pending = []

    def _line(self, file: BufferedIOBase, line: int) -> bytes:
        held = file.readline(LONGEST_LINE)
        if len(held) == LONGEST_LINE:
            raise TableError(f"{self.path}, line {line + 1} is longer than {LONGEST_LINE:,} bytes: not a table of text")
        return held
