"""What a command says: results on stdout, for people or as one JSON object; notes and progress on stderr."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_SILENT_SECONDS = 2.0  # a command shorter than this shows no bar


@dataclasses.dataclass(frozen=True)
class Console:
    """Where words go.

    Args:
        quiet: No notes, no progress; results and refusals only.
        json: Results as one JSON object instead of sentences.
    """

    quiet: bool = False
    json: bool = False

    def say(self, sentence: str) -> None:
        """A result, for people."""
        if not self.json:
            print(sentence)

    def note(self, sentence: str) -> None:
        """Something that the user should know; not a result."""
        if not self.quiet:
            print(sentence, file=sys.stderr)

    def result(self, values: dict[str, Any]) -> None:
        """The same results, for machines."""
        if self.json:
            print(json.dumps(values))

    @property
    def draws(self) -> bool:
        """Whether somebody watches."""
        return not self.quiet and sys.stderr.isatty()

    def watched(self, blocks: Iterable[tuple[int, T]], what: str, total: int | None) -> Iterator[T]:
        """Pass blocks on, each with its number of rows, and show how far we are if it takes long."""
        if not self.draws:
            yield from (block for _, block in blocks)
            return
        from rich.console import Console as Screen  # the command that nobody watches does not pay for it
        from rich.progress import Progress

        started = time.perf_counter()
        with Progress(console=Screen(stderr=True), transient=True, disable=False) as bar:
            task = bar.add_task(what, total=total, visible=False)
            for rows, block in blocks:
                yield block
                late = time.perf_counter() - started > _SILENT_SECONDS
                bar.update(task, advance=rows, visible=late)
