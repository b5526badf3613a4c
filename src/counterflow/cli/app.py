"""The commands and their options; what they do is imported when they run."""

from pathlib import Path
from typing import Annotated

import typer

from .command_line import command_line
from .console import Console
from .presets import Preset
from .refusal import refusing

EXIT_CODES = (
    "Exit codes: 0 done, 2 an option, 3 a data file, 4 a model file, 5 an output, 6 training diverged, 130 Ctrl-C."
)

app = typer.Typer(
    name="counterflow",
    help="Densities of tables by autoregressive flows: fit one, score rows, draw new ones.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[Path, typer.Argument(help="Table of numbers: .csv (with or without names), .npy or .npz.")]
ModelFile = Annotated[Path, typer.Argument(help="A model file that `fit` wrote.")]
Array = Annotated[str | None, typer.Option("--array", help="Which array of a .npz file that holds several.")]
DropMissing = Annotated[
    bool, typer.Option("--drop-missing", help="Go on without rows that have missing or infinite cells.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Threads = Annotated[
    int | None, typer.Option("--threads", help="Processor threads; as many as torch takes if not given.")
]
Seed = Annotated[int, typer.Option("--seed", help="Fixes everything random.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No notes and no progress.")]
Json = Annotated[bool, typer.Option("--json", help="Results as one JSON object on standard output.")]


@app.command(epilog=EXIT_CODES)
@refusing
def fit(
    data: Data,
    out: Annotated[Path, typer.Option("-o", "--out", help="Model file to write, .safetensors.")],
    *,
    model: Annotated[
        Preset, typer.Option("--model", help="Which model; `recommended` adapts to the number of rows.")
    ] = Preset.RECOMMENDED,
    validation: Annotated[
        float, typer.Option("--validation", help="Share of the rows that decides when to stop.")
    ] = 0.1,
    test: Annotated[float, typer.Option("--test", help="Share of the rows kept for the final score only.")] = 0.1,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Passes over the data at most; 200, or as many as make 20,000 steps.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Optimiser steps at most, instead of --epochs.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Rows per step; at most the training rows.")] = 256,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of AdamW, after a short warm-up.")] = 3e-3,
    patience: Annotated[
        int, typer.Option("--patience", help="Stop after this many validations without a better one.")
    ] = 20,
    seed: Seed = 0,
    array: Array = None,
    drop_missing: DropMissing = False,
    report: Annotated[Path | None, typer.Option("--report", help="Also write a one-page summary, .html.")] = None,
    log: Annotated[Path | None, typer.Option("--log", help="Also write the training curve as it grows, .csv.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from where Ctrl-C stopped the same command.")] = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit a density to a table: counterflow fit X.npy -o model.safetensors."""
    given = dict(locals())
    from .fitting import Files, Words, run_fit, use_threads
    from .pipeline import Recipe

    use_threads(threads)
    recipe = Recipe(model, validation, test, epochs, steps, batch_size, learning_rate, patience, seed)
    files = Files(data, out, array, log, report, overwrite, resume)
    again = command_line(fit, given, without=["resume", "overwrite"])
    words = Words(again, command_line(fit, given, without=["resume"], add=["--resume"]))
    run_fit(files, recipe, words, Console(quiet, json), drop_missing=drop_missing)


@app.command(epilog=EXIT_CODES)
@refusing
def score(
    model: ModelFile,
    data: Data,
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Log densities to write, in nats, one per row: .csv or .npy.")
    ],
    *,
    array: Array = None,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Go on: rows with missing or infinite cells are scored nan.")
    ] = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Log density of every row: counterflow score model.safetensors X.csv -o scores.csv."""
    from .fitting import use_threads
    from .scoring import run_score

    use_threads(threads)
    run_score(model, data, out, Console(quiet, json), array=array, drop_missing=drop_missing, overwrite=overwrite)


@app.command(epilog=EXIT_CODES)
@refusing
def sample(
    model: ModelFile,
    out: Annotated[Path, typer.Option("-o", "--out", help="Table to write: .csv, .npy or .npz.")],
    rows: Annotated[int, typer.Option("-n", "--rows", help="How many rows.")],
    *,
    seed: Seed = 0,
    overwrite: Overwrite = False,
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Draw new rows: counterflow sample model.safetensors -n 1000 -o samples.csv."""
    from .fitting import use_threads
    from .sampling import run_sample

    use_threads(threads)
    run_sample(model, rows, out, Console(quiet, json), seed=seed, overwrite=overwrite)


@app.command(epilog=EXIT_CODES)
@refusing
def inspect(model: ModelFile, *, json: Json = False) -> None:
    """Say what a model file holds, what each direction costs, and how it was made."""
    from .inspecting import run_inspect

    run_inspect(model, Console(json=json))


@app.command(epilog=EXIT_CODES)
@refusing
def bench(
    model: ModelFile,
    *,
    batch: Annotated[
        list[int] | None,
        typer.Option("--batch", help="Rows per call, once for each size; 1, 100, 1000 and 10000 if not given."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", help="For each figure, after its first call; one call is always made.")
    ] = 1.0,
    threads: Threads = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Time both directions of a model on this machine: counterflow bench model.safetensors."""
    from .bench import run_bench
    from .fitting import use_threads

    use_threads(threads)
    run_bench(model, batch, seconds, Console(quiet, json))


@app.command(epilog=EXIT_CODES)
@refusing
def demo(
    folder: Annotated[
        Path, typer.Option("--folder", help="Where to write; the demo's own files in it are replaced.")
    ] = Path("counterflow-demo"),
    *,
    seed: Seed = 0,
    threads: Annotated[
        int, typer.Option("--threads", help="Processor threads; the result depends on it a little.")
    ] = 1,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit real handwritten digits, compare with a Gaussian, and write a page with samples."""
    from .demo import run_demo
    from .fitting import use_threads

    use_threads(threads)
    run_demo(folder, seed, threads, Console(quiet, json))


def main() -> None:
    """Entry point."""
    app()
