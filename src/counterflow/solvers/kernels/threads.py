"""The threads of the CPU kernels: plain ones, since the kernels run without the interpreter's lock.

No OpenMP: a child made by fork after its parent had used it is killed at its first parallel region. These threads do
not survive a fork either, so a child makes its own.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class _Pool:
    """The process's threads, made at the first use and again after a fork."""

    def __init__(self) -> None:
        self._process = -1
        self._executor: ThreadPoolExecutor | None = None

    def executor(self) -> ThreadPoolExecutor:
        if self._executor is None or self._process != os.getpid():
            self._process = os.getpid()
            self._executor = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="counterflow")
        return self._executor


_POOL = _Pool()


def in_threads(part: Callable[[int], None], threads: int) -> None:
    """part(0) here and part(1) .. part(threads - 1) elsewhere, at the same time; returns when all are done."""
    others = [_POOL.executor().submit(part, thread) for thread in range(1, threads)] if threads > 1 else []
    try:
        part(0)
    finally:
        for other in others:
            other.result()
