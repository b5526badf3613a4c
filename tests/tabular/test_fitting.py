"""Fitting a table: fresh noise, weights, repeatable to the last bit, resumed to the last bit."""

import dataclasses
import functools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow.tables import TableError
from counterflow.tables.schema import Column, Kind, Schema
from counterflow.tabular import Cells, Preset, Recipe, Watch, finish, fitting, fitting_batch, prepare
from counterflow.tabular.fitting import noisy_likelihood
from counterflow.tabular.making import make_model
from counterflow.tabular.memory import physical_bytes, training_bytes
from counterflow.tabular.parts import parted, shuffled
from counterflow.training import Rows, TrainingInterrupted
from tabular.worlds import FEW, SMALL, columns_of, fitted, mixed_table

R = np.random.default_rng(4)
INTEGERS = Cells(np.stack([R.poisson(3, 300), R.integers(0, 2, 300), R.normal(size=300)], 1).astype(float))
SCHEMA = Schema(columns_of(INTEGERS.values))


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Recorder(cf.Flow):
    """Remembers what it was asked to score."""

    def __init__(self) -> None:
        super().__init__(cf.bases.StandardNormal(3), cf.bijections.Permutation(range(3)))
        self.seen: list[Tensor] = []

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        self.seen.append(x)
        return super().log_prob(x)


def test_every_training_step_sees_fresh_noise_on_whole_columns_only() -> None:
    """Kolmogorov's distance of 5000 draws: beyond 2.3 / sqrt(N) with probability 5e-5."""
    module = Recorder().train()
    x = torch.tensor([[2.0, 0.5, -7.0]]).repeat(5000, 1)
    for _ in range(2):
        noisy_likelihood(module, Rows(x), whole=(0, 2))
    first, second = module.seen
    assert torch.equal(x, torch.tensor([[2.0, 0.5, -7.0]]).repeat(5000, 1)), "the rows were written to"
    assert torch.equal(first[:, 1], x[:, 1])
    for i in (0, 2):
        assert float((first[:, i] == second[:, i]).float().mean()) < 0.01
        u = np.sort((first[:, i] - x[:, i]).numpy())
        assert u[0] >= 0
        assert u[-1] <= 1
        assert np.abs(u - (np.arange(5000) + 0.5) / 5000).max() < 2.3 / np.sqrt(5000)
    noisy_likelihood(module.eval(), Rows(x), whole=(0, 2))
    assert torch.equal(module.seen[-1], x), "held-out rows have their noise already"


def test_training_passes_noise_on_and_held_out_rows_have_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, Tensor]] = []

    def watched(module: Any, batch: Rows) -> Tensor:
        seen.append((module.training, batch.x.clone()))
        return -module.log_prob(batch.x).mean()

    monkeypatch.setattr(fitting, "negative_log_likelihood", watched)
    fitted(INTEGERS, SCHEMA, dataclasses.replace(FEW, steps=30))
    training = [x for training, x in seen if training]
    held_out = [x for training, x in seen if not training]
    assert len(training) == 30
    assert all((x[:, :2] != x[:, :2].round()).float().mean() > 0.99 for x in training)
    assert len(held_out) > 1
    assert all(torch.equal(x, held_out[0]) for x in held_out), "the noise of held-out rows is drawn once"
    assert (held_out[0][:, :2] != held_out[0][:, :2].round()).float().mean() > 0.99


def test_a_fit_repeats_to_the_last_bit_and_another_seed_is_another_fit() -> None:
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(len(found))  # whatever the global stream holds
        prepared = prepare(INTEGERS, SCHEMA, dataclasses.replace(FEW, seed=seed), "x", make=SMALL)
        torch.rand(7)
        fit = finish(prepared)
        found.append((weights_of(fit.model.model), fit.history.records[-1].loss, fit.score, fit.parts.order))
    assert same(found[0][0], found[1][0])
    assert found[0][1:3] == found[1][1:3]
    assert np.array_equal(found[0][3], found[1][3])
    assert not same(found[0][0], found[2][0])
    assert not np.array_equal(found[0][3], found[2][3])


