"""A mixture density network, in plain PyTorch: the usual baseline for p(y | x)."""

from __future__ import annotations

import copy
import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

COMPONENTS = 5
HIDDEN = 64
LEARNING_RATE = 2e-3
MOST_EPOCHS, MOST_STEPS = 500, 20_000  # whichever is less
PATIENCE = 50  # epochs without a better one
SMALL = 2000  # rows below which a batch has 64 of them, not 256
NARROWEST = 1e-3  # a component's standard deviation at least, in that of y

Array = npt.NDArray[np.float64]


class MDN(nn.Module):
    """Weights, means and standard deviations of normals from two hidden layers."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU())
        self.head = nn.Linear(HIDDEN, 3 * COMPONENTS)
        with torch.no_grad():  # components begin apart
            self.head.bias[COMPONENTS : 2 * COMPONENTS] = torch.linspace(-1.5, 1.5, COMPONENTS)

    def mixture(self, x: Tensor) -> torch.distributions.MixtureSameFamily:
        logits, means, widths = self.head(self.body(x)).chunk(3, -1)
        scales = nn.functional.softplus(widths) + NARROWEST
        parts = torch.distributions.Normal(means, scales, validate_args=False)
        weights = torch.distributions.Categorical(logits=logits, validate_args=False)
        return torch.distributions.MixtureSameFamily(weights, parts, validate_args=False)


class FittedMDN:
    """p(y | x) in the units of y, after maximum likelihood with early stopping.

    Args:
        x, y: Training and validation rows together, (N, M) and (N,).
        held_out: Which of them decide when to stop.
        seed: Of the weights and the batches.
    """

    def __init__(self, x: Array, y: Array, held_out: npt.NDArray[np.int64], seed: int) -> None:
        training = np.setdiff1d(np.arange(len(x)), held_out)
        spread = x[training].std(0)
        self._x = x[training].mean(0), np.where(spread > 0, spread, 1.0)
        self._y = float(y[training].mean()), float(y[training].std())
        given, targets = self._given(x), torch.from_numpy((y - self._y[0]) / self._y[1]).float()
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = MDN(x.shape[1])
        self.steps = self._train((given[training], targets[training]), (given[held_out], targets[held_out]), generator)
        self.network.double().eval()

    @torch.no_grad()
    def log_prob(self, x: Array, y: Array) -> Array:
        """Nats, in the units of y."""
        z = torch.from_numpy((y - self._y[0]) / self._y[1])
        scores: Array = self.network.mixture(self._given(x).double()).log_prob(z).numpy() - math.log(self._y[1])
        return scores

    @torch.no_grad()
    def quantiles(self, x: Array, levels: tuple[float, ...]) -> Array:
        """By bisection of the distribution function, (N, levels)."""
        mixture = self.network.mixture(self._given(x).double())
        found = []
        for level in levels:
            low, high = torch.full((len(x),), -1e3).double(), torch.full((len(x),), 1e3).double()
            for _ in range(60):
                middle = (low + high) / 2
                under = mixture.cdf(middle) < level
                low, high = torch.where(under, middle, low), torch.where(under, high, middle)
            found.append((low + high) / 2)
        standardised: Array = torch.stack(found, 1).numpy()
        return standardised * self._y[1] + self._y[0]

    def _given(self, x: Array) -> Tensor:
        return torch.from_numpy((x - self._x[0]) / self._x[1]).float()

    def _train(
        self, training: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], generator: torch.Generator
    ) -> int:
        """The step whose weights are kept."""
        network, rows = self.network, len(training[0])
        batch = min(rows, 64 if rows < SMALL else 256)
        per_epoch = rows // batch
        epochs = min(MOST_EPOCHS, math.ceil(MOST_STEPS / per_epoch))
        optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
        best, best_epoch, kept = math.inf, 0, copy.deepcopy(network.state_dict())
        for epoch in range(1, epochs + 1):
            order = torch.randperm(rows, generator=generator)
            for part in order[: per_epoch * batch].split(batch):
                loss = -network.mixture(training[0][part]).log_prob(training[1][part]).mean()
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimiser.step()
            schedule.step()
            with torch.no_grad():
                loss = -network.mixture(held_out[0]).log_prob(held_out[1]).mean()
            if float(loss) < best:
                best, best_epoch, kept = float(loss), epoch, copy.deepcopy(network.state_dict())
            if epoch - best_epoch >= PATIENCE:
                break
        network.load_state_dict(kept)
        return best_epoch * per_epoch
