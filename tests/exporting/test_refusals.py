"""What cannot be exported is refused in words, and leaves no file."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

import counterflow as cf
from counterflow import bases, families
from counterflow.exporting import ExportProblem
from exporting.flows import made

SMALL = {"layers": 2, "hidden": (8,)}


class Noisy(cf.Bijection):
    """A layer that draws random numbers: no function of the noise that it is given."""

    features = 3

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u + torch.rand(3), u.new_zeros(u.shape[:-1])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class Branching(cf.Bijection):
    """A layer that decides by a value, which no graph can follow."""

    features = 3

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (u if bool(u.sum() > 0) else -u), u.new_zeros(u.shape[:-1])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


def behind(layer: cf.Bijection) -> cf.Flow:
    return cf.Flow(bases.StandardNormal(3), cf.Chain([cf.models.iaf(3, **SMALL).bijection, layer]))


def of_pictures() -> cf.Flow:
    return cf.models.iaf(3, 2, **SMALL, context_encoder=torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2)))


STEPS = r"3 dependent steps.* only a sampler of one pass can be exported: distil .*`counterflow distil`"
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "maf": (lambda: cf.models.maf(3, **SMALL), STEPS),
    "nsf": (lambda: cf.models.nsf(3, **SMALL), STEPS),
    "one maf layer among others": (lambda: behind(cf.models.maf(3, **SMALL).bijection), STEPS),
    "an inverted iaf": (lambda: behind(cf.Inverse(cf.models.iaf(3, **SMALL).bijection)), STEPS),
    "a maf as base": (lambda: cf.models.iaf(3, **SMALL, base=cf.models.maf(3, **SMALL)), STEPS),
    "an autoregressive model": (
        lambda: cf.AutoregressiveModel(cf.MaskedMLP(3, 2, (8,)), families.Normal()),
        "of the class AutoregressiveModel: distil it",
    ),
    "an autoregressive base": (lambda: cf.models.maf_mog(3, **SMALL), STEPS),
    "an encoder without an example": (of_pictures, "goes through a Sequential.*give an example of the context"),
    "a random layer": (lambda: behind(Noisy()), "draws random numbers of its own"),
    "a layer that torch cannot follow": (lambda: behind(Branching()), "torch.export cannot follow this flow"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_flow_without_a_one_pass_sampler_is_refused(case: str, tmp_path: Path) -> None:
    make, words = REFUSED[case]
    for write, name in ((cf.export_onnx, "x.onnx"), (cf.export_torch, "x.pt2")):
        with pytest.raises(ExportProblem, match=words):
            write(tmp_path / name, make())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("example", "words"),
    [(torch.zeros(1, 2), "takes no context, and an example of one was given")],
)
def test_an_example_of_a_context_that_nobody_takes_is_refused(example: Tensor, words: str) -> None:
    with pytest.raises(ExportProblem, match=words):
        cf.export_program(made("iaf"), context=example)


def test_an_example_without_rows_is_refused() -> None:
    with pytest.raises(ExportProblem, match=r"of shape \(B, \.\.\.\), got \(0, 2\)"):
        cf.export_program(made("context"), context=torch.zeros(0, 2))


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"writing ONNX needs {package}: pip install 'counterflow\[onnx\]'"):
        cf.export_onnx(tmp_path / "x.onnx", made("iaf"))
    assert not list(tmp_path.iterdir())


class OffByALittle(onnxruntime.InferenceSession):
    """A runtime whose results are wrong in the fifth digit."""

    def run(self, *arguments: Any) -> Any:
        return [value * 1.00002 for value in super().run(*arguments)]


class ForOneBatchOnly(onnxruntime.InferenceSession):
    """A runtime that gives one row whatever the batch."""

    def run(self, *arguments: Any) -> Any:
        return [value[:1] for value in super().run(*arguments)]


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        (OffByALittle, "by 2.0e-05 of a value in half of the rows, the flow itself by "),
        pytest.param(ForOneBatchOnly, "a batch of 1000", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_runs_wrongly_is_not_left(
    runtime: type, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", runtime)
    (tmp_path / "old.onnx").write_text("as it was")
    with pytest.raises(ExportProblem, match=words):
        cf.export_onnx(tmp_path / "old.onnx", made("iaf"))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.onnx", "as it was")]
