"""Broken classes: each an honest class of the library with one mistake, said in its docstring."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import bases, bijections, conditioners, univariate


class BatchMean(nn.Module):
    """A bijection that subtracts the mean of the batch: rows see each other."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features, self.context_features = features, 0

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        rows = u.reshape(-1, self.features)
        return u + rows.sin().mean(0) - u.sin() / len(rows), torch.zeros_like(u[..., 0])

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, torch.zeros_like(x[..., 0])


class ForwardOnly(cf.Autoregressive):
    """A bijection whose inverse ignores the context."""

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return super().inverse(x, None if context is None else torch.zeros_like(context))


class UncheckedPermutation(bijections.Permutation):
    """A permutation that checks nothing."""

    def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return u[..., self._indices], torch.zeros_like(u[..., 0])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[..., self._restore], torch.zeros_like(x[..., 0])


class NaiveSpline(univariate.RationalQuadratic):
    """A spline evaluated outside its box too, and only then replaced: gradients outside are NaN."""

    def forward(self, u: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        x, log_slope = super().forward(u, params)
        outside = u.abs() > self.bound
        bad = torch.where(outside, (self.bound - u.abs()).sqrt() * 0, torch.zeros_like(u))
        return torch.where(outside, u, x + bad), torch.where(outside, torch.zeros_like(u), log_slope)


class WrongTail(univariate.RationalQuadratic):
    """A spline whose tail has slope two and says one."""

    def forward(self, u: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        x, log_slope = super().forward(u, params)
        return torch.where(u.abs() > self.bound, 2 * u - self.bound * u.sign(), x), log_slope


class Decreasing(univariate.Affine):
    """An affine map that forgot to make its scale positive."""

    def forward(self, u: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        sigma = params[..., 1]
        return params[..., 0] + sigma * u, sigma.abs().log().expand_as(u)

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        sigma = params[..., 1]
        return (x - params[..., 0]) / sigma, -sigma.abs().log().expand_as(x)


class NanIsZero(univariate.Affine):
    """An affine map that hides NaN."""

    def forward(self, u: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(u.nan_to_num(), params)


class OffByOne(cf.MaskedMLP):
    """Masks that let every row read its own coordinate."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.direct = nn.Parameter(torch.ones(self.features, self.num_params))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x, context) + 0.1 * x[..., None] * self.direct


class BlindFirstRow(cf.MaskedMLP):
    """Hidden degrees from 1 although there is a context: nothing is left for row 1 to read."""

    def __init__(self, features: int, num_params: int, hidden: tuple[int, ...], context_features: int = 0) -> None:
        degrees = tuple(conditioners.sorted_degrees(features, width, 1) for width in hidden)
        super().__init__(features, num_params, hidden, context_features, degrees=degrees)


class MixedStepper(cf.MaskedMLP):
    """A stepper that hands out rows in the order of the coordinates, whatever the network's own."""

    def stepper(self, batch_shape: Any, context: Tensor | None = None) -> Any:
        honest = super().stepper(batch_shape, context)
        honest._out.weight = honest._out.weight.flip(0)
        return honest


class Lazy(cf.MaskedMLP):
    """Masks that forget the first input."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        keep = torch.ones_like(x)
        keep[..., self.order[0]] = 0
        return super().forward(x * keep, context)


class SharedStepper(cf.MaskedMLP):
    """One stepper for all callers."""

    def stepper(self, batch_shape: Any, context: Tensor | None = None) -> Any:
        stepper = self.__dict__.get("kept")
        if stepper is None or stepper._known == self.features:
            stepper = self.__dict__["kept"] = super().stepper(batch_shape, context)
        return stepper


class EarlyTokens(conditioners.CausalConv):
    """Row i is told of its own coordinate instead of the one before it."""

    def rows(self, x: Tensor, context: Tensor | None) -> Tensor:
        return super().rows(torch.cat([x[:, 1:], x[:, :1]], 1), context)


class ShortQueues(conditioners.CausalConv):
    """Queues that forget the oldest input that a tap reaches."""

    def stepper(self, batch_shape: Any, context: Tensor | None = None) -> Any:
        stepper = super().stepper(batch_shape, context)
        stepper._seen = [type(seen)(seen, maxlen=max(1, seen.maxlen - 1)) for seen in stepper._seen]
        return stepper


class NoPlaces(conditioners.CausalAttention):
    """A cache whose tokens all stand at the start."""

    def stepper(self, batch_shape: Any, context: Tensor | None = None) -> Any:
        stepper = super().stepper(batch_shape, context)
        stepper._network = _Moved(self, lambda _, before, c: self.tokens.one(0, before, c))
        return stepper


class _Moved:
    """A network seen through another reading of its tokens."""

    def __init__(self, network: Any, one: Any) -> None:
        self.network, self.tokens = network, type("Tokens", (), {"one": staticmethod(one)})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


class NumpyNormal(bases.StandardNormal):
    """Noise from NumPy's global stream."""

    def rsample_rows(self, shape: torch.Size, *, generator: Any = None) -> Tensor:
        return torch.as_tensor(np.random.standard_normal(tuple(shape)), dtype=self.anchor.dtype)  # noqa: NPY002


class SeededNormal(bases.StandardNormal):
    """Noise after a global seed: reproducible in the wrong way."""

    def rsample_rows(self, shape: torch.Size, *, generator: Any = None) -> Tensor:
        if generator is None:
            torch.manual_seed(0)
        return super().rsample_rows(shape, generator=generator)


class LeakyFlow(cf.Flow):
    """A flow whose samples carry gradients."""

    def sample(self, sample_shape: Any = (), context: Any = None, *, generator: Any = None) -> Tensor:
        return self.rsample_and_log_prob(sample_shape, context, generator=generator)[0]


class CutFlow(cf.Flow):
    """A flow whose reparameterised draws are detached before they are scored."""

    def encoded_rsample_and_log_prob(self, sample_shape: Any, context: Any, *, generator: Any) -> Any:
        x, _ = super().encoded_rsample_and_log_prob(sample_shape, context, generator=generator)
        return x, self.encoded_log_prob(x.detach(), context)


class Unnormalised(cf.Flow):
    """A flow that forgot the log-det of its last layer, roughly."""

    def encoded_log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        return super().encoded_log_prob(x, context) + 0.1

    def encoded_rsample_and_log_prob(self, sample_shape: Any, context: Any, *, generator: Any) -> Any:
        x, log_q = super().encoded_rsample_and_log_prob(sample_shape, context, generator=generator)
        return x, log_q + 0.1


class WideSampler(cf.Flow):
    """A flow that samples from a wider density than the one it scores."""

    def encoded_sample(self, sample_shape: Any, context: Any, *, generator: Any) -> Tensor:
        return 1.2 * super().encoded_sample(sample_shape, context, generator=generator)


class WrongSignFlow(cf.Flow):
    """Log q of draws with the log-det added instead of subtracted."""

    def encoded_rsample_and_log_prob(self, sample_shape: Any, context: Any, *, generator: Any) -> Any:
        u, log_prob = self.base.rsample_and_log_prob(*self._draw(sample_shape, context), generator=generator)
        x, log_det = self.bijection(u, self._bijection_context(context))
        return x, log_prob + log_det


class StaleGiven(cf.Flow):
    """`given` that binds a context of zeros."""

    def given(self, context: Tensor) -> Any:
        return super().given(torch.zeros_like(context))
