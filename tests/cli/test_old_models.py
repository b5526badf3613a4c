"""Models that no `fit` of today wrote: files from before schemas, and models saved in Python."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

import counterflow as cf
from cli.running import Runner, table


def rewritten(path: str, *, keep: list[str]) -> None:
    """The model as an older version wrote it: some metadata only."""
    metadata = cf.read_header("model.safetensors")["metadata"]
    cf.save(path, cf.load("model.safetensors"), metadata={name: metadata[name] for name in keep})


def test_a_model_from_before_schemas_scores_by_name_and_samples_with_names(run: Runner) -> None:
    rewritten("old.safetensors", keep=["columns", "data", "recipe", "training", "held_out", "versions", "command"])
    run("score", "model.safetensors", "good.csv", "-o", "new.npy")
    outcome = run("score", "old.safetensors", "good.csv", "-o", "old.npy")
    assert (outcome.code, outcome.err) == (0, "")
    np.testing.assert_array_equal(np.load("old.npy"), np.load("new.npy"))
    assert run("sample", "old.safetensors", "-n", 3, "-o", "s.csv").code == 0
    assert Path("s.csv").read_text().startswith("a,b,c\n")
    assert "Fitted to 48 of the 60 rows of good.csv" in run("inspect", "old.safetensors").out
    assert run("report", "old.safetensors", "good.csv", "-o", "r.html", "--rows", 20).code == 0


def test_a_model_saved_in_python_has_columns_by_number(run: Runner) -> None:
    cf.save("py.safetensors", cf.models.maf(3, layers=1, hidden=(8,)))
    np.save("x.npy", table())
    assert run("score", "py.safetensors", "x.npy", "-o", "s.npy").code == 0
    with torch.no_grad():
        expected = cf.load("py.safetensors").log_prob(torch.tensor(table(), dtype=torch.float32))
    np.testing.assert_allclose(np.load("s.npy"), expected.numpy(), rtol=1e-5)
    assert run("sample", "py.safetensors", "-n", 3, "-o", "x.csv").code == 0
    assert np.loadtxt("x.csv", delimiter=",").shape == (3, 3)
    assert json.loads(run("inspect", "py.safetensors", "--json").out)["names"] is None
    said = run("report", "py.safetensors", "x.npy", "-o", "r.html").err
    assert "rows of x.npy (the model's file does not say which table it was fitted to).\n" in said


def test_a_conditional_model_saved_in_python_takes_its_context_first(run: Runner) -> None:
    cf.save("py.safetensors", cf.models.maf(2, 1, layers=1, hidden=(8,)))
    outcome = run("sample", "py.safetensors", "-n", 3, "-o", "x.npy")
    assert outcome.sentence == (
        "counterflow: this model is given context 1: name values, --given 'context 1=NUMBER', or a file of them, "
        "--context FILE"
    )
    assert run("sample", "py.safetensors", "-n", 3, "--given", "context 1=0.5", "-o", "x.npy").code == 0
    drawn = np.load("x.npy")
    assert np.all(drawn[:, 0] == 0.5)
    assert run("score", "py.safetensors", "x.npy", "-o", "s.npy").code == 0
    with torch.no_grad():
        rows = torch.tensor(drawn, dtype=torch.float32)
        expected = cf.load("py.safetensors").log_prob(rows[:, 1:], rows[:, :1])
    np.testing.assert_allclose(np.load("s.npy"), expected.numpy(), rtol=1e-5)


def test_a_network_of_the_user_s_own_is_refused_in_a_sentence(run: Runner) -> None:
    encoder = nn.Sequential(nn.Linear(7, 3))
    cf.save("own.safetensors", cf.models.maf(2, 3, layers=1, hidden=(8,), context_encoder=encoder))
    for arguments in (
        ["inspect"],
        ["bench"],
        ["sample", "-n", "3", "-o", "x.csv"],
        ["score", "good.csv", "-o", "s.csv"],
    ):
        outcome = run(arguments[0], "own.safetensors", *arguments[1:])
        assert outcome.code == 4
        assert outcome.sentence == (
            "counterflow: own.safetensors holds a network that is not part of Counterflow (context_encoder), which no "
            "command can build; use the model in Python: counterflow.load(path, modules=...)"
        )
