"""`counterflow sample`: new rows from a model, written as they are drawn."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..diagnostics import chunk_rows
from ..tables import WRITABLE, write_table
from .console import Console
from .model_file import FittedModel, load_model
from .outputs import check_at_least, check_output


def run_sample(model: Path, rows: int, out: Path, console: Console, *, seed: int, overwrite: bool) -> None:
    """The whole command.

    Raises:
        Refusal: the output, the model, or a number of rows below 1.
    """
    check_at_least("-n", rows, 1)
    check_at_least("--seed", seed, 0)
    check_output(out, WRITABLE, overwrite=overwrite, inputs=[model])
    fitted = load_model(model)
    columns = fitted.model.features
    blocks = console.watched(_drawn(fitted, rows, seed), "sampling", rows)
    write_table(out, (rows, columns), blocks, fitted.names)
    console.say(f"Wrote {rows:,} rows of {columns} column{'s' * (columns != 1)} to {out}.")
    console.result({"written": [str(out)], "rows": rows, "columns": columns, "seed": seed})


def _drawn(fitted: FittedModel, rows: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    generator = torch.Generator().manual_seed(seed)
    size = chunk_rows(fitted.model.features)
    for start in range(0, rows, size):
        count = min(size, rows - start)
        yield count, fitted.model.sample(count, generator=generator).numpy().astype(np.float32)
