"""`counterflow export`: the sampler of a model as a file that runs without Counterflow, checked first."""

import dataclasses
from pathlib import Path

from ..exporting import ExportProblem, export_onnx, export_torch
from .console import Console
from .export_format import EXTENSIONS, Format
from .model_file import load_table_model
from .outputs import check_output
from .refusal import MODEL, USAGE, Refusal


@dataclasses.dataclass(frozen=True)
class Exporting:
    """What to write.

    Attributes:
        format: The extension of the output says it, if not given.
        log_prob: Whether the file gives log densities too.
        overwrite: Replace the output.
    """

    format: Format | None = None
    log_prob: bool = False
    overwrite: bool = False


def run_export(path: Path, out: Path, how: Exporting, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: the output, the model, a sampler of more than one pass, or a package that is missing.
        CheckpointError: damage in the model file.
    """
    extensions = EXTENSIONS.values() if how.format is None else [EXTENSIONS[how.format]]
    check_output(out, extensions, overwrite=how.overwrite, inputs=[path])
    model = load_table_model(path)
    write = export_onnx if out.suffix.lower() == EXTENSIONS[Format.ONNX] else export_torch
    try:
        with console.waiting("exporting and checking"):
            exported = write(out, model, log_prob=how.log_prob)
    except ExportProblem as problem:
        raise Refusal(MODEL, f"{path}: {problem}") from problem
    except ImportError as error:
        raise Refusal(USAGE, f"{out}: {error}") from error
    law, where = exported.facts["noise"]["law"], "onnxruntime" if write is export_onnx else "torch.export"
    console.say(f"Wrote the sampler of {path} to {out}, {out.stat().st_size / 2**20:,.2f} MiB.")
    console.say(exported.facts["about"])
    console.say(
        f"Run in {where} on {law} noise, batches of 1 and of 1,000 rows: the largest difference from the model in "
        f"double precision is {exported.largest_difference:.1e}; the model's own rounding is {exported.rounding:.1e}."
    )
    console.result(
        {
            "written": [str(out)],
            "format": "onnx" if write is export_onnx else "torch",
            "largest_difference": exported.largest_difference,
            "rounding": exported.rounding,
            **exported.facts,
        }
    )
