"""Quantiles of p(y | c) against closed forms and against many draws."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

import counterflow as cf
from counterflow import bases, families, univariate
from counterflow.bases import Base
from counterflow.bijections import Chain, Elementwise, Standardise
from counterflow.tables.schema import Column, Kind, Schema
from counterflow.tabular import TableModel
from counterflow.tabular import quantiles as module
from counterflow.tabular.fitting import in_units
from counterflow.tabular.quantiles import quantiles
from tabular.worlds import KNOWN, from_gaussian, known_column, linear_gaussian

LEVELS = [1e-9, 1e-4, 0.05, 0.3, 0.5, 0.9, 0.999, 1 - 1e-9]
CONTEXTS = np.array([[0.0], [1.0], [-3.0], [40.0], [-1e6]])  # far beyond any training range


def z_of(net: object, contexts: np.ndarray, levels: list[float]) -> np.ndarray:
    """Quantiles of the Gaussian before it is pushed anywhere, (N, levels)."""
    mean, scale = net.mean(contexts)[:, :1], net.scale()[0, 0]  # type: ignore[attr-defined]
    return np.asarray(mean + scale * stats.norm.ppf(levels))


@pytest.mark.parametrize("kind", KNOWN)
def test_quantiles_of_one_column_are_the_closed_form(kind: str) -> None:
    column, units = known_column(kind)
    model, net = linear_gaussian([column], units=units)
    with np.errstate(over="ignore"):
        expected = from_gaussian(kind, z_of(net, CONTEXTS, LEVELS))
    if column.whole:
        expected = np.clip(expected, column.low, column.high)
    found = quantiles(model, CONTEXTS, LEVELS, draws=1, seed=0)
    assert found.shape == (len(CONTEXTS), len(LEVELS), 1)
    # Near an end of a support double precision cannot tell apart what the distribution function still does.
    tolerance = 0.0 if column.whole else 1e-7
    assert np.allclose(found[..., 0], expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KNOWN)
def test_quantiles_are_inside_the_support_and_in_order(kind: str) -> None:
    column, units = known_column(kind)
    model, _ = linear_gaussian([column], units=units)
    found = quantiles(model, CONTEXTS, LEVELS, draws=1, seed=0)[..., 0]
    assert (np.diff(found, axis=1) >= 0).all()
    assert (found >= column.low).all()
    assert (found <= column.high).all()
    assert not column.whole or np.array_equal(found, np.rint(found))


@pytest.mark.parametrize("kind", KNOWN)
def test_quantiles_are_those_of_many_draws(kind: str) -> None:
    """P(Y <= q) and P(Y < q) around the level within 5 standard errors of 40,000 draws: 6e-7 for each of 4."""
    column, units = known_column(kind)
    model, _ = linear_gaussian([column], units=units)
    levels, context = [0.01, 0.3, 0.5, 0.98], np.array([[0.4]])
    found = quantiles(model, context, levels, draws=1, seed=0)[0, :, 0]
    draws = model.sample(40_000, context, generator=torch.Generator().manual_seed(1))[:, 0]
    for q, level in zip(found, levels, strict=True):
        error = 5 * math.sqrt(level * (1 - level) / len(draws))
        assert np.mean(draws < q) - error < level < np.mean(draws <= q) + error


@pytest.mark.parametrize("kind", ["line", "above", "integer"])
def test_quantiles_do_not_depend_on_what_is_known_of_the_training_range(kind: str) -> None:
    column, units = known_column(kind)
    expected = quantiles(linear_gaussian([column], units=units)[0], CONTEXTS, LEVELS, draws=1, seed=0)
    unknown = Column("y", column.kind, column.dtype, low=column.low, high=column.high)
    narrow = Column("y", column.kind, column.dtype, low=column.low, high=column.high, smallest=1e3, largest=1e3)
    for other in (unknown, narrow):
        found = quantiles(linear_gaussian([other], units=units)[0], CONTEXTS, LEVELS, draws=1, seed=0)
        assert np.allclose(found, expected, rtol=1e-7, atol=1e-7)


def test_quantiles_in_single_precision_are_as_good_as_that() -> None:
    model, net = linear_gaussian([known_column("line")[0]])
    expected = z_of(net, CONTEXTS[:3], [0.1, 0.9])
    model.model.float()
    found = quantiles(model, CONTEXTS[:3], [0.1, 0.9], draws=1, seed=0)[..., 0]
    assert np.allclose(found, expected, atol=1e-5)


BASES: dict[str, Callable[[], Base]] = {
    "normal": lambda: bases.StandardNormal(1),
    "logistic": lambda: bases.StandardLogistic(1),
    "uniform": lambda: bases.Uniform(1, -2.0, 3.0),
    "normal of its own": lambda: bases.DiagonalNormal(1),
    "Student": lambda: bases.StudentT(1),
    "mixture": lambda: bases.NormalMixtureBase(1, 4),
}
MODELS: dict[str, Callable[[], cf.Model]] = {
    "recommended": lambda: cf.models.recommended(1, 2),
    "maf": lambda: cf.models.maf(1, 2, layers=2, hidden=(8,)),
    "iaf": lambda: cf.models.iaf(1, 2, layers=2, hidden=(8,)),
    "nsf": lambda: cf.models.nsf(1, 2, layers=2, hidden=(8,)),
    "made": lambda: cf.models.made(1, 2, hidden=(8,)),
    "made_mog": lambda: cf.models.made_mog(1, 2, components=4, hidden=(8,)),
    "logistic": lambda: mixed_logistic(families.LogisticMixture(3)),
    "one logistic": lambda: mixed_logistic(families.Logistic()),
}


def mixed_logistic(family: families.Family) -> cf.Model:
    return cf.AutoregressiveModel(cf.MaskedMLP(1, family.num_params, (8,), 2), family)


def shaken(model: cf.Model) -> TableModel:
    """With weights that are far from the identity that most of ours begin as."""
    generator = torch.Generator().manual_seed(5)
    model = model.double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * min(1.0, 8 / p.shape[-1]) * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    units = Chain([Elementwise((univariate.HalfLine(-3.0, least=1e-12),)), Standardise([1.0], [2.0])])
    column = Column("y", dtype="float64", low=-5.0, smallest=-5.0, largest=3.0)
    return TableModel(in_units(model, units).double().eval(), Schema((column,), (Column("a"), Column("b"))))


@pytest.mark.parametrize("name", [*MODELS, *BASES])
def test_quantiles_in_one_pass_are_those_of_the_bisection(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in MODELS:
        model = shaken(MODELS[name]())
    else:
        flow = cf.models.maf(1, 2, layers=1, hidden=(8,))
        model = shaken(cf.Flow(BASES[name](), flow.bijection))
    contexts, levels = np.random.default_rng(0).normal(size=(6, 2)), [1e-6, 0.3, 0.999]
    calls: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(module, "_bisected", lambda *_: calls.append(1))
        found = quantiles(model, contexts, levels, draws=1, seed=0)
    assert calls == []
    monkeypatch.setattr(module, "base_space_quantile", refuse)
    monkeypatch.setattr(module, "HALVINGS", 32)  # enough for this, in half the time
    expected = quantiles(model, contexts, levels, draws=1, seed=0)
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert float(np.ptp(found)) > 1


def refuse(*_: object) -> None:
    raise TypeError("not known")


def test_quantiles_of_a_base_that_is_not_known_are_bisected() -> None:
    """A base of one's own may say its distribution function only."""

    class Foreign(bases.FactorisedBase):
        def log_prob_rows(self, u: torch.Tensor) -> torch.Tensor:
            return bases.StandardLogistic(1).log_prob_rows(u)

        def rsample_rows(self, shape: torch.Size, *, generator: torch.Generator | None = None) -> torch.Tensor:
            return bases.StandardLogistic(1).rsample_rows(shape, generator=generator)

        def cdf_rows(self, u: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(u)

    flow = cf.models.maf(1, 2, layers=1, hidden=(8,))
    known = shaken(cf.Flow(bases.StandardLogistic(1), flow.bijection))
    foreign = TableModel(cf.Flow(Foreign(1), known.model.bijection).double().eval(), known.schema)
    contexts = np.random.default_rng(0).normal(size=(5, 2))
    a, b = (quantiles(model, contexts, [0.1, 0.6], draws=1, seed=0) for model in (known, foreign))
    assert np.allclose(a, b, rtol=1e-6, atol=1e-6)


def test_quantiles_of_several_columns_are_those_of_their_marginals() -> None:
    """Of 4000 draws, within 5 standard errors of a sample quantile, sqrt(p (1 - p) / n) / density: 6e-7 each."""
    columns = [Column("a", dtype="float64"), Column("k", Kind.INTEGER, "int64")]
    model, net = linear_gaussian(columns)
    levels, contexts = [0.1, 0.5, 0.8], np.array([[0.0], [30.0]])
    found = quantiles(model, contexts, levels, draws=4000, seed=3)
    assert found.shape == (2, 3, 2)
    scale = np.linalg.norm(net.scale(), axis=1)
    for i, mean in enumerate(net.mean(contexts)):
        for j, level in enumerate(levels):
            q = mean + scale * stats.norm.ppf(level)
            error = 5 * math.sqrt(level * (1 - level) / 4000) / stats.norm.pdf(stats.norm.ppf(level)) * scale
            assert abs(found[i, j, 0] - q[0]) < error[0]
            assert math.floor(q[1] - error[1]) <= found[i, j, 1] <= math.floor(q[1] + error[1])


def test_quantiles_of_several_columns_are_sample_quantiles_of_the_seed() -> None:
    model, _ = linear_gaussian([Column("a", dtype="float64"), Column("b", dtype="float64")])
    contexts = np.array([[0.0], [30.0]])
    found = quantiles(model, contexts, [0.5], draws=99, seed=3)
    for row, q in zip(contexts, found, strict=True):
        draws = model.sample(99, row[None], generator=torch.Generator().manual_seed(3))
        assert np.array_equal(q[0], np.median(draws, axis=0))


def test_what_is_found_for_one_row_does_not_depend_on_the_others() -> None:
    for columns in ([Column("a")], [Column("a"), Column("b")]):
        model, _ = linear_gaussian(columns)
        together = quantiles(model, CONTEXTS[:4], [0.2, 0.7], draws=50, seed=1)
        alone = [quantiles(model, CONTEXTS[i : i + 1], [0.2, 0.7], draws=50, seed=1)[0] for i in range(4)]
        assert np.allclose(together, np.array(alone), rtol=1e-12)


def test_no_contexts_have_no_quantiles() -> None:
    for columns in ([Column("a")], [Column("a"), Column("b")]):
        model, _ = linear_gaussian(columns)
        assert quantiles(model, CONTEXTS[:0], [0.2, 0.7], draws=5, seed=1).shape == (0, 2, len(columns))


@pytest.mark.parametrize("levels", [[], [0.0], [0.5, 1.0], [-0.1], [math.nan]])
def test_levels_outside_zero_and_one_are_refused(levels: list[float]) -> None:
    with pytest.raises(ValueError, match="expected levels between 0 and 1"):
        quantiles(linear_gaussian([Column("a")])[0], CONTEXTS, levels, draws=1, seed=0)


def test_no_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1 draw, got 0"):
        quantiles(linear_gaussian([Column("a"), Column("b")])[0], CONTEXTS, [0.5], draws=0, seed=0)


def test_a_distribution_that_is_nowhere_is_said_so() -> None:
    """Instead of the edge of wherever was looked for it."""
    model, _ = linear_gaussian([Column("energy", smallest=0.0, largest=1.0)])
    for far in (1e280, math.inf):
        with pytest.raises(ValueError, match="no quantiles of 'energy' for some of the contexts"):
            quantiles(TableModel(model.model, model.schema), np.array([[far]]), [0.5], draws=1, seed=0)


def test_a_conditional_model_of_a_file_without_a_schema_has_quantiles() -> None:
    model, net = linear_gaussian([Column("y", dtype="float64")])
    nameless = TableModel(model.model, Schema((Column("column 1", dtype="float64"),), (Column("context 1"),)))
    found = quantiles(nameless, CONTEXTS, [0.25], draws=1, seed=0)
    assert np.allclose(found[..., 0], z_of(net, CONTEXTS, [0.25]))
