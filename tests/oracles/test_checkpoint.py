"""Checkpoints: what comes back, what is refused and in which words, and that a file is never half written."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import counterflow as cf
from counterflow import checkpoint, models
from counterflow.spec import SpecError, build, spec_of

H = (8, 8)
X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def flow() -> cf.Flow:
    return models.maf(3, layers=2, hidden=H)


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.Tanh(), nn.ELU(0.5), nn.SiLU(), nn.GELU(approximate="tanh"), nn.LeakyReLU(0.2), nn.Sigmoid()],
    ids=str,
)
def test_every_activation_comes_back(activation: nn.Module, tmp_path: Path) -> None:
    model = models.maf(3, layers=1, hidden=H, activation=activation)
    cf.save(tmp_path / "m.safetensors", model)
    assert torch.equal(cf.load(tmp_path / "m.safetensors").log_prob(X), model.log_prob(X))


def test_tied_members_come_back_tied(tmp_path: Path) -> None:
    model = models.made(3, hidden=H, members=3)
    cf.save(tmp_path / "m.safetensors", model)
    again = cf.load(tmp_path / "m.safetensors")
    assert torch.equal(again.log_prob(X), model.log_prob(X))
    assert len(list(again.parameters())) == len(list(model.parameters()))


def test_foreign_module_comes_back_through_modules(tmp_path: Path) -> None:
    model = models.maf(3, 2, layers=1, hidden=H, context_encoder=nn.Bilinear(2, 2, 2)).eval()
    model.context_encoder = nn.Sequential(nn.Linear(4, 2))
    cf.save(tmp_path / "m.safetensors", model)
    with pytest.raises(SpecError, match=r"Sequential at 'context_encoder'.*modules="):
        cf.load(tmp_path / "m.safetensors")
    again = cf.load(tmp_path / "m.safetensors", modules={"context_encoder": nn.Sequential(nn.Linear(4, 2))})
    c = torch.randn(5, 4)
    assert torch.equal(again.log_prob(X, c), model.log_prob(X, c))


def test_precision_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    cf.save(path, flow().double(), metadata={"columns": ["a", "b", "c"]})
    assert cf.load(path).log_prob(X.double()).dtype == torch.float64
    assert cf.read_header(path)["metadata"] == {"columns": ["a", "b", "c"]}


def test_infinite_bounds_are_json(tmp_path: Path) -> None:
    bounds = cf.bijections.bounded([0.0, -float("inf")], [float("inf"), 1.0])
    spec = json.loads(json.dumps(spec_of(bounds), allow_nan=False))
    assert build(spec).maps == bounds.maps


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors: no such file"):
        cf.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("keep", [0, 4, 20, 400, -1])
def test_truncated_file_is_refused(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    cf.save(path, flow())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(cf.CheckpointError, match="not a readable checkpoint, or truncated"):
        cf.load(path)


def test_file_of_another_program_is_refused(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(2)}, tmp_path / "m.safetensors")
    with pytest.raises(cf.CheckpointError, match="not written by Counterflow"):
        cf.load(tmp_path / "m.safetensors")


def test_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    cf.save(tmp_path / "m.safetensors", flow())
    monkeypatch.undo()
    with pytest.raises(cf.CheckpointError, match="newer version"):
        cf.load(tmp_path / "m.safetensors")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    cf.save(path, flow())
    header = {"counterflow": json.dumps(cf.read_header(path))}
    tensors = load_file(path)
    name = next(iter(tensors))
    save_file({**tensors, name: torch.zeros(1)}, path, metadata=header)
    with pytest.raises(cf.CheckpointError, match="do not fit the model"):
        cf.load(path)


def test_what_is_no_class_of_ours_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not a class of Counterflow"):
        cf.save(tmp_path / "m.safetensors", nn.Linear(2, 2))
    assert list(tmp_path.iterdir()) == []


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        cf.save(tmp_path / "no" / "m.safetensors", flow())


def test_interrupted_write_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    model = flow()
    cf.save(path, model)

    def fail(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        cf.save(path, flow())
    monkeypatch.undo()
    assert torch.equal(cf.load(path).log_prob(X), model.log_prob(X))
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
