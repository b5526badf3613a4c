"""The commands; what they do is imported when they run."""

from pathlib import Path

import typer

from ..tabular.presets import Preset
from . import options as o
from .command_line import command_line
from .config import LEFT_OUT, configuration
from .console import Console
from .distil_commands import certify, distil
from .distil_options import ReportTeacher
from .origins import Foreign, From, Trust
from .refusal import EXIT_CODES, refusing

app = typer.Typer(
    name="counterflow",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def counterflow(*, version: o.Version = False) -> None:
    """Densities of tables by autoregressive flows: fit one, score rows, draw new ones."""


@app.command(epilog=EXIT_CODES)
@refusing
def fit(
    data: o.Data,
    out: o.ModelOut,
    *,
    config: o.Config = None,
    columns: o.Columns = None,
    context: o.ContextColumns = None,
    weight: o.Weight = None,
    support: o.Support = None,
    continuous: o.Continuous = None,
    unit: o.Unit = None,
    array: o.Array = None,
    drop_missing: o.DropMissing = False,
    model: o.Model = Preset.RECOMMENDED,
    validation: o.Validation = 0.1,
    test: o.Test = 0.1,
    epochs: o.Epochs = None,
    steps: o.Steps = None,
    batch_size: o.BatchSize = None,
    learning_rate: o.LearningRate = 3e-3,
    patience: o.Patience = 20,
    seed: o.Seed = 0,
    report: o.FitReport = None,
    log: o.Log = None,
    resume: o.Resume = False,
    overwrite: o.Overwrite = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Fit a density to a table.

    counterflow fit events.parquet -o model.safetensors

    counterflow fit events.parquet -o model.safetensors --columns pt,eta --context energy
    """
    given = dict(locals())
    from .declared import declared, listed
    from .fitting import Files, Words, run_fit, use_threads
    from .recipe_options import checked_recipe
    from .roles import Roles, Wanted

    use_threads(threads)
    recipe = checked_recipe(given)
    files = Files(data, out, log, report, overwrite, resume, config)
    again = command_line(fit, given, without=LEFT_OUT)
    resumed = command_line(fit, given, without=["config", "resume"], add=["--resume"])
    roles = Roles(listed("--columns", columns or ()), listed("--context", context or ()), weight)
    said = declared(support or (), unit or (), continuous or ())
    words = Words(again, resumed, configuration(fit, given))
    run_fit(files, recipe, Wanted(data, array, roles, said, drop_missing), words, Console(quiet, json))


@app.command(epilog=EXIT_CODES)
@refusing
def score(
    model: o.ModelFile,
    data: o.Data,
    out: o.Scores,
    *,
    bound: o.Bound = None,
    array: o.Array = None,
    drop_missing: o.DropScores = False,
    seed: o.NoiseSeed = 0,
    overwrite: o.Overwrite = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Log density of every row of a table, in nats.

    counterflow score model.safetensors new.parquet -o scores.csv
    """
    from .fitting import use_threads
    from .scoring import Scoring, run_score

    use_threads(threads)
    run_score(model, data, out, Scoring(array, drop_missing, bound, seed, overwrite), Console(quiet, json))


@app.command(epilog=EXIT_CODES)
@refusing
def sample(
    model: o.ModelFile,
    out: o.Samples,
    rows: o.SampleRows,
    *,
    given: o.Given = None,
    context: o.ContextFile = None,
    array: o.Array = None,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Draw new rows, with the names and types of the table.

    counterflow sample model.safetensors -n 1000 -o samples.csv

    counterflow sample model.safetensors -n 1000 --given energy=50 -o samples.csv
    """
    from .fitting import use_threads
    from .sampling import Sampling, run_sample

    use_threads(threads)
    run_sample(model, out, Sampling(rows, given or (), context, array, seed, overwrite), Console(quiet, json))


@app.command(epilog=EXIT_CODES)
@refusing
def report(
    model: o.ModelFile,
    data: o.ReportData,
    out: o.ReportOut,
    *,
    previous: o.Previous = None,
    teacher: ReportTeacher = None,
    rows: o.ReportRows = 5000,
    array: o.Array = None,
    drop_missing: o.DropMissing = False,
    seed: o.Seed = 0,
    overwrite: o.Overwrite = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Judge a model in one page for a colleague.

    counterflow report model.safetensors events.parquet -o report.html
    """
    given = dict(locals())
    from .fitting import use_threads
    from .reporting import Reporting, run_report

    use_threads(threads)
    how = Reporting(previous, rows, array, drop_missing, seed, overwrite, teacher)
    again = command_line(report, given, without=LEFT_OUT)
    run_report(model, data, out, how, Console(quiet, json), command=again)


app.command(epilog=EXIT_CODES)(refusing(distil))
app.command(epilog=EXIT_CODES)(refusing(certify))


@app.command(epilog=EXIT_CODES)
@refusing
def export(
    model: o.OnePassModel,
    out: o.ExportOut,
    *,
    format: o.ExportFormat = None,
    log_prob: o.LogProb = False,
    overwrite: o.Overwrite = False,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Write the sampler of a one-pass model as ONNX, to run without Python.

    counterflow export student.safetensors -o student.onnx
    """
    from .exporting import Exporting, run_export
    from .fitting import use_threads

    use_threads(threads)
    run_export(model, out, Exporting(format, log_prob, overwrite), Console(quiet, json))


@app.command(epilog=EXIT_CODES)
@refusing
def convert(
    model: Foreign,
    out: o.ModelOut,
    origin: From,
    *,
    trust_pickle: Trust = False,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Turn a model of zuko, nflows, normflows or Pyro into a model file.

    counterflow convert flow.pt --from zuko -o model.safetensors --trust-pickle
    """
    from .converting import run_convert

    run_convert(model, out, origin, Console(quiet, json), trust=trust_pickle, overwrite=overwrite)


@app.command(epilog=EXIT_CODES)
@refusing
def inspect(model: o.ModelFile, *, config: o.ShowConfig = False, json: o.Json = False) -> None:
    """Say what a model file holds, what each direction costs, and how it was made."""
    from .inspecting import run_inspect

    run_inspect(model, Console(json=json), configuration=config)


@app.command(epilog=EXIT_CODES)
@refusing
def bench(
    model: o.ModelFile,
    *,
    batch: o.Batch = None,
    seconds: o.Seconds = 1.0,
    threads: o.Threads = None,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """Time both directions of a model on this machine.

    counterflow bench model.safetensors --batch 1 --batch 1000
    """
    from .bench import run_bench
    from .fitting import use_threads

    use_threads(threads)
    run_bench(model, batch, seconds, Console(quiet, json))


@app.command(epilog=EXIT_CODES)
@refusing
def demo(
    folder: o.Folder = Path("counterflow-demo"),
    *,
    seed: o.Seed = 0,
    threads: o.DemoThreads = 1,
    quiet: o.Quiet = False,
    json: o.Json = False,
) -> None:
    """All of it on real handwritten digits: fit, compare with a Gaussian, sample, distil, report."""
    from .demo import run_demo
    from .fitting import use_threads

    use_threads(threads)
    run_demo(folder, seed, threads, Console(quiet, json))


def main() -> None:
    """Entry point."""
    app()