def test_a_fit_leaves_the_global_streams_alone() -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002  (the global stream is what this is about)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]  # noqa: NPY002
    fitted(INTEGERS, SCHEMA)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]  # noqa: NPY002


def test_a_fit_of_whole_numbers_that_was_interrupted_resumes_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = dataclasses.replace(FEW, steps=12)
    whole = fitted(INTEGERS, SCHEMA, recipe)
    loss, left = fitting.noisy_likelihood, [7]

    def pressed(module: Any, batch: Rows, *, whole: tuple[int, ...]) -> Tensor:
        left[0] -= module.training
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(module, batch, whole=whole)

    monkeypatch.setattr(fitting, "noisy_likelihood", pressed)
    watch = Watch(tmp_path / "state.safetensors")
    with pytest.raises(TrainingInterrupted):
        finish(prepare(INTEGERS, SCHEMA, recipe, "x", make=SMALL), watch)
    torch.manual_seed(99)
    again = finish(
        prepare(INTEGERS, SCHEMA, recipe, "x", make=SMALL), Watch(tmp_path / "state.safetensors", resume=True)
    )
    assert again.history == whole.history
    assert same(weights_of(again.model.model), weights_of(whole.model.model))
    assert again.score == whole.score


def test_rows_of_weight_zero_are_not_learned_from() -> None:
    """Two clusters ten apart; the one without weight stays empty, and with other weights it is the other one."""
    x = np.concatenate([R.normal(0, 1, 300), R.normal(10, 1, 300)])
    recipe = Recipe(steps=150, batch_size=128, learning_rate=0.02, validation=0.0, test=0.0)
    for weight, mean in ((x < 5, 0.0), (x > 5, 10.0)):
        cells = Cells(x[:, None], weight=weight.astype(float))
        model = fitted(cells, Schema(columns_of(cells.values)), recipe).model
        drawn = model.sample(2000, generator=torch.Generator().manual_seed(0))
        assert abs(np.median(drawn) - mean) < 1.5


def test_the_noise_of_training_teaches_the_density_of_dequantised_numbers() -> None:
    """P(1) of a boolean column is learned within 0.05; without noise the density would be a pair of spikes."""
    cells = Cells((R.uniform(size=(1000, 1)) < 0.2).astype(float))
    recipe = Recipe(steps=200, batch_size=128, learning_rate=0.02)
    make = functools.partial(cf.models.nsf, layers=1, hidden=(8,))
    model = fitted(cells, Schema(columns_of(cells.values)), recipe, make).model
    share = cells.values.mean()
    assert abs(model.sample(4000, generator=torch.Generator().manual_seed(0)).mean() - share) < 0.05
    bound = model.log_mass_bound(np.array([[0.0], [1.0]]), draws=200, generator=np.random.default_rng(0))
    assert np.abs(np.exp(bound) - [1 - share, share]).max() < 0.05


# What may be asked to make the model.


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda d, m: nn.Linear(d, d), TypeError, "expected the function to make a model of 3 columns, got a Linear"),
        (lambda d, m: SMALL(d + 1, m), ValueError, "a model of 3 columns, got one of 4"),
        (lambda d, m: SMALL(d, m + 1), ValueError, "a model given 0 columns, got one given 1"),
        (lambda d, m: SMALL(d, 1, context_encoder=nn.Linear(2, 1)), ValueError, "without a context encoder"),
    ],
)
def test_a_function_that_makes_another_model_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        prepare(INTEGERS, SCHEMA, FEW, "x", make=make)


@pytest.mark.parametrize("make", [cf.models.made, cf.models.made_mog, functools.partial(cf.models.made, members=2)])
def test_models_that_are_no_flows_are_fitted_in_their_units_too(make: Any) -> None:
    fit = fitted(INTEGERS, SCHEMA, FEW, functools.partial(make, hidden=(8,)))
    drawn = fit.model.sample(50, generator=torch.Generator().manual_seed(0))
    assert np.isfinite(fit.model.log_prob(drawn)).all()


