"""`counterflow export`: a model of a table as a file, with its columns; refusals and their exit codes."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import counterflow as cf
from cli.running import Runner, events, write_events

FIT = ["--steps", "4", "--quiet", "--context", "energy", "--weight", "w", "--support", "pt=0.."]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of a table: a MADE, and an IAF with the same columns, as distillation leaves it."""
    from counterflow.cli.app import app

    folder = tmp_path_factory.mktemp("exporting")
    write_events(folder / "x.parquet")
    with pytest.raises(SystemExit) as end:
        app(["fit", str(folder / "x.parquet"), "-o", str(folder / "made.safetensors"), "--model", "made", *FIT])
    assert not end.value.code
    made = cf.TableModel.load(folder / "made.safetensors")
    assert isinstance(made.model, cf.Flow)
    units = made.model.bijection.parts[-1]
    torch.manual_seed(0)
    student = cf.models.iaf(4, 1, layers=2, hidden=(8, 8))
    flow = cf.Flow(student.base, cf.Chain([student.bijection, units]), context_encoder=made.model.context_encoder)
    cf.TableModel(flow, made.schema).save(folder / "iaf.safetensors")
    return folder


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.chdir(folder)
    return Runner(folder, capsys)


def test_rows_from_onnxruntime_are_those_of_the_model(run: Runner, folder: Path) -> None:
    """With the ends and the rounding that the file asks of its reader: then they are those of `sample`."""
    out = folder / "x.onnx"
    done = run("export", folder / "iaf.safetensors", "-o", out, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["largest_difference"] < 1e-5
    assert [column["name"] for column in told["columns"]] == ["n", "pt", "cos", "flag"]
    assert [column["kind"] for column in told["columns"]] == ["integer", "continuous", "continuous", "boolean"]
    assert (told["columns"][1]["unit"], told["columns"][1]["low"]) == ("GeV", 0.0)
    assert [column["name"] for column in told["context_columns"]] == ["energy"]
    session = onnxruntime.InferenceSession(str(out))
    assert json.loads(session.get_modelmeta().custom_metadata_map["counterflow.columns"]) == told["columns"]

    model = cf.TableModel.load(folder / "iaf.safetensors")
    energy = events()["energy"][:, None]
    noise = torch.randn(len(energy), 4, generator=torch.Generator().manual_seed(3))
    (x,) = session.run(["x"], {"noise": noise.numpy(), "context": energy.astype(np.float32)})
    for i, column in enumerate(told["columns"]):
        x[:, i] = np.floor(x[:, i]) if column["kind"] != "continuous" else x[:, i]
        x[:, i] = x[:, i].clip(column.get("low"), column.get("high"))
    expected = model.sample(1, energy, generator=torch.Generator().manual_seed(3))
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5)


def test_the_command_says_what_it_wrote(run: Runner, folder: Path) -> None:
    done = run("export", folder / "iaf.safetensors", "-o", folder / "x.pt2")
    assert done.code == 0
    assert "round them down" in done.out
    assert "standard normal noise" in done.out
    assert "largest difference from the model in double precision is" in done.out
    assert "the model's own rounding is" in done.out


@pytest.mark.slow
def test_a_model_file_in_double_precision_is_exported_so(run: Runner, folder: Path) -> None:
    """As a refusal proposes."""
    t = cf.TableModel.load(folder / "iaf.safetensors")
    t.model.double()
    t.save(folder / "double.safetensors")
    told = json.loads(run("export", folder / "double.safetensors", "-o", folder / "double.pt2", "--json").out)
    assert told["dtype"] == "float64"
    assert told["largest_difference"] < 1e-12
    assert [column["name"] for column in told["columns"]] == ["n", "pt", "cos", "flag"]


REFUSED = [
    (["made.safetensors", "-o", "y.onnx"], 4, "only the sampler of a Flow is one function of noise"),
    (["made.safetensors", "-o", "y.onnx"], 4, "counterflow distil"),
    (["iaf.safetensors", "-o", "y.txt"], 2, "cannot write .txt, only .onnx, .pt2"),
    (["iaf.safetensors", "-o", "y.pt2", "--format", "onnx"], 2, "cannot write .pt2, only .onnx"),
    (["iaf.safetensors", "-o", "nowhere/y.onnx"], 5, "does not exist"),
    (["iaf.safetensors", "-o", "there.onnx"], 5, "exists; --overwrite replaces it"),
    (["none.safetensors", "-o", "y.onnx"], 4, "no such model file"),
    (["x.parquet", "-o", "y.onnx"], 4, "x.parquet"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), REFUSED)
def test_a_refusal_is_one_sentence_and_leaves_nothing(
    arguments: list[str], code: int, words: str, run: Runner, folder: Path
) -> None:
    (folder / "there.onnx").write_text("as it was")
    before = run.snapshot()
    done = run("export", *arguments)
    assert done.code == code
    assert words in done.sentence
    assert run.snapshot() == before


def test_a_missing_package_is_named_with_its_extra(run: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = run("export", folder / "iaf.safetensors", "-o", folder / "z.onnx")
    assert (done.code, done.sentence.endswith("pip install 'counterflow[onnx]'")) == (2, True)
    assert not (folder / "z.onnx").exists()
