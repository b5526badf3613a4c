"""Laws whose truth is known, for the tests of the diagnostics: flows that are right, and posteriors in closed form."""

from collections.abc import Callable

import torch
from torch import Tensor

import counterflow as cf


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shaken(model: cf.Model, size: float = 0.3, seed: int = 0) -> cf.Model:
    """The model away from its start, as a fitted one would be, in double precision."""
    generator = stream(seed)
    model = model.double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(size * torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator))
    return model


def normal_flow(loc: tuple[float, ...] = (0.0, 0.0), scale: tuple[float, ...] = (1.0, 1.0)) -> cf.Flow:
    """Independent normal columns."""
    return cf.Flow(cf.bases.StandardNormal(len(loc)), cf.bijections.Standardise(loc, scale)).double()


def normals(rows: int, features: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(rows, features, dtype=torch.float64, generator=stream(seed))


def correlated(rows: int, rho: float, seed: int = 0) -> Tensor:
    """Two standard normal columns with that correlation."""
    z = normals(rows, seed=seed)
    return torch.stack([z[:, 0], rho * z[:, 0] + (1 - rho * rho) ** 0.5 * z[:, 1]], -1)


class LinearGaussian:
    """theta ~ N(0, I), x = theta + e with e ~ N(0, noise), in two dimensions: the posterior is N(G x, S).

    G = S noise^-1, S = (I + noise^-1)^-1.
    """

    def __init__(self, correlation: float = 0.9) -> None:
        noise = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64)
        self.noise_root = torch.linalg.cholesky(noise)
        self.covariance = torch.linalg.inv(torch.eye(2, dtype=torch.float64) + torch.linalg.inv(noise))
        self.gain = self.covariance @ torch.linalg.inv(noise)

    def simulate(self, rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        theta = normals(rows, seed=seed)
        return theta, theta + normals(rows, seed=seed + 1000) @ self.noise_root.T

    def posterior(
        self, *, width: float = 1.0, shift: float = 0.0, correlated: bool = True, seed: int = 0
    ) -> Callable[[Tensor, int], Tensor]:
        """Draws of the posterior; wrong ones are too wide by a factor, shifted, or without their correlation."""
        generator = stream(seed)
        covariance = self.covariance if correlated else torch.diag(self.covariance.diagonal())
        root = width * torch.linalg.cholesky(covariance)

        def draw(x: Tensor, count: int) -> Tensor:
            noise = torch.randn(count, *x.shape, dtype=x.dtype, generator=generator)
            return x @ self.gain.T + shift + noise @ root.T

        return draw


def prior(seed: int = 0) -> Callable[[Tensor, int], Tensor]:
    """A posterior that has learnt nothing from x."""
    generator = stream(seed)

    def draw(x: Tensor, count: int) -> Tensor:
        return torch.randn(count, *x.shape, dtype=x.dtype, generator=generator)

    return draw
