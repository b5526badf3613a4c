"""The threads of the CPU kernels: plain ones, since the kernels run without the interpreter's lock.

No OpenMP: a child made by fork after its parent had used it is killed at its first parallel region. These threads do
not survive a fork either, so a child makes its own.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait


class _Pool:
    """The process's threads, made at the first use and again after a fork."""

    def __init__(self) -> None:
        self._own: tuple[int, ThreadPoolExecutor] | None = None

    def executor(self) -> ThreadPoolExecutor:
        own = self._own
        if own is None or own[0] != os.getpid():
            own = self._own = os.getpid(), ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="counterflow")
        return own[1]


_POOL = _Pool()


def in_threads(part: Callable[[int], None], threads: int) -> None:
    """part(0) here and part(1) .. part(threads - 1) elsewhere, at the same time.

    Returns, or raises what one of them raised, when all have ended: they write into memory of the caller. An
    interruption (Ctrl-C) is raised then, too.
    """
    if threads <= 1:
        part(0)
        return
    others: list[Future[None]] = []
    interrupted: KeyboardInterrupt | None = None
    try:
        for thread in range(1, threads):
            others.append(_POOL.executor().submit(part, thread))
        part(0)
    finally:
        while not all(other.done() for other in others):
            try:
                wait(others)
            except KeyboardInterrupt as error:
                interrupted = error
    if interrupted is not None:
        raise interrupted
    for other in others:
        other.result()
