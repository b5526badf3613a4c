"""What a person at a terminal sees while training runs."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .history import Record

if TYPE_CHECKING:  # rich is loaded by the first run that draws, not by `import counterflow`
    from rich.progress import Progress

LOGGER = logging.getLogger("counterflow.training")
_QUIET_SECONDS = 1.0  # a run shorter than this shows no bar
_REFRESH_SECONDS = 0.2


def held_out_in_words(loss: float) -> str:
    """`held-out 1.2345`: what the bar says of a held-out loss, unless told otherwise."""
    return f"held-out {loss:.4f}"


class ProgressBar:
    """A bar with loss, held-out loss and time left.

    The bar is drawn by the training thread itself, at most every fifth of a second: a drawing thread would compete
    with the steps for the interpreter.

    Args:
        steps: Of the whole run.
        visible: None shows it on a terminal only.
        in_words: Says what a held-out loss is.
    """

    def __init__(self, steps: int, visible: bool | None, in_words: Callable[[float], str] = held_out_in_words) -> None:
        self.visible = sys.stderr.isatty() if visible is None else visible
        self._steps, self._in_words = steps, in_words
        self._last = (0, float("nan"))
        self._bar: Progress | None = None
        self._started = self._drawn = time.perf_counter()
        self._validation = ""

    def say(self, note: str) -> None:
        """A sentence for the person: on the screen, or to the log when there is no screen."""
        if self.visible:
            print(note, file=sys.stderr)
        else:
            LOGGER.info(note)

    def advance(self, step: int, loss: float) -> None:
        """``step`` steps are done, the last with ``loss``."""
        now = time.perf_counter()
        self._last = (step, loss)
        if not self.visible or now - self._drawn < _REFRESH_SECONDS or now - self._started < _QUIET_SECONDS:
            return
        self._draw(step, loss)
        self._drawn = now

    def validated(self, record: Record) -> None:
        """Show the newest held-out loss."""
        if record.validation is not None:
            self._validation = self._in_words(record.validation)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._draw(*self._last)
            self._bar.stop()

    def _draw(self, step: int, loss: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        if self._bar is None:
            self._bar = Progress(
                TextColumn("step {task.completed}/{task.total}"),
                BarColumn(),
                TextColumn("loss {task.fields[loss]:.4f} {task.fields[validation]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                auto_refresh=False,
            )
            self._bar.add_task("fit", total=self._steps, completed=step, loss=loss, validation=self._validation)
            self._bar.start()
        (task,) = self._bar.task_ids
        self._bar.update(task, completed=step, loss=loss, validation=self._validation)
        self._bar.refresh()