@pytest.mark.slow
@pytest.mark.parametrize("preset", Preset)
def test_every_preset_fits_and_draws(preset: Preset) -> None:
    cells, schema = mixed_table(60)
    fit = fitted(cells, schema, dataclasses.replace(FEW, model=preset, steps=1), make=None)
    drawn = fit.model.sample(1, cells.context, generator=torch.Generator().manual_seed(0))
    assert drawn.shape == cells.values.shape
    assert np.isfinite(drawn).all()


# The recipe and the parts.


def test_the_steps_are_those_of_the_recipe() -> None:
    assert fitted(INTEGERS, SCHEMA, Recipe(steps=3, batch_size=50)).history.steps == 3
    assert fitted(INTEGERS, SCHEMA, Recipe(epochs=2, batch_size=50)).history.steps == 2 * (240 // 50)
    assert fitting_batch(Recipe(batch_size=1000), parted(INTEGERS, SCHEMA, Recipe(), "x").training) == 240


@pytest.mark.parametrize(("rows", "batch"), [(20, 20), (200, 64), (1600, 64), (2500, 100), (6400, 256), (10**6, 256)])
def test_small_tables_have_small_batches_and_many_steps_before_a_validation(rows: int, batch: int) -> None:
    """A table of some hundred rows was left after a few hundred steps of one whole epoch each."""
    training = Rows(torch.zeros(rows, 1))
    assert fitting_batch(Recipe(), training) == batch
    assert fitting_batch(Recipe(batch_size=7), training) == 7


def test_an_epoch_of_few_steps_is_not_validated_each_time() -> None:
    """240 rows in batches of 64 make 3 steps."""
    history = fitted(INTEGERS, SCHEMA, Recipe(steps=60)).history
    assert [record.step for record in history.records if record.validation is not None] == [25, 50, 60]
    assert fitted(INTEGERS, SCHEMA, Recipe(patience=2, learning_rate=0.1)).history.steps > 50


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 2, "steps": 3}, "epochs and steps exclude each other"),
        ({"epochs": 0}, "expected epochs of at least 1, got 0"),
        ({"steps": -1}, "expected steps of at least 1, got -1"),
        ({"batch_size": 0}, "expected batch_size of at least 1, got 0"),
        ({"patience": 0}, "expected patience of at least 1, got 0"),
        ({"seed": -1}, "expected seed of at least 0, got -1"),
        ({"learning_rate": 0.0}, "expected a learning_rate above 0, got 0.0"),
        ({"learning_rate": float("nan")}, "expected a learning_rate above 0, got nan"),
        ({"validation": 1.0}, "expected validation as a share of the rows, from 0 to less than 1, got 1.0"),
        ({"test": -0.1}, "expected test as a share"),
        ({"validation": 0.6, "test": 0.5}, "validation=0.6 and test=0.5 leave no rows to train on"),
    ],
)
def test_a_recipe_that_is_none_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recipe(**changes)


def test_the_parts_are_disjoint_and_all_the_rows() -> None:
    cells, schema = mixed_table(400)
    recipe = Recipe(validation=0.2, test=0.1)
    parts = parted(cells, schema, recipe, "x")
    assert (parts.training.count, parts.validation.count, parts.test.count) == (280, 80, 40)
    assert sorted(parts.order) == list(range(400))
    order, validation, test = shuffled(400, recipe)
    assert np.array_equal(order, parts.order)
    for rows, some in ((parts.training, order[:validation]), (parts.test, order[test:])):
        assert cells.context is not None
        assert cells.weight is not None
        assert rows.context is not None
        assert rows.weight is not None
        assert np.allclose(rows.context.numpy(), cells.context[some])
        assert np.allclose(rows.weight.numpy(), cells.weight[some])
        assert np.allclose(np.floor(rows.x[:, :5].numpy()), cells.values[some, :5]), "whole numbers, with noise or none"
    assert torch.equal(parts.training.x[:, :5], parts.training.x[:, :5].round())
    assert (parts.test.x[:, 0] != parts.test.x[:, 0].round()).float().mean() > 0.9
    assert (parts.validation.x[:, 4] != parts.validation.x[:, 4].round()).float().mean() > 0.9


