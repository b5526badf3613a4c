"""Estimators in files: everything that JSON can hold comes back, and a file of another kind is refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import counterflow as cf
from counterflow.tables.schema import Column, Schema
from counterflow.tabular import Cells, Recipe, finish, prepare, quantiles
from estimator.data import SMALL, X, Y, conditional, density, frame

ELSEWHERE = """
import sys
import numpy as np, torch
import counterflow as cf
torch.set_num_threads(1)
assert isinstance(cf.load(sys.argv[1]), cf.Flow)
fit = cf.ConditionalFlowDensity.load(sys.argv[1])
x = np.load(sys.argv[2])
np.save(sys.argv[3], np.stack([fit.predict(x), fit.sample(x), fit.log_prob(x, x[:, 0])]))
"""


def test_a_density_comes_back_with_its_parameters_names_and_types(tmp_path: Path) -> None:
    fit = density(model="maf", epochs=None, steps=np.int64(2), learning_rate=np.float32(2**-9), integer=("hits",))
    fit.set_params(support={"share": (0, None), 0: (-np.inf, np.float64(50))}).fit(frame())
    fit.save(tmp_path / "m.safetensors")
    again = cf.FlowDensity.load(tmp_path / "m.safetensors")
    expected = {**fit.get_params(), "integer": ["hits"], "support": {"share": (0, None), 0: (None, 50.0)}}
    assert again.get_params() == expected
    assert np.array_equal(again.score_samples(frame()), fit.score_samples(frame()))
    pd.testing.assert_frame_equal(again.sample(5), fit.sample(5))
    assert list(again.feature_names_in_) == list(fit.feature_names_in_)
    assert again.n_features_in_ == 4
    assert np.array_equal(again.fit(frame()).score_samples(frame()), fit.score_samples(frame())), "and fits the same"


def test_what_json_cannot_hold_is_left_out(tmp_path: Path) -> None:
    fit = density(random_state=np.random.RandomState(0)).fit(X)
    fit.save(tmp_path / "m.safetensors")
    again = cf.FlowDensity.load(tmp_path / "m.safetensors")
    assert (again.model, again.random_state) == (None, None)
    assert again.epochs == 2
    assert np.array_equal(again.score_samples(X), fit.score_samples(X))


def test_columns_called_by_numbers_come_back_so(tmp_path: Path) -> None:
    density().fit(pd.DataFrame(X, columns=[7, 3])).save(tmp_path / "m.safetensors")
    assert list(cf.FlowDensity.load(tmp_path / "m.safetensors").sample(2).columns) == [7, 3]


def test_a_conditional_density_comes_back_in_a_new_process_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantiles, "HALVINGS", 60)
    fit = conditional().fit(np.exp(3 * X), Y)
    path, given, found = (str(tmp_path / name) for name in ("m.safetensors", "x.npy", "y.npy"))
    fit.save(path)
    x = np.exp(3 * X[:20])
    np.save(given, x)
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, path, given, found]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.load(found), np.stack([fit.predict(x), fit.sample(x), fit.log_prob(x, x[:, 0])]))


@pytest.mark.parametrize("again", [False, True])
def test_a_file_of_the_other_class_is_refused(again: bool, tmp_path: Path) -> None:
    density().fit(X).save(tmp_path / "d.safetensors")
    conditional().fit(X, Y).save(tmp_path / "c.safetensors")
    if again:  # a file that a loaded estimator wrote is the same
        cf.FlowDensity.load(tmp_path / "d.safetensors").save(tmp_path / "d.safetensors")
        cf.ConditionalFlowDensity.load(tmp_path / "c.safetensors").save(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match=r"c\.safetensors holds a density with context: use ConditionalFlowDensity"):
        cf.FlowDensity.load(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match=r"d\.safetensors holds a density without context: use FlowDensity"):
        cf.ConditionalFlowDensity.load(tmp_path / "d.safetensors")


def test_a_file_of_a_fitted_table_is_an_estimator_too(tmp_path: Path) -> None:
    cells = Cells(X, Y[:, None])
    schema = Schema((Column("a", dtype="float32"), Column("b", dtype="float32")), (Column("c"),))
    finish(prepare(cells, schema, Recipe(steps=2), "x", make=SMALL)).model.save(tmp_path / "c.safetensors")
    fit = cf.ConditionalFlowDensity.load(tmp_path / "c.safetensors")
    assert list(fit.feature_names_in_) == ["c"]
    assert fit.predict(pd.DataFrame({"c": Y})).shape == (200, 2)
    plain = Schema(schema.columns, named=False)
    finish(prepare(Cells(X), plain, Recipe(steps=2), "x", make=SMALL)).model.save(tmp_path / "d.safetensors")
    density_of_table = cf.FlowDensity.load(tmp_path / "d.safetensors")
    assert not hasattr(density_of_table, "feature_names_in_")
    assert np.isfinite(density_of_table.score(X))
    assert density_of_table.sample(3).dtype == np.float32


def test_a_file_of_a_plain_model_is_an_estimator_too(tmp_path: Path) -> None:
    model = cf.models.maf(1, 2, layers=1, hidden=(8,))
    cf.save(tmp_path / "m.safetensors", model)
    fit = cf.ConditionalFlowDensity.load(tmp_path / "m.safetensors")
    assert np.isfinite(fit.predict(X)).all()


def test_the_file_is_that_of_a_table_model(tmp_path: Path) -> None:
    fit = density().fit(frame())
    fit.save(tmp_path / "m.safetensors")
    model = cf.TableModel.load(tmp_path / "m.safetensors")
    assert model.schema.names == ("mass", "hits", "good", "share")
    assert np.array_equal(model.log_prob(frame().to_numpy(float)), fit.score_samples(frame()))
    assert model.facts["estimator"]["class"] == "FlowDensity"
    assert "estimator" not in cf.FlowDensity.load(tmp_path / "m.safetensors").model_.facts


def test_columns_of_an_array_have_no_names_in_the_file(tmp_path: Path) -> None:
    density().fit(X).save(tmp_path / "m.safetensors")
    assert not cf.TableModel.load(tmp_path / "m.safetensors").schema.named
    assert not hasattr(cf.FlowDensity.load(tmp_path / "m.safetensors"), "feature_names_in_")


def test_an_unfitted_estimator_has_nothing_to_save(tmp_path: Path) -> None:
    for estimator in (density(), conditional()):
        with pytest.raises(ValueError, match="not fitted yet"):
            estimator.save(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage", [{"parameters": {"gravity": 1}}, {"look": {"library": "pandas"}}, {"parameters": {"support": [[0]]}}]
)
def test_a_damaged_file_is_said_to_be_one(damage: dict[str, Any], tmp_path: Path) -> None:
    fit = density().fit(X)
    fit.save(tmp_path / "m.safetensors")
    model = cf.TableModel.load(tmp_path / "m.safetensors")
    facts = {**model.facts, "estimator": {**model.facts["estimator"], **damage}}
    cf.TableModel(model.model, model.schema, facts).save(tmp_path / "m.safetensors")
    with pytest.raises(cf.CheckpointError, match="what it says of its estimator is damaged"):
        cf.FlowDensity.load(tmp_path / "m.safetensors")
