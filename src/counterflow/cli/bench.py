"""`counterflow bench`: what both directions of a model cost on this machine, in a table."""

import copy
import dataclasses
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..model import Given, Model
from ..training.optimiser import adamw
from .console import Console
from .model_file import load_model
from .outputs import check_at_least
from .refusal import USAGE, Refusal

ROWS = (1, 100, 1000, 10_000)
SCORE, SAMPLE, BOTH, STEP = "log_prob", "sample", "rsample_and_log_prob", "training step"
_MOST_CALLS = 10_000
_NO_MEMORY = ("can't allocate memory", "not enough memory")  # how torch says it on Linux and on Windows
_MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Figure:
    """Seconds of one call on so many rows: of the very first one, and of those after it.

    Attributes:
        rows: Of the batch.
        what: The method.
        first: The first call, which also loads, compiles or prepares what the others find ready.
        median: Of the later calls.
        least: Of the later calls.
        calls: How many those were.
    """

    rows: int
    what: str
    first: float
    median: float
    least: float
    calls: int


@dataclasses.dataclass
class Table:
    """What has been measured so far.

    Attributes:
        figures: By rows and method.
        refused: Methods that the model does not have, and why.
        memory: Peak of the process when a batch was done, MiB; empty where the system does not tell.
    """

    figures: dict[tuple[int, str], Figure] = dataclasses.field(default_factory=dict)
    refused: dict[str, str] = dataclasses.field(default_factory=dict)
    memory: dict[int, float] = dataclasses.field(default_factory=dict)

    def ratio(self, rows: int) -> float | None:
        """Sample over log_prob, medians."""
        score, sample = self.figures.get((rows, SCORE)), self.figures.get((rows, SAMPLE))
        return sample.median / score.median if score and sample else None


