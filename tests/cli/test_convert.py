"""`counterflow convert`: models of other libraries, from files that may hold code."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import counterflow as cf
from cli.running import Runner
from counterflow.training.state import write_state

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
    folder = tmp_path / "folder.pt"
    folder.mkdir()
    text = tmp_path / "text.pt"
    text.write_text("hello world\n")
    arrays = tmp_path / "arrays.npz"
    np.savez(arrays, x=np.zeros(3))
    dumped = tmp_path / "dumped.pt"
    dumped.write_bytes(pickle.dumps(torch.load(saved, weights_only=False)))
    state = tmp_path / "state.safetensors"
    write_state(state, {})
    other = tmp_path / "other.pt"
    torch.save(zuko.flows.CNF(3), other)
    for path, origin, code, words in (
        (tmp_path / "none.pt", "zuko", 4, "no such model file"),
        (folder, "zuko", 4, "is a folder, expected a file that torch.save wrote"),
        (weights, "zuko", 4, "holds weights alone (an OrderedDict), no model"),
        (text, "zuko", 4, "is no file that torch.save wrote"),
        (arrays, "zuko", 4, "is no file that torch.save wrote"),
        (dumped, "zuko", 4, "is a pickle that torch.save did not write: save the model by torch.save(model, path)"),
        (state, "zuko", 4, "is the state of an unfinished training, no model"),
        (Path("model.safetensors"), "zuko", 4, "model.safetensors is a model file of Counterflow already"),
        (cut, "zuko", 4, "damaged"),
        (saved, "nflows", 4, "expected a nflows.flows.Flow, got a zuko"),
        (other, "zuko", 4, "transform"),
    ):
        outcome = run("convert", path, "--from", origin, "-o", tmp_path / "m.safetensors", "--trust-pickle")
        assert outcome.code == code, (path, outcome.err)
        assert words in outcome.err, (path, outcome.err)
        assert outcome.err.startswith("counterflow: ")
        assert outcome.err.count("\n") == 1
        assert not (tmp_path / "m.safetensors").exists()


def test_a_model_saved_before_torch_wrote_archives_is_read(saved: Path, tmp_path: Path, run: Runner) -> None:
    old = tmp_path / "old.pt"
    torch.save(torch.load(saved, weights_only=False), old, _use_new_zipfile_serialization=False)
    out = tmp_path / "m.safetensors"
    assert run("convert", old, "--from", "zuko", "-o", out).code == 2
    assert run("convert", old, "--from", "zuko", "-o", out, "--trust-pickle").code == 0


@pytest.mark.parametrize("constrained", [False, True])
def test_a_parameter_store_of_pyro_is_called_one(constrained: bool, tmp_path: Path, run: Runner) -> None:
    pyro = pytest.importorskip("pyro")
    pyro.clear_param_store()
    pyro.module("transform", pyro.distributions.transforms.affine_autoregressive(3, [8]))
    if constrained:
        pyro.param("scale", torch.ones(2), constraint=torch.distributions.constraints.positive)
    pyro.get_param_store().save(str(tmp_path / "store.pt"))
    pyro.clear_param_store()
    out = tmp_path / "m.safetensors"
    outcome = run("convert", tmp_path / "store.pt", "--from", "pyro", "-o", out, "--trust-pickle")
    assert outcome.code == 4
    assert "store.pt holds a parameter store of Pyro, no distribution: in Python, build the transforms" in outcome.err
    assert outcome.err.endswith("load the store into them, and call counterflow.interop.from_pyro(distribution)\n")


def test_a_converted_model_says_where_it_comes_from(saved: Path, tmp_path: Path, run: Runner) -> None:
    torch.save(zuko.flows.MAF(3, transforms=1, hidden_features=(8,)), saved)
    assert run("convert", saved, "--from", "zuko", "-o", "m.safetensors", "--trust-pickle").code == 0
    said = run("inspect", "m.safetensors").out
    assert said.endswith("\nConverted from flow.pt, a model of zuko.\n")
    outcome = run("report", "m.safetensors", "good.npy", "-o", "r.html")
    assert outcome.code == 0
    words = "rows of good.npy (the model was converted from zuko: its own table is not known)"
    assert f"Judging on 60 rows: {words}.\n" in outcome.err
    assert words in Path("r.html").read_text(encoding="utf-8")
