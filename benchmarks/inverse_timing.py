"""The least of the repeated times of several candidates that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

BLOCK_SECONDS = 0.02  # a time is that of as many calls in a row as fill this
SLOW_SECONDS = 2.0
MOST_ROUNDS = 25

Action = Callable[[], Any]


@dataclass(frozen=True)
class Clock:
    """What is read before and after: processor time of one thread, else the clock on the wall.

    Other processes disturb processor time less; of several threads it would be the sum.
    """

    threads: int
    device: str = "cpu"

    @property
    def name(self) -> str:
        return "processor time" if self.threads == 1 and self.device == "cpu" else "wall time"

    def read(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time() if self.threads == 1 else time.perf_counter()

    def seconds(self, action: Action, calls: int = 1) -> float:
        """Of one call, on average over some in a row."""
        start = self.read()
        for _ in range(calls):
            action()
        return (self.read() - start) / calls


@dataclass(frozen=True)
class Timed:
    """Seconds of one candidate: least, median, and of its very first call; rounds measured."""

    least: float
    median: float
    first: float
    rounds: int

    def as_dict(self) -> dict[str, Any]:
        return {"seconds": self.least, "median": self.median, "first": self.first, "rounds": self.rounds}


def take_turns(
    candidates: Mapping[str, Action], clock: Clock, budget: float, *, least_rounds: int = 3
) -> dict[str, Timed]:
    """Time the candidates by turns, so that a slow spell of the machine meets all of them.

    Args:
        candidates: Each a call without arguments. A candidate's turn is a row of calls that fills BLOCK_SECONDS, so
            that a short call finds the caches as its own last call left them.
        clock: What to read.
        budget: Seconds on the wall for the rounds; the first calls come on top.
        least_rounds: Made even where they pass the budget.
    """
    first = {name: clock.seconds(action) for name, action in candidates.items()}
    times: dict[str, list[float]] = {name: [] for name in candidates}
    calls: dict[str, int] = {}
    for name, action in candidates.items():
        if first[name] > SLOW_SECONDS:  # so slow that being the first call hardly matters: it counts
            times[name].append(first[name])
        once = first[name] if first[name] > SLOW_SECONDS else clock.seconds(action)
        calls[name] = max(1, int(BLOCK_SECONDS / max(once, 1e-7)))
    names, begun = list(candidates), time.perf_counter()
    for turn in range(MOST_ROUNDS):
        waiting = False
        for name in names[turn % len(names) :] + names[: turn % len(names)]:  # nobody always follows the same one
            spent = time.perf_counter() - begun
            if len(times[name]) < least_rounds or spent + min(times[name]) * calls[name] < budget:
                times[name].append(clock.seconds(candidates[name], calls[name]))
                waiting = True
        if not waiting:
            break
    return {name: Timed(min(taken), statistics.median(taken), first[name], len(taken)) for name, taken in times.items()}
