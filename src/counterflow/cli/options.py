"""The options of the commands: their names, their help, and the panel of the help that they stand in."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..tabular.presets import Preset
from .config import read_config
from .export_format import Format

WRITABLE = ".csv, .tsv, .parquet, .feather, .npy, .npz, .h5 or .root"
READABLE = ".csv, .tsv, .parquet (or a folder of them), .feather, .npy, .npz, .h5 or .root"
TABLE, TRAINING, OUTPUTS = "The table", "Training", "Outputs and messages"


def _panel(panel: str | None) -> Any:
    """`typer.Option` in a panel; a flag is one without a word for its value."""

    def option(*names: str, metavar: str = "", **settings: Any) -> Any:
        return typer.Option(*names, metavar=metavar, rich_help_panel=panel, **settings)

    return option


_option, _table, _training, _outputs = map(_panel, (None, TABLE, TRAINING, OUTPUTS))


def _say_version(asked: bool) -> bool:
    if asked:
        print(f"counterflow {sys.modules[__name__.partition('.')[0]].__version__}")
        raise typer.Exit
    return asked


Version = Annotated[bool, _option("--version", help="Say the version.", callback=_say_version, is_eager=True)]

# Of several commands.
Data = Annotated[Path, typer.Argument(metavar="DATA", help=f"Table of numbers: {READABLE}.", show_default=False)]
ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file that `fit` wrote.", show_default=False)]
Array = Annotated[
    str | None,
    _table(
        "--array", metavar="NAME", help="Which one, of the arrays of an .npz, groups of an .h5, trees of a .root file."
    ),
]
DropMissing = Annotated[bool, _table("--drop-missing", help="Go on without rows that have missing or infinite cells.")]
Overwrite = Annotated[bool, _outputs("--overwrite", help="Replace outputs that exist.")]
Threads = Annotated[
    int | None,
    _outputs("--threads", metavar="N", help="Processor threads; as many as torch takes if not given."),
]
Seed = Annotated[int, _option("--seed", metavar="N", help="Fixes everything random.")]
Quiet = Annotated[bool, _outputs("--quiet", help="No notes and no progress; results and refusals only.")]
Json = Annotated[bool, _outputs("--json", help="Results as one JSON object on standard output.")]

# Of fit.
ModelOut = Annotated[Path, _option("-o", "--out", metavar="FILE", help="Model file to write, .safetensors.")]
Config = Annotated[
    Path | None,
    _option(
        "--config",
        metavar="FILE",
        help="Options from a .toml file; the command line decides where both speak. "
        "All options that were used are written beside the model, into NAME.used.toml.",
        callback=read_config,
        is_eager=True,
    ),
]
Columns = Annotated[
    list[str] | None,
    _table(
        "--columns",
        metavar="NAMES",
        help="Columns that the density is of, separated by commas; all that have no other role if not given. "
        "Columns without names go by number, from 1.",
    ),
]
ContextColumns = Annotated[
    list[str] | None,
    _table("--context", metavar="NAMES", help="Columns c that it is given: a density p(x given c)."),
]
Weight = Annotated[str | None, _table("--weight", metavar="NAME", help="Column that says how much each row counts.")]
Support = Annotated[
    list[str] | None,
    _table(
        "--support",
        metavar="NAME=LOW..HIGH",
        help="Ends that samples never leave; NAME=LOW.. and NAME=..HIGH have one, NAME=.. has none. "
        "Once for each column; the others are told from the rows.",
    ),
]
Continuous = Annotated[
    list[str] | None,
    _table("--continuous", metavar="NAMES", help="Columns of numbers that are whole by accident: samples need not be."),
]
Unit = Annotated[
    list[str] | None, _table("--unit", metavar="NAME=UNIT", help="What a column is measured in, once for each column.")
]
Model = Annotated[
    Preset,
    _training(
        "--model",
        metavar="NAME",
        help=f"Which model: {', '.join(Preset)}. The first suits most tables.",
    ),
]
Validation = Annotated[
    float, _training("--validation", metavar="SHARE", help="Share of the rows that decides when to stop.")
]
Test = Annotated[float, _training("--test", metavar="SHARE", help="Share of the rows kept for the final score only.")]
Epochs = Annotated[
    int | None,
    _training(
        "--epochs",
        metavar="N",
        help="Passes over the data at most; if not given as many as lead to 200 validations, and at most 20,000 steps.",
    ),
]
Steps = Annotated[int | None, _training("--steps", metavar="N", help="Optimiser steps at most, instead of --epochs.")]
BatchSize = Annotated[
    int | None,
    _training(
        "--batch-size",
        metavar="N",
        help="Rows per step; a 25th of the training rows, at least 64 and at most 256, if not given.",
    ),
]
LearningRate = Annotated[float, _training("--learning-rate", metavar="RATE", help="Of AdamW, after a short warm-up.")]
Patience = Annotated[
    int,
    _training(
        "--patience",
        metavar="N",
        help="Stop after this many validations without a better one; "
        "there is one after each epoch, or every 25 steps where an epoch has fewer.",
    ),
]
FitReport = Annotated[
    Path | None, _outputs("--report", metavar="FILE", help="Also write the report of the model, .html.")
]
Log = Annotated[Path | None, _outputs("--log", metavar="FILE", help="Also write the training curve as it grows, .csv.")]
Resume = Annotated[bool, _outputs("--resume", help="Go on from where Ctrl-C stopped the same command.")]

# Of score.
Scores = Annotated[
    Path,
    _option("-o", "--out", metavar="FILE", help=f"Log densities to write, in nats, one per row: {WRITABLE}."),
]
Bound = Annotated[
    int | None,
    _option(
        "--bound",
        metavar="N",
        help="For columns of whole numbers: a lower bound of log P from N draws of noise per row, "
        "instead of the density of number plus noise.",
    ),
]
DropScores = Annotated[
    bool, _table("--drop-missing", help="Go on: rows with missing or infinite cells are scored nan.")
]
NoiseSeed = Annotated[int, _option("--seed", metavar="N", help="Of the noise on whole numbers.")]

# Of sample.
Samples = Annotated[Path, _option("-o", "--out", metavar="FILE", help=f"Table to write: {WRITABLE}.")]
SampleRows = Annotated[
    int, _option("-n", "--rows", metavar="N", help="How many rows; for each row of context, if it has one.")
]
Given = Annotated[
    list[str] | None,
    _option("--given", metavar="NAME=NUMBER", help="Values of the context columns, separated by commas."),
]
ContextFile = Annotated[
    Path | None,
    _option(
        "--context", metavar="FILE", help="A table with the context columns; the model draws for each of its rows."
    ),
]

# Of report.
ReportData = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help=f"The table it was fitted to (its test rows are found again), or new rows: {READABLE}.",
        show_default=False,
    ),
]
ReportOut = Annotated[
    Path, _option("-o", "--out", metavar="FILE", help="The report to write, .html: one file, no network.")
]
Previous = Annotated[
    Path | None,
    _option("--previous", metavar="FILE", help="An earlier model of the same columns, to compare with."),
]
ReportRows = Annotated[
    int, _option("--rows", metavar="N", help="Held-out rows to judge by, at most; as many samples are drawn.")
]

# Of export.
OnePassModel = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A model file that draws in one pass: a student that `distil` wrote, or a coupling flow.",
        show_default=False,
    ),
]
ExportOut = Annotated[
    Path, _option("-o", "--out", metavar="FILE", help="The file to write: .onnx, or .pt2 (a program of torch.export).")
]
ExportFormat = Annotated[
    Format | None,
    _option("--format", metavar="NAME", help="onnx or torch; the extension of the file says it, if not given."),
]
LogProb = Annotated[bool, _option("--log-prob", help="The file also gives the log density of each draw, in nats.")]

# Of inspect, bench and demo.
ShowConfig = Annotated[
    bool, _option("--config", help="Only the options it was made with, as `fit --config` reads them.")
]
Batch = Annotated[
    list[int] | None,
    _option("--batch", metavar="N", help="Rows per call, once for each size; 1, 100, 1000 and 10000 if not given."),
]
Seconds = Annotated[
    float,
    _option("--seconds", metavar="SECONDS", help="For each figure, after its first call; one call is always made."),
]
Folder = Annotated[
    Path,
    _option("--folder", metavar="FOLDER", help="Where to write; the demo's own files in it are replaced."),
]
DemoThreads = Annotated[
    int, _outputs("--threads", metavar="N", help="Processor threads; the result depends on it a little.")
]
