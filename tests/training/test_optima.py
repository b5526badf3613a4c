"""`fit` reaches optima that are known in closed form."""

import numpy as np
import pytest
import torch

import counterflow.training as training
from counterflow.training import Constant, ExponentialAverage, Plateau, Rows, WarmupCosine, fit
from training.toys import DiagonalNormal, LinearNormal, normal_rows, reverse_kl_to_normal


def moments(x: torch.Tensor, weight: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.ones(x.shape[0], dtype=x.dtype) if weight is None else weight
    share = (weight / weight.sum())[:, None]
    mean = (share * x).sum(0)
    return mean, (share * (x - mean).square()).sum(0).sqrt()


def assert_moments(density: DiagonalNormal, mean: torch.Tensor, scale: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(density.mean.detach(), mean, atol=tolerance, rtol=0)
    torch.testing.assert_close(density.log_scale.detach().exp(), scale, atol=tolerance, rtol=0)


@pytest.mark.parametrize("schedule", [Constant(), WarmupCosine(warmup_steps=20), Plateau(patience=10)])
def test_full_batches_reach_the_sample_moments(schedule: training.Schedule) -> None:
    x = normal_rows(200, 3)
    density = DiagonalNormal(3)
    fit(density, x, steps=600, batch_size=200, learning_rate=0.05, schedule=schedule, validation=x)
    assert_moments(density, *moments(x), tolerance=1e-3)


def test_minibatches_reach_the_sample_moments() -> None:
    x = normal_rows(1000, 2)
    density = DiagonalNormal(2)
    fit(density, x, epochs=50, batch_size=100, learning_rate=0.05)
    assert_moments(density, *moments(x), tolerance=0.02)


def test_weights_including_negative_ones_give_the_weighted_moments() -> None:
    x = normal_rows(300, 2)
    weight = torch.rand(300, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 1.4 - 0.2
    assert int((weight < 0).sum()) > 20
    density = DiagonalNormal(2)
    fit(density, Rows(x, weight=weight), steps=500, batch_size=300, learning_rate=0.05, validate_every=100)
    assert_moments(density, *moments(x, weight), tolerance=1e-3)


def test_the_scale_of_the_weights_does_not_matter() -> None:
    x = normal_rows(100, 2)
    weight = torch.rand(100, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    losses = []
    for scale in (1.0, 1024.0):
        history = fit(DiagonalNormal(2), Rows(x, weight=scale * weight), epochs=3, batch_size=20, validation=0.2)
        losses.append([(record.loss, record.validation) for record in history.records])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-12)


def test_context_reaches_the_density_and_gives_least_squares() -> None:
    generator = torch.Generator().manual_seed(5)
    context = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    x = context[:, :2] * 2 + 1 + torch.randn(200, 2, generator=generator, dtype=torch.float64)
    density = LinearNormal(2, 3)
    fit(density, Rows(x, context), steps=500, batch_size=200, learning_rate=0.05, weight_decay=0.0, validate_every=99)
    design = torch.cat((context, torch.ones(200, 1, dtype=torch.float64)), dim=1)
    expected = torch.linalg.lstsq(design, x).solution
    torch.testing.assert_close(density.linear.weight.detach(), expected[:3].mT, atol=1e-3, rtol=0)
    torch.testing.assert_close(density.linear.bias.detach(), expected[3], atol=1e-3, rtol=0)


def test_a_step_driven_reverse_kl_reaches_its_target() -> None:
    # The gradient vanishes draw by draw at the optimum only in part; 600 decayed steps leave errors below 0.01,
    # the tolerance is five times that.
    density = DiagonalNormal(2)
    fit(density, loss=reverse_kl_to_normal, steps=600, learning_rate=0.05)
    two = torch.full((2,), 2.0, dtype=torch.float64)
    assert_moments(density, two, two / 4, tolerance=0.05)


def test_an_average_of_the_weights_is_returned_and_quieter_than_the_last_weights() -> None:
    # With a constant rate the last weights keep a noise that the average of about 100 steps does not have.
    x = normal_rows(1000, 2)
    errors = []
    for average in (None, ExponentialAverage(0.99)):
        density = DiagonalNormal(2)
        fit(density, x, steps=600, batch_size=10, learning_rate=0.05, schedule=Constant(), average=average)
        errors.append(float((density.mean.detach() - x.mean(0)).norm()))
    assert errors[1] < 0.5 * errors[0]


def test_the_best_held_out_weights_are_returned() -> None:
    x = normal_rows(400, 2)
    density = DiagonalNormal(2)
    history = fit(
        density, x[:20], validation=x[20:], epochs=400, batch_size=20, learning_rate=0.05, schedule=Constant()
    )
    best = min(history.records, key=lambda record: record.validation or 0.0)
    assert best.validation is not None
    assert history.best_step == best.step < history.steps
    assert history.best_validation == best.validation
    held_out = -density.log_prob(x[20:]).mean().item()
    assert held_out == pytest.approx(best.validation, rel=1e-12)


def test_patience_stops_a_run_that_overfits() -> None:
    x = normal_rows(400, 2)
    history = fit(
        DiagonalNormal(2),
        x[:20],
        validation=x[20:],
        epochs=400,
        batch_size=20,
        learning_rate=0.05,
        schedule=Constant(),
        patience=7,
    )
    assert history.steps == history.best_step + 7 < 400
    assert "no better held-out loss in 7 validations" in history.stopped_because


def test_chunks_of_held_out_rows_give_the_loss_over_all_of_them() -> None:
    x = normal_rows(101, 2)
    weight = torch.rand(101, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values = []
    for size in (7, 101):
        history = fit(
            DiagonalNormal(2),
            normal_rows(50, 2),
            validation=Rows(x, weight=weight),
            steps=1,
            learning_rate=1e-9,
            validation_batch_size=size,
            batch_size=50,
        )
        values.append(history.best_validation)
    expected = -(weight * DiagonalNormal(2).log_prob(x)).sum() / weight.sum()
    np.testing.assert_allclose(values, [expected.item()] * 2, rtol=1e-6)


def test_a_function_validates_a_step_driven_run() -> None:
    def distance(module: DiagonalNormal) -> torch.Tensor:
        return (module.mean - 1.0).square().sum()

    density = DiagonalNormal(1)
    history = fit(density, loss=reverse_kl_to_normal, steps=400, learning_rate=0.05, validation=distance)
    assert density.mean.item() == pytest.approx(1.0, abs=0.2)  # it passes 1 on its way to 2
    assert len(history.records) == 100


def test_averaging_the_weights_does_not_change_the_steps() -> None:
    settings = {"epochs": 4, "batch_size": 10, "validation": 0.2, "learning_rate": 0.05}
    plain = fit(DiagonalNormal(2), normal_rows(100, 2), **settings)
    averaged = fit(DiagonalNormal(2), normal_rows(100, 2), average=ExponentialAverage(0.9), **settings)
    assert [record.loss for record in averaged.records] == [record.loss for record in plain.records]
    assert [record.validation for record in averaged.records] != [record.validation for record in plain.records]
