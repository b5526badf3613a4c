"""One command as a process of its own: its processor time, the time on the wall, its peak memory, what it said.

Linux only. The process that calls this must stay small: the peak of a child counts from before it became another
program.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
POLL_SECONDS = 0.02
GRACE_SECONDS = 30.0  # for a command to clear up after Ctrl-C


@dataclass(frozen=True)
class Ran:
    """How a command went.

    Attributes:
        seconds: Of processor time, user and system.
        wall: By the clock.
        peak_mib: The most resident memory.
        output: What it printed.
        stopped: It passed its limit and was interrupted.
    """

    seconds: float
    wall: float
    peak_mib: float
    output: str
    stopped: bool


class CommandFailed(RuntimeError):
    """It ended otherwise than with 0."""


def environment() -> dict[str, str]:
    """One thread for everything."""
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "ARROW_IO_THREADS": "1"}


def run(
    arguments: Sequence[str],
    *,
    limit: float,
    watch: Callable[[float], None] = lambda seconds: None,
    at_limit: Callable[[], None] = lambda: None,
) -> Ran:
    """Run `python ARGUMENTS`.

    Args:
        arguments: Of the interpreter that runs this.
        limit: Seconds of processor time, after which it is interrupted as by Ctrl-C.
        watch: Is told the processor time so far, many times a second.
        at_limit: Is called before the interruption.

    Raises:
        CommandFailed: with the last line that it printed.
    """
    with tempfile.TemporaryFile() as said:
        begun, stopped = time.perf_counter(), False
        command = [sys.executable, *arguments]
        # A session of its own: Ctrl-C reaches this process alone, which ends the other below.
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=environment(), start_new_session=True
        )
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    break
                seconds = _processor_seconds(process.pid)
                watch(seconds)
                if seconds > limit and not stopped:
                    stopped, deadline = True, time.perf_counter() + GRACE_SECONDS
                    at_limit()
                    process.send_signal(signal.SIGINT)
                elif stopped and time.perf_counter() > deadline:
                    process.kill()
                time.sleep(POLL_SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        wall = time.perf_counter() - begun
        said.seek(0)
        output = said.read().decode(errors="replace")
    if process.returncode != 0 and not stopped:
        raise CommandFailed(f"exit code {process.returncode}: {(output.strip().splitlines() or ['nothing said'])[-1]}")
    return Ran(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, output, stopped)


def _processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
