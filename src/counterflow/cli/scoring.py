"""`counterflow score`: the log density of every row of a file, in the rows' order and in bounded memory."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..diagnostics import Estimate, estimate, log_prob_in_chunks
from ..tables import Gaps, Source, TableError, match_columns, open_table, write_table
from .console import Console
from .model_file import FittedModel, load_model
from .outputs import check_output

EXTENSIONS = (".csv", ".npy")


def run_score(
    model: Path, data: Path, out: Path, console: Console, *, array: str | None, drop_missing: bool, overwrite: bool
) -> None:
    """The whole command.

    Raises:
        Refusal: the output or the model.
        TableError: the data, or columns other than the model's.
    """
    check_output(out, EXTENSIONS, overwrite=overwrite, inputs=[model, data])
    source = open_table(data, array=array)
    fitted = load_model(model)
    order = match_columns(source, fitted.names, fitted.model.features)
    if order is not None:
        console.note(f"Note: the columns of {data} are in another order than the model's; they are matched by name.")
    gaps = Gaps(source, order)
    blocks = _scored(fitted, source, order, gaps, keep=drop_missing)
    scores = list(console.watched(((len(block), block) for block in blocks), "scoring", None))
    if not drop_missing:
        gaps.refuse()
    values = np.concatenate(scores) if scores else np.empty(0, np.float32)
    if not len(values):
        raise TableError(f"{data} holds no rows")
    known = torch.from_numpy(values[~np.isnan(values)])
    if not len(known):
        raise TableError(f"{data}: every row has a missing or infinite cell")
    if gaps.rows:
        console.note(
            f"Note: {gaps.rows:,} rows with missing or infinite cells are scored nan, the others keep their places."
        )
    write_table(out, values.shape, [values], ["log_prob"])
    _tell(out, estimate(known), console)


def _scored(
    fitted: FittedModel, source: Source, order: list[int] | None, gaps: Gaps, *, keep: bool
) -> Iterator[np.ndarray]:
    """Scores block by block; once a gap was met that is not to be kept, the rest is only counted."""
    for block in source.blocks():
        columns = block if order is None else block[:, order]
        whole = gaps.whole(columns)
        if gaps.rows and not keep:
            continue
        scores = np.full(len(block), np.nan, np.float32)
        x = torch.from_numpy(columns[whole].astype(np.float32))
        if len(x):
            scores[whole] = log_prob_in_chunks(fitted.model, x).numpy()
        yield scores


def _tell(out: Path, score: Estimate, console: Console) -> None:
    error = f" ± {score.standard_error:.3f}" if score.rows > 1 else ""
    console.say(f"Mean log density of {score.rows:,} rows: {score.mean:.3f}{error} nats per row.")
    console.say(f"Wrote {out}.")
    known = score.standard_error if score.rows > 1 else None
    console.result({"written": [str(out)], "rows": score.rows, "mean_log_prob": score.mean, "standard_error": known})
