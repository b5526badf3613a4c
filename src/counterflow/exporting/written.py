"""Exported files: written beside, run on noise and compared with the flow, and only then given their name."""

import copy
import dataclasses
import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ..files import replacing
from ..flow import Flow
from ..model import Model
from ..tables.schema import Schema
from ..tabular import TableModel
from .agreement import Run, agreement
from .facts import as_text, facts
from .folding import Decompositions
from .problem import ExportProblem
from .program import example_context, quiet, traced
from .sampler import Sampler
from .stable import WRITTEN_OUT

FilePath = str | os.PathLike[str]
Write = Callable[[Path, ExportedProgram, dict[str, Any]], Run]
OPSET = 20
_LARGEST = 2**31 - 2**20  # bytes that one ONNX file can hold


@dataclasses.dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: Where.
        largest_difference: Between its output and the flow's in double precision, from the same noise, relative to the
            size of a value.
        rounding: The same of the flow itself, in its own precision.
        facts: What it says of itself.
    """

    path: Path
    largest_difference: float
    rounding: float
    facts: dict[str, Any]


def export_onnx(
    path: FilePath, flow: Model | TableModel, *, context: Tensor | None = None, log_prob: bool = False
) -> Exported:
    r"""Write the sampler as ONNX: noise (B, D)[, context (B, M)] -> x (B, D)[, log_prob (B)], any B.

    .. math:: x = f(u, c), \qquad \log q(x | c) = \log p_u(u) - \log\left|\frac{dx}{du}\right|

    The file is run in onnxruntime on noise, at batches of 1,000 and 1, before it gets its name; a file of that name is
    replaced. Its metadata says of which law the noise is to be drawn, and names the columns of a model of a table.

    Args:
        path: Of the file, .onnx.
        flow: As in `export_program`; a `TableModel` gives rows in the columns' own units, before whole numbers
            are rounded down and ends are clipped.
        context: An example, as in `export_program`.
        log_prob: Whether to give log q(x | c) too, in nats.

    Raises:
        ImportError: onnx, onnxscript or onnxruntime is not installed.
        ExportProblem: the flow samples one coordinate after the other; a layer has no ONNX form; the file is above
            2 GiB; or its output differs from the flow's in double precision by more than 1e-5 and several times what
            the flow's own does. Then nothing is written.
        FileNotFoundError: the folder does not exist.

    Error: rounding; `Exported.largest_difference` is measured.    Cost: seconds.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _optional(package)
    return _export(Path(path), flow, context, log_prob=log_prob, write=_write_onnx, decompositions=WRITTEN_OUT)


def export_torch(
    path: FilePath, flow: Model | TableModel, *, context: Tensor | None = None, log_prob: bool = False
) -> Exported:
    """Write the sampler as a program of `torch.export`, .pt2, as `export_onnx` does it.

    What the file says of itself is its extra file `counterflow.json`; `torch.export.load(path).module()` runs it.

    Raises:
        ExportProblem: the flow samples one coordinate after the other; torch cannot follow it; or the outputs differ.
        FileNotFoundError: the folder does not exist.
    """
    return _export(Path(path), flow, context, log_prob=log_prob, write=_write_torch, decompositions={})


def _export(
    path: Path,
    flow: Model | TableModel,
    example: Tensor | None,
    *,
    log_prob: bool,
    write: Write,
    decompositions: Decompositions,
) -> Exported:
    model, schema = _parts(flow)
    sampler = Sampler(model, log_prob=log_prob)
    assert isinstance(model, Flow)  # the sampler refuses others
    examples = example_context(model, example)
    told = facts(sampler, examples, schema)
    reference = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    program = traced(sampler, examples, decompositions)
    with replacing(path) as partial:
        run = write(partial, program, told)
        found = agreement(reference, sampler, run, examples)
    return Exported(path, found.largest, found.rounding, told)


def _parts(flow: Model | TableModel) -> tuple[Model, Schema | None]:
    if not isinstance(flow, TableModel):
        return flow, None
    # A model that no table made has nameless columns of its own invention: they say nothing.
    return flow.model, flow.schema if flow.schema.named else None


def _write_onnx(path: Path, program: ExportedProgram, told: dict[str, Any]) -> Run:
    """The file, and how onnxruntime runs it."""
    names = [spec.arg.name for spec in program.graph_signature.input_specs if spec.arg.name in ("noise", "context")]
    outputs = ["x", "log_prob"][: len(program.graph_signature.user_outputs)]
    with quiet():
        try:
            exported = torch.onnx.export(
                program,
                input_names=names,
                output_names=outputs,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except Exception as error:
            reason = str(error.__cause__ or error).strip().splitlines()
            raise ExportProblem(f"torch.onnx cannot write this flow: {reason[0]}") from error
    assert exported is not None
    if sum(value.nbytes for value in [*program.state_dict.values(), *_tensors(program)]) > _LARGEST:
        raise ExportProblem("one ONNX file holds at most 2 GiB, and this flow is larger")
    proto = exported.model_proto
    proto.doc_string, proto.producer_name, proto.producer_version = told["about"], "counterflow", told["version"]
    for name, text in as_text(told).items():
        proto.metadata_props.add(key=name, value=text)
    for node in proto.graph.node:  # lines of Python, with the folders of this machine
        del node.metadata_props[:]
    path.write_bytes(proto.SerializeToString())
    try:
        session = _optional("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen kinds
        raise ExportProblem(f"onnxruntime cannot run what torch.onnx wrote of this flow: {error}") from error

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = dict(zip(names, (t.numpy() for t in inputs), strict=True))
        return tuple(map(torch.from_numpy, session.run(None, arrays)))

    return run


def _write_torch(path: Path, program: ExportedProgram, told: dict[str, Any]) -> Run:
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={"counterflow.json": json.dumps(told)})
    with path.open("rb") as file:
        return torch.export.load(file).module()


def _tensors(program: ExportedProgram) -> list[Tensor]:
    return [value for value in program.constants.values() if isinstance(value, Tensor)]


def _optional(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ImportError(f"writing ONNX needs {package}: pip install 'counterflow[onnx]'") from error