def run_bench(model: Path, batches: Sequence[int] | None, seconds: float, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: the model, an option out of range, or a batch that does not fit the memory.
    """
    rows = sorted(set(batches or ROWS))
    check_at_least("--batch", rows[0], 1)
    check_at_least("--seconds", seconds, 0, exclusive=True)
    loaded = load_model(model).model
    console.note(
        f"Measuring batches of {', '.join(f'{n:,}' for n in rows)} rows, {seconds:g} s for each of four figures, "
        "or one call if that takes longer. Ctrl-C ends it and shows what is measured."
    )
    table = Table()
    steps = _measured(loaded, rows, seconds, table)
    try:
        for _ in console.watched(((1, step) for step in steps), "measuring", 4 * len(rows)):
            pass
    except (KeyboardInterrupt, Refusal):
        for line in _lines(model, loaded, table) if table.figures else []:
            console.say(line)
        raise
    for line in _lines(model, loaded, table):
        console.say(line)
    console.result(_values(model, loaded, seconds, table))


def time_calls(
    call: Callable[[], Any], seconds: float, *, now: Callable[[], float] = time.perf_counter
) -> tuple[float, list[float]]:
    """Seconds of the first call, and of as many more as fit the given seconds; at least one.

    Args:
        call: What to time.
        seconds: Of all later calls together.
        now: The clock.
    """
    start = now()
    call()
    begun = now()
    first, last = begun - start, begun
    later: list[float] = []
    while not later or (last - begun < seconds and len(later) < _MOST_CALLS):
        start = now()
        call()
        last = now()
        later.append(last - start)
    return first, later


def _measured(model: Model, batches: Sequence[int], seconds: float, table: Table) -> Iterator[None]:
    """Fill the table, figure by figure."""
    for rows in batches:
        try:
            for what, call in _calls(model, rows).items():
                _add(table, rows, what, call, seconds)
                yield
        except RuntimeError as error:
            if not any(words in str(error) for words in _NO_MEMORY):
                raise
            raise Refusal(USAGE, f"--batch {rows}: not enough memory for so many rows of this model") from None
        peak = _peak_memory()
        if peak is not None:
            # The kernel notes a peak when memory is given back; a reading in between may be lower than the last one.
            table.memory[rows] = max(peak, *table.memory.values(), 0.0)


def _add(table: Table, rows: int, what: str, call: Callable[[], Any] | None, seconds: float) -> None:
    """One figure, or the reason why there is none."""
    if call is None:
        table.refused[what] = "the model has no parameters"
        return
    try:
        first, later = time_calls(call, seconds)
    except TypeError as error:
        if what != BOTH:  # a model without reparameterised draws says so in this way
            raise
        table.refused[what] = str(error)
        return
    table.figures[rows, what] = Figure(rows, what, first, statistics.median(later), min(later), len(later))


def _calls(model: Model, rows: int) -> dict[str, Callable[[], Any] | None]:
    """What is timed, in this order, because the rows that are scored are those that were drawn."""
    generator = torch.Generator().manual_seed(0)
    encoded, shape = _context(model, rows, generator)
    given, drawn = Given(model, None, encoded), list[Tensor]()

    def sample() -> None:
        drawn[:] = [given.sample(shape, generator=generator)]

    @torch.no_grad()
    def log_prob() -> None:
        given.log_prob(drawn[0])

    @torch.no_grad()
    def rsample_and_log_prob() -> None:
        given.rsample_and_log_prob(shape, generator=generator)

    step = _training_step(model, encoded, drawn) if any(p.requires_grad for p in model.parameters()) else None
    return {SAMPLE: sample, SCORE: log_prob, BOTH: rsample_and_log_prob, STEP: step}


def _training_step(model: Model, encoded: Tensor | None, drawn: list[Tensor]) -> Callable[[], None]:
    """Maximum likelihood as `fit` does it: forward, backward, AdamW; on a copy, made when it is first called."""
    made: list[tuple[Given, torch.optim.Optimizer]] = []

    def step() -> None:
        if not made:
            pupil = copy.deepcopy(model)
            made.append((Given(pupil, None, encoded), adamw(list(pupil.parameters()))))
        given, optimiser = made[0]
        optimiser.zero_grad(set_to_none=True)
        (-given.log_prob(drawn[0]).mean()).backward()
        optimiser.step()

    return step


def _context(model: Model, rows: int, generator: torch.Generator) -> tuple[Tensor | None, tuple[int, ...]]:
    """A context of standard normal numbers for each row, and the sample shape that makes so many rows."""
    if not model.context_features:
        return None, (rows,)
    dtype = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
    return torch.randn(rows, model.context_features, generator=generator, dtype=dtype), ()


def _lines(path: Path, model: Model, table: Table) -> list[str]:
    """The table for people."""
    parameters = sum(p.numel() for p in model.parameters())
    threads = torch.get_num_threads()
    columns = f"{model.features} column{'s' * (model.features != 1)}"
    lines = [f"{path}: a density of {columns}, {parameters:,} parameters, on {threads} thread{'s' * (threads != 1)}."]
    if model.context_features:
        lines.append(
            f"Context: {model.context_features} standard normal numbers for each row"
            + (", in place of what the context encoder makes." if model.context_encoder is not None else ".")
        )
    shown = [what for what in (SCORE, SAMPLE, BOTH, STEP) if any(name == what for _, name in table.figures)]
    batches = sorted({rows for rows, _ in table.figures})
    blocks: list[tuple[str, Callable[[Figure], str]]] = [
        ("Milliseconds per call, median (least)", lambda f: f"{_short(1e3 * f.median)} ({_short(1e3 * f.least)})"),
        ("Microseconds per row, median", lambda f: _short(1e6 * f.median / f.rows)),
        ("Milliseconds of the first call, which also loads, prepares or compiles", lambda f: _short(1e3 * f.first)),
    ]
    for number, (title, words) in enumerate(blocks):
        head = ["rows", *shown]
        body = [[f"{n:,}", *(_cell(table, n, what, words) for what in shown)] for n in batches]
        if number == 0:
            head += ["sample / log_prob"] + ["peak memory, MiB"] * bool(table.memory)
            for line, rows in zip(body, batches, strict=True):
                ratio = table.ratio(rows)
                line.append("-" if ratio is None else f"{ratio:.2f}")
                line += [f"{table.memory[rows]:.0f}" if rows in table.memory else "-"] * bool(table.memory)
        lines += ["", f"{title}:", *_aligned([head, *body])]
    lines += ["", *(f"No {what}: {reason}." for what, reason in table.refused.items())]
    lines.append("A training step is forward, backward and AdamW, without dropout; the rest is without gradients.")
    return lines


def _cell(table: Table, rows: int, what: str, words: Callable[[Figure], str]) -> str:
    figure = table.figures.get((rows, what))
    return "-" if figure is None else words(figure)


def _values(path: Path, model: Model, seconds: float, table: Table) -> dict[str, Any]:
    """The same for machines; times in seconds."""
    figures = [{**dataclasses.asdict(f), "per_row": f.median / f.rows} for f in table.figures.values()]
    return {
        "model": str(path),
        "columns": model.features,
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": torch.get_num_threads(),
        "context": {"features": model.context_features, "values": "standard normal"}
        if model.context_features
        else None,
        "seconds": seconds,
        "figures": figures,
        "sample_over_log_prob": {
            str(rows): table.ratio(rows) for rows in sorted({f.rows for f in table.figures.values()})
        },
        "peak_memory_mib": {str(rows): memory for rows, memory in table.memory.items()},
        "refused": table.refused,
    }


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows]


def _short(value: float) -> str:
    """Three figures, never in powers of ten."""
    digits = max(0, 2 - int(f"{value:e}".partition("e")[2]))
    return f"{float(f'{value:.3g}'):,.{digits}f}"


def _peak_memory() -> float | None:
    """Most that this process ever held, MiB; None where the system does not tell."""
    status = Path("/proc/self/status")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return None if found is None else int(found[1]) * 1024 / _MIB
