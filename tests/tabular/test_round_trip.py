"""A table with whole numbers, supports, weights and a context goes round: fit, save, load elsewhere, sample, score."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import counterflow as cf
from counterflow.tables.schema import Column, Kind
from counterflow.tabular import Fitted, TableModel, table_model
from counterflow.tabular.fitting import build
from counterflow.tabular.parts import parted
from tabular.worlds import CONTEXT, FEW, MIXED, SMALL, SUPPORT, fitted, linear_gaussian, mixed_table

ELSEWHERE = """
import sys
import numpy as np, torch
torch.set_num_threads(1)
import counterflow as cf
assert isinstance(cf.load(sys.argv[1]), cf.Flow)  # before anything of tables was imported
from counterflow import TableModel
model, data = TableModel.load(sys.argv[1]), np.load(sys.argv[2])
sampled = model.sample(2, data["context"], generator=torch.Generator().manual_seed(3))
scores = model.log_prob(data["values"], data["context"], generator=np.random.default_rng(4))
bound = model.log_mass_bound(data["values"], data["context"], draws=2, generator=np.random.default_rng(5))
np.savez(sys.argv[3], sampled=sampled, scores=scores, bound=bound)
print([(c.name, c.dtype, c.unit, c.low, c.high) for c in (*model.schema.columns, *model.schema.context)])
"""


@pytest.fixture(scope="module")
def fit() -> Fitted:
    return fitted(*mixed_table())


def inside(model: TableModel, block: np.ndarray) -> None:
    """Every cell within its support, and a number of its column's type."""
    for column, v in zip(model.schema.columns, block.T, strict=True):
        assert np.isfinite(v).all(), column.name
        assert column.low <= v.min(), column.name
        assert v.max() <= column.high, column.name
        assert np.array_equal(v.astype(column.dtype).astype(float), v), f"{column.name} is not of its type"
        assert not column.whole or np.array_equal(v, np.rint(v)), column.name


def test_the_columns_are_what_they_seem(fit: Fitted) -> None:
    columns = {column.name: column for column in fit.model.schema.columns}
    assert {name: column.dtype for name, column in columns.items()} == {name: t for name, (t, _) in MIXED.items()}
    whole = {name for name, column in columns.items() if column.whole}
    assert whole == {"count", "charge", "pixel", "year", "flag"}
    assert columns["flag"].kind is Kind.BOOLEAN
    found = {name: (c.low, c.high) for name, c in columns.items() if c.bounded and not c.declared}
    inf, pi = float("inf"), np.pi
    expected = {"count": (0, inf), "charge": (-1, 1), "pixel": (0, 16), "flag": (0, 1), "share": (0, 1)}
    assert found == {**expected, "energy": (0, inf), "phi": (-pi, pi)}
    assert {name: (c.low, c.high) for name, c in columns.items() if c.declared} == SUPPORT


def test_a_model_goes_round_through_a_new_process_to_the_last_bit(fit: Fitted, tmp_path: Path) -> None:
    model, (cells, _) = fit.model, mixed_table()
    values, context = cells.values[:100], cells.context[:100]  # type: ignore[index]
    path, given, found = tmp_path / "m.safetensors", tmp_path / "x.npz", tmp_path / "y.npz"
    model.save(path)
    np.savez(given, values=values, context=context)
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, str(path), str(given), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [(c.name, c.dtype, c.unit, c.low, c.high) for c in (*model.schema.columns, *model.schema.context)]
    assert done.stdout.strip() == str(told)
    assert [(name, dtype, unit) for name, dtype, unit, *_ in told] == [
        (name, *rest) for name, rest in (MIXED | CONTEXT).items()
    ]
    there = np.load(found)
    here = model.sample(2, context, generator=torch.Generator().manual_seed(3))
    assert np.array_equal(there["sampled"], here)
    inside(model, there["sampled"])
    scores = model.log_prob(values, context, generator=np.random.default_rng(4))
    assert np.array_equal(there["scores"], scores)
    assert np.isfinite(scores).all()
    bound = model.log_mass_bound(values, context, draws=2, generator=np.random.default_rng(5))
    assert np.array_equal(there["bound"], bound)


def test_the_facts_of_the_fit_are_in_the_file(fit: Fitted, tmp_path: Path) -> None:
    fit.model.save(tmp_path / "m.safetensors")
    loaded = TableModel.load(tmp_path / "m.safetensors")
    assert loaded.facts == fit.model.facts
    assert loaded.facts["data"]["training_rows"] == 320
    assert repr(loaded.schema) == repr(fit.model.schema)


@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_an_untrained_model_never_leaves_the_supports_and_scores_its_own_samples(stretch: float) -> None:
    """100,000 draws; with weights 30 times as large most lie in single precision's last step before an end."""
    cells, schema = mixed_table()
    flow = build(FEW, schema, parted(cells, schema, FEW, "x"), SMALL)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(stretch)
    model = TableModel(flow.eval(), schema)
    context = np.repeat(cells.context, 250, axis=0)  # type: ignore[arg-type]
    drawn = model.sample(1, context, generator=torch.Generator().manual_seed(0))
    assert len(drawn) == 100_000
    inside(model, drawn)
    if stretch == 1.0:
        assert np.isfinite(model.log_prob(drawn, context, generator=np.random.default_rng(1))).all()


