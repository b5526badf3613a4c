"""`counterflow convert`: models of other libraries, from files that may hold code."""

import json
import os
from pathlib import Path

import pytest
import torch

import counterflow as cf
from cli.running import Runner

zuko = pytest.importorskip("zuko")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "flow.pt"
    torch.save(zuko.flows.MAF(3, 2, transforms=2, hidden_features=(16,)), path)
    return path


def test_a_saved_model_becomes_a_model_file_with_the_same_density(saved: Path, tmp_path: Path, run: Runner) -> None:
    out = tmp_path / "model.safetensors"
    outcome = run("convert", saved, "--from", "zuko", "-o", out, "--trust-pickle", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["features"] == 3
    theirs, ours = torch.load(saved, weights_only=False), cf.load(out)
    x, c = torch.randn(50, 3), torch.randn(50, 2)
    assert torch.allclose(ours.log_prob(x, c), theirs(c).log_prob(x), atol=1e-4)
    assert cf.read_header(out)["metadata"]["converted_from"] == {"library": "zuko", "file": "flow.pt"}


def test_a_pickle_is_not_read_without_the_flag(tmp_path: Path, run: Runner) -> None:
    """Nothing in it is executed: this one would leave a file."""
    trace = tmp_path / "trace"

    class Trap:
        def __reduce__(self) -> object:
            return os.mkdir, (str(trace),)

    path = tmp_path / "flow.pt"
    torch.save(Trap(), path)
    outcome = run("convert", path, "--from", "zuko", "-o", tmp_path / "m.safetensors")
    assert outcome.code == 2
    assert "reading it runs whatever code was put into it" in outcome.err
    assert "--trust-pickle" in outcome.err
    assert not trace.exists()
    assert not (tmp_path / "m.safetensors").exists()


def test_bad_files_are_refused_in_words(saved: Path, tmp_path: Path, run: Runner) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(zuko.flows.MAF(3, transforms=1).state_dict(), weights)
    cut = tmp_path / "cut.pt"
    cut.write_bytes(saved.read_bytes()[:2000])
    other = tmp_path / "other.pt"
    torch.save(zuko.flows.CNF(3), other)
    for path, origin, code, words in (
        (tmp_path / "none.pt", "zuko", 4, "no such model file"),
        (weights, "zuko", 4, "holds weights alone"),
        (cut, "zuko", 4, "damaged"),
        (saved, "nflows", 4, "expected a nflows.flows.Flow, got a zuko"),
        (other, "zuko", 4, "transform"),
    ):
        outcome = run("convert", path, "--from", origin, "-o", tmp_path / "m.safetensors", "--trust-pickle")
        assert outcome.code == code, (path, outcome.err)
        assert words in outcome.err, (path, outcome.err)
        assert not (tmp_path / "m.safetensors").exists()