def test_two_tables_have_two_fingerprints() -> None:
    cells, _ = mixed_table(50)
    again, _ = mixed_table(50)
    assert cells.fingerprint() == again.fingerprint()
    assert cells.weight is not None
    for other in (cells.take(np.arange(49)), dataclasses.replace(cells, weight=2 * cells.weight)):
        assert other.fingerprint() != cells.fingerprint()


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_weights_of_a_part_without_a_positive_sum_are_refused_before_anything_is_trained(part: str) -> None:
    recipe = Recipe(validation=0.1, test=0.1)
    order, validation, test = shuffled(300, recipe)
    weight = np.ones(300)
    slices = {"training": slice(validation), "validation": slice(validation, test), "test": slice(test, None)}
    weight[order[slices[part]]] = 0.0
    with pytest.raises(TableError, match=rf"x: the weights of the \d+ {part} rows sum to 0; the sum must be positive"):
        prepare(dataclasses.replace(INTEGERS, weight=weight), SCHEMA, recipe, "x", make=SMALL)


def test_a_context_that_single_precision_cannot_tell_apart_is_refused_and_a_constant_one_is_not() -> None:
    x = R.normal(size=(200, 1))
    schema = Schema(columns_of(x), (Column("time"),))
    with pytest.raises(TableError, match=r"context column 'time' reaches 1\.7e\+09 with .* too fine for single"):
        prepare(Cells(x, 1.7e9 + R.uniform(0, 100, (200, 1))), schema, FEW, "x", make=SMALL)
    with pytest.raises(TableError, match=r"context column 'time' reaches 9\.\d+e\+38, too large for single"):
        prepare(Cells(x, np.linspace(1e38, 1e39, 200)[:, None]), schema, FEW, "x", make=SMALL)
    constant = np.full((200, 1), 0.1)
    model = fitted(Cells(x, constant), schema).model
    assert np.isfinite(model.log_prob(x, constant)).all()


def test_a_context_that_is_not_positive_in_a_held_out_row_only_is_fitted_and_scored() -> None:
    """No logarithm is taken of it, then: the fit would stop at that row, after all its training if it is a test row."""
    x, over_decades = R.normal(size=(200, 1)), R.lognormal(0, 4, (200, 1))
    order, validation, _ = shuffled(200, FEW)
    schema = Schema(columns_of(x), (Column("c"),))
    for row in (order[validation], order[-1]):
        context = over_decades.copy()
        context[row] = -1.0
        assert fitted(Cells(x, context), schema).score is not None


def test_too_few_training_rows_are_refused() -> None:
    with pytest.raises(TableError, match="x, the 1 training rows: 1 row, expected at least 2"):
        prepare(Cells(R.normal(size=(5, 1))), Schema((Column("a"),)), Recipe(validation=0.9, test=0.0), "x", make=SMALL)


def test_whole_numbers_are_whole_in_the_schema_that_noise_is_drawn_by() -> None:
    assert [column.kind for column in SCHEMA.columns] == [Kind.INTEGER, Kind.INTEGER, Kind.CONTINUOUS]


@pytest.mark.parametrize("preset", [Preset.RECOMMENDED, Preset.MAF, Preset.NICE])
def test_the_memory_of_a_large_model_is_told_from_small_ones(preset: Preset) -> None:
    model = make_model(preset, 60, 3)
    parameters = sum(p.numel() * p.element_size() for p in model.parameters())
    buffers = sum(b.numel() * b.element_size() for b in model.buffers())
    expected = 5 * parameters + buffers + 1000 * 63 * 20
    assert training_bytes(preset, 60, 3, 1000) == pytest.approx(expected, rel=0.02)
    there = physical_bytes()
    assert there is None or 2**28 < there < 2**50