def test_samples_of_the_trained_model_are_scored(fit: Fitted) -> None:
    context = mixed_table()[0].context
    drawn = fit.model.sample(1, context, generator=torch.Generator().manual_seed(0))
    assert np.isfinite(fit.model.log_prob(drawn, context)).all()


def test_draws_of_a_context_come_after_each_other() -> None:
    """Means of 400 draws are within 5 standard errors (6e-7 each), and contexts are a thousand apart."""
    model, net = linear_gaussian([Column("a", dtype="float64"), Column("b", dtype="float64")])
    contexts = np.array([[0.0], [1000.0], [-1000.0]])
    drawn = model.sample(400, contexts, generator=torch.Generator().manual_seed(0))
    error = np.linalg.norm(net.scale(), axis=1) / 20
    assert (np.abs(drawn.reshape(3, 400, 2).mean(1) - net.mean(contexts)) < 5 * error).all()


def test_draws_do_not_depend_on_where_a_block_of_them_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not bit for bit: a generator fills short tensors otherwise than long ones. But all rows are there, in order."""
    model, net = linear_gaussian([Column("a", dtype="float64")])
    contexts = 1000.0 * np.arange(7.0)[:, None]
    monkeypatch.setattr(table_model, "chunk_rows", lambda features: 5)
    drawn = model.sample(3, contexts, generator=torch.Generator().manual_seed(0))
    assert np.abs(drawn - net.mean(np.repeat(contexts, 3, axis=0))).max() < 10
    scores = model.log_prob(drawn, np.repeat(contexts, 3, axis=0))
    monkeypatch.undo()
    assert np.allclose(scores, model.log_prob(drawn, np.repeat(contexts, 3, axis=0)), rtol=1e-12)
    assert len(linear_gaussian([Column("a")], 0)[0].sample(13, generator=torch.Generator())) == 13


def test_no_rows_and_no_contexts_are_empty_tables(fit: Fitted) -> None:
    context = mixed_table()[0].context
    assert context is not None
    assert fit.model.sample(0, context[:3], generator=torch.Generator()).shape == (0, len(MIXED))
    assert fit.model.sample(3, context[:0], generator=torch.Generator()).shape == (0, len(MIXED))
    assert fit.model.log_prob(np.empty((0, len(MIXED))), context[:0]).shape == (0,)


def test_a_model_without_a_table_has_nameless_columns(tmp_path: Path) -> None:
    cf.save(tmp_path / "m.safetensors", cf.models.maf(3, 2, layers=1, hidden=(8,)))
    model = TableModel.load(tmp_path / "m.safetensors")
    assert not model.schema.named
    assert model.schema.names == ("column 1", "column 2", "column 3")
    assert model.schema.context_names == ("context 1", "context 2")


def test_a_file_whose_columns_do_not_fit_its_model_is_damaged(fit: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    written = fit.model.schema.to_json()
    for damage in ({"columns": written["columns"][1:]}, {"context": []}, {"columns": [{"name": "a", "kind": "b"}]}):
        cf.save(path, fit.model.model, metadata={"schema": {**written, **damage}})
        with pytest.raises(cf.CheckpointError, match="what it says of its columns is damaged"):
            TableModel.load(path)


def test_a_file_without_a_density_is_refused(tmp_path: Path) -> None:
    cf.save(tmp_path / "m.safetensors", cf.MaskedMLP(2, 2, (8,)))
    with pytest.raises(cf.CheckpointError, match="holds a MaskedMLP, not a density"):
        TableModel.load(tmp_path / "m.safetensors")


def test_rows_and_contexts_that_do_not_fit_are_refused_in_words(fit: Fitted) -> None:
    cells, _ = mixed_table()
    assert cells.context is not None
    with pytest.raises(ValueError, match=r"expected rows of 11 columns, got shape \(400, 10\)"):
        fit.model.log_prob(cells.values[:, 1:], cells.context)
    with pytest.raises(ValueError, match="expected a context for each of the 400 rows, got 399"):
        fit.model.log_prob(cells.values, cells.context[1:])
    with pytest.raises(ValueError, match="context"):
        fit.model.log_prob(cells.values)
    with pytest.raises(ValueError, match="context"):
        fit.model.sample(3, generator=torch.Generator())
    with pytest.raises(ValueError, match="expected 0 or more rows, got -1"):
        fit.model.sample(-1, cells.context, generator=torch.Generator())
    with pytest.raises(ValueError, match="expected at least 1 draw, got 0"):
        fit.model.log_mass_bound(cells.values, cells.context, draws=0, generator=np.random.default_rng(0))
    odd = cells.values.copy()
    odd[7, 0] = 1.5
    with pytest.raises(ValueError, match=r"column 'count' held whole numbers .* and now 1\.5"):
        fit.model.log_prob(odd, cells.context)


def test_a_context_below_zero_where_logarithms_were_taken_is_refused(fit: Fitted) -> None:
    with pytest.raises(ValueError, match="context 1 was positive in all training rows, and now is -2"):
        fit.model.sample(1, np.array([[5.0, 1.0], [-2.0, 1.0]]), generator=torch.Generator())
