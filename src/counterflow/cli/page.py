"""The summary page of a fitted model: what the report shows, gathered from a fit."""

import time
from pathlib import Path

import torch

from ..diagnostics import chunk_rows, log_prob_in_chunks
from ..files import replacing
from ..model import Model
from ..report import (
    Likelihood,
    Picture,
    Summary,
    corner_plot,
    costs_in_words,
    folded,
    image_grid,
    layers_in_words,
    render,
    training_curve,
)
from ..tables import Table
from .images import Images
from .pipeline import Fitted

SHOWN_ROWS = 1000  # of data and of samples, in a scatter plot
SHOWN_COLUMNS = 4
TIMED_ROWS = 1000


def write_page(path: Path, table: Table, fitted: Fitted, command: str, images: Images | None = None) -> None:
    """Write the page, all or nothing.

    Args:
        path: The HTML file.
        table: The data.
        fitted: From `fit_table`.
        command: What reproduces the model.
        images: How to show rows as pictures; None shows them as points.
    """
    records = fitted.history.records
    steps = [float(r.step) for r in records]
    held_out = [None if r.validation is None else -r.validation for r in records]
    curve = Picture(
        training_curve(steps, [-r.loss for r in records], held_out),
        f"The weights of step {fitted.history.best_step:,} were kept: {fitted.history.stopped_because}.",
    )
    summary = Summary(
        title=f"A flow of {table.path.name}",
        likelihood=None
        if fitted.score is None
        else Likelihood(fitted.score.model, fitted.score.against, fitted.score.rows_are),
        beside=_beside(table, fitted, images),
        curve=curve,
        layers=folded(layers_in_words(fitted.flow)),
        costs=[*costs_in_words(fitted.flow), _measured_costs(fitted)],
        facts=_facts(table, fitted),
        command=command,
    )
    with replacing(path) as temporary:
        temporary.write_text(render(summary), encoding="utf-8")


def _beside(table: Table, fitted: Fitted, images: Images | None) -> list[Picture]:
    seed = int(fitted.facts["recipe"]["seed"])
    count = min(SHOWN_ROWS, len(table.values)) if images is None else images.shown
    samples = draw(fitted.flow, count, seed).numpy()
    data = fitted.split.training[:count].numpy()
    if images is not None:
        shape, limits = images.shape, images.limits
        return [
            Picture(image_grid(data, shape, images.columns, limits), f"{len(data)} training rows"),
            Picture(image_grid(samples, shape, images.columns, limits), f"{len(samples)} samples of the model"),
        ]
    names = table.names or tuple(f"column {i + 1}" for i in range(table.values.shape[1]))
    shown = min(SHOWN_COLUMNS, len(names))
    which = "all columns" if shown == len(names) else f"the first {shown} of {len(names)} columns"
    caption = f"{len(data):,} training rows and {len(samples):,} samples, {which}"
    return [Picture(corner_plot(data[:, :shown], samples[:, :shown], names[:shown]), caption)]


def draw(flow: Model, count: int, seed: int) -> torch.Tensor:
    """Samples, a chunk at a time, from one stream."""
    generator = torch.Generator().manual_seed(seed)
    rows = chunk_rows(flow.features)
    sizes = [min(rows, count - start) for start in range(0, count, rows)]
    return torch.cat([flow.sample(size, generator=generator) for size in sizes])


def _measured_costs(fitted: Fitted) -> str:
    flow = fitted.flow
    started = time.perf_counter()
    x = draw(flow, TIMED_ROWS, 0)
    sampled = time.perf_counter()
    log_prob_in_chunks(flow, x)
    scored = time.perf_counter()
    threads = torch.get_num_threads()
    where = f"on this machine ({threads} thread{'s' * (threads != 1)})"
    return (
        f"{TIMED_ROWS:,} rows {where}: scored in {1e3 * (scored - sampled):.0f} ms, "
        f"sampled in {1e3 * (sampled - started):.0f} ms."
    )


def _facts(table: Table, fitted: Fitted) -> dict[str, str]:
    data, made = fitted.facts["data"], fitted.facts
    parameters = sum(p.numel() for p in fitted.flow.parameters())
    dropped = f", {table.dropped:,} more dropped for missing cells" if table.dropped else ""
    return {
        "Data": f"{table.path.name}: {data['rows']:,} rows, {table.values.shape[1]} columns{dropped}",
        "Split": f"{data['training_rows']:,} rows to train on, {data['validation_rows']:,} to stop by, "
        f"{data['test_rows']:,} to be judged by",
        "Columns": ", ".join(table.names) if table.names else "without names",
        "Model": f"{made['recipe']['model']}, {parameters:,} parameters",
        "Training": f"{fitted.history.steps:,} steps, {fitted.history.seconds:.0f} s",
        "Seed": str(made["recipe"]["seed"]),
        "Threads": str(made["threads"]),
        "Versions": ", ".join(f"{name} {version}" for name, version in made["versions"].items()),
    }
