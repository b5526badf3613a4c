"""Ctrl-C during training: it waits for the end of the step, so that no half-made update is stored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .history import History


class TrainingInterrupted(KeyboardInterrupt):
    """``fit`` was stopped by Ctrl-C; the module holds its best weights so far.

    Attributes:
        path: The checkpoint to resume from, None if there is none.
        history: Of the run up to here.
    """

    def __init__(self, path: Path | None, history: History, saved_step: int | None) -> None:
        self.path = None if saved_step is None else path
        self.history = history
        if path is None or saved_step is None:
            how = "no checkpoint was written, so it cannot be resumed (give fit a checkpoint path)"
        else:
            how = f"{path} holds step {saved_step}; the same call with resume=True goes on from there"
        super().__init__(f"training interrupted after step {history.steps}: {how}")


class Interrupt:
    """Whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.asked = False


@contextmanager
def deferred_interrupt(active: bool) -> Iterator[Interrupt]:
    """Inside, the first Ctrl-C only sets ``asked``; a second one acts at once.

    Does nothing outside the main thread, which never sees the signal, nor if the caller replaced Python's handler.
    """
    interrupt = Interrupt()
    usual = signal.getsignal(signal.SIGINT)
    if (
        not active
        or threading.current_thread() is not threading.main_thread()
        or usual is not signal.default_int_handler
    ):
        yield interrupt
        return

    def note(number: int, frame: FrameType | None) -> None:
        if interrupt.asked:
            signal.default_int_handler(number, frame)
        interrupt.asked = True

    signal.signal(signal.SIGINT, note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, usual)
