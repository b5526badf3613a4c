"""What a command says: results on stdout, for people or as one JSON object; notes and progress on stderr."""

import contextlib
import dataclasses
import json
import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
SILENT_SECONDS = 2.0  # what is done earlier shows no bar


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
        """The same results, for machines; a number that JSON does not know becomes null."""
        if self.json:
            print(json.dumps(_known(values), allow_nan=False))

    @property
    def draws(self) -> bool:
        """Whether somebody watches."""
        return not self.quiet and sys.stderr.isatty()

    def watched(self, blocks: Iterable[tuple[int, T]], what: str, total: int | None) -> Iterator[T]:
        """Pass blocks on, each with its number of rows, and show how far we are if it takes long."""
        with self._bar(what, total) as advance:
            for rows, block in blocks:
                yield block
                advance(rows)

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is done which cannot say how far it is, if it takes long."""
        with self._bar(what, None):
            yield

    @contextlib.contextmanager
    def _bar(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        if not self.draws:
            yield lambda rows: None
            return
        from rich.console import Console as Screen  # the command that nobody watches does not pay for it
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        clock = TimeElapsedColumn() if total is None else TimeRemainingColumn()
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[done]}"), clock
        whole = "" if total is None else f" of {total:,}"
        with Progress(*columns, console=Screen(stderr=True), transient=True, disable=False) as bar:
            task = bar.add_task(what, total=total, visible=False, done="")

            def advance(rows: int) -> None:
                bar.advance(task, rows)
                bar.update(task, done=f"{bar.tasks[0].completed:,.0f}{whole}")

            # A clock of its own: the first block itself may take long.
            late = threading.Timer(SILENT_SECONDS, bar.update, (task,), {"visible": True})
            late.daemon = True
            late.start()
            try:
                yield advance
            finally:
                late.cancel()


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
