"""Mistakes planted on purpose: small broken versions of honest classes, each with the law that must catch it."""

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import counterflow as cf
from counterflow import bases, bijections, univariate
from counterflow.testing import Traits
from laws import broken_classes as bad
from laws.table import H, attention, autoregressive, conv, coupling, flow_over, mlp


@dataclasses.dataclass(frozen=True)
class Planted:
    """A mistake: its kind, the law that must catch it, the honest class and the broken one."""

    kind: str
    law: str
    honest: Callable[[int, int], Any]
    broken: Callable[[int, int], Any]
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def wrapped(inner: Callable[[int, int], cf.Bijection], **methods: Any) -> Callable[[int, int], cf.Bijection]:
    """A bijection around another one, with some methods replaced."""

    class Wrapped(cf.Bijection):
        def __init__(self, bijection: cf.Bijection) -> None:
            super().__init__()
            self.inner = bijection
            self.features, self.context_features = bijection.features, bijection.context_features

        def forward(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.inner(u, context)

        def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.inner.inverse(x, context)

    broken = type("Broken", (Wrapped,), methods)
    return lambda d, m: broken(inner(d, m))


def sequence(make: Callable[..., Any], width: int = 6, **options: Any) -> Callable[[int, int], Any]:
    return lambda d, m: make(d, 2, width, m, **options)


def forward_then(change: Callable[[Any, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Any:
    """A forward whose result is changed: change(self, u, x, log_det)."""

    def forward(self: Any, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return change(self, u, *self.inner(u, context))

    return forward


def forward_after(prepare: Callable[[Any, Tensor], Any]) -> Any:
    """A forward that does something to its input, or to the world, first."""

    def forward(self: Any, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        prepare(self, u)
        return self.inner(u, context)

    return forward


def cached_lu(self: Any) -> tuple[Tensor, Tensor]:
    if not hasattr(self, "kept"):
        self.__dict__["kept"] = tuple(t.detach() for t in bijections.LULinear._factors(self))
    return self.kept


def frozen_lu(self: Any) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return bijections.LULinear._factors(self)


def unfreeze(self: Any, u: Tensor) -> None:
    for parameter in self.parameters():
        parameter.requires_grad_(True)


def count_calls(self: Any, u: Tensor) -> None:
    if not hasattr(self, "calls"):
        self.register_buffer("calls", torch.zeros(()))
    self.calls += 1


def remember(self: Any, u: Tensor) -> None:
    self.last = u.detach()


def flow(cls: type[cf.Flow] = cf.Flow) -> Callable[[int, int], cf.Flow]:
    def make(features: int, context_features: int) -> cf.Flow:
        honest = flow_over(bases.DiagonalNormal(features), features, context_features)
        return cls(honest.base, honest.bijection)

    return make


def normal(cls: type[bases.StandardNormal] = bases.StandardNormal) -> Callable[[int, int], Any]:
    return lambda d, m: cls(d)


NO_CONTEXT = {"context_features": (0,)}
BASE = {"context_features": (0,), "traits": Traits(refuses_context=False)}


def lu(cls: type[bijections.LULinear] = bijections.LULinear, **methods: Any) -> Callable[[int, int], Any]:
    made = type("BrokenLU", (cls,), methods) if methods else cls
    return lambda d, m: made(d)


def of(t: Any) -> Callable[[int, int], Any]:
    return lambda d, m: t


def net(cls: type[cf.MaskedMLP] = cf.MaskedMLP) -> Callable[[int, int], cf.MaskedMLP]:
    return lambda d, m: cls(d, 2, H, m)


def bijection(law: str, honest: Any = autoregressive, options: dict[str, Any] | None = None, **methods: Any) -> Planted:
    return Planted("bijection", law, honest, wrapped(honest, **methods), options or {})


SPLINE, BOXED = univariate.RationalQuadratic(bins=4), {"context_features": (0,)}

PLANTED: dict[str, Planted] = {
    "wrong sign of the log-det": bijection(
        "log det is that of the jacobian", forward=forward_then(lambda s, u, x, log_det: (x, -log_det))
    ),
    "log-det averaged instead of summed": bijection(
        "log det is that of the jacobian", forward=forward_then(lambda s, u, x, log_det: (x, log_det / s.features))
    ),
    "log-det summed over the batch": bijection(
        "shape is the batch and the event", forward=forward_then(lambda s, u, x, log_det: (x, log_det.sum()))
    ),
    "log-det without its batch axes": bijection(
        "shape is the batch and the event",
        lambda d, m: bijections.Rescale(d),
        NO_CONTEXT,
        forward=forward_then(lambda s, u, x, log_det: (x, s.inner.log_scale.sum())),
    ),
    "log-det with a constant gradient": bijection(
        "gradient of the log det is that of the jacobian",
        lambda d, m: coupling(d, m, SPLINE),
        forward=forward_then(lambda s, u, x, log_det: (x, log_det.detach())),
    ),
    "inverse that ignores the context": Planted(
        "bijection",
        "round trip returns",
        autoregressive,
        lambda d, m: bad.ForwardOnly(mlp(d, m), univariate.Affine()),
    ),
    "ignored context": bijection(
        "the context matters",
        forward=lambda s, u, context=None: s.inner(u, None if context is None else torch.zeros_like(context)),
    ),
    "float32 leak": bijection(
        "dtype follows the input",
        forward=forward_then(lambda s, u, x, log_det: (x, log_det.to(torch.float32))),
    ),
    "float64 leak": bijection(
        "dtype follows the input",
        forward=forward_then(
            lambda s, u, x, log_det: (x, log_det + torch.zeros(1, dtype=torch.float64)[0].expand_as(log_det))
        ),
    ),
    "float32 inside": bijection(
        "round trip returns", forward=forward_then(lambda s, u, x, log_det: (x.float().to(u.dtype), log_det))
    ),
    "tensor made on the default device": bijection(
        "device follows the input",
        forward=forward_then(lambda s, u, x, log_det: (x, log_det + torch.zeros(log_det.shape))),
    ),
    "mutated input": bijection("inputs are untouched", forward=forward_after(lambda s, u: u.mul_(2))),
    "parameters unfrozen": bijection("state is untouched", forward=forward_after(unfreeze)),
    "buffer changed in forward": bijection("state is untouched", forward=forward_after(count_calls)),
    "hidden attribute": bijection("state is untouched", forward=forward_after(remember)),
    "global torch stream touched": bijection(
        "random streams are left alone", forward=forward_after(lambda s, u: torch.rand(1))
    ),
    "global Python stream touched": bijection(
        "random streams are left alone", forward=forward_after(lambda s, u: random.random())
    ),
    "seeded globally in forward": bijection(
        "random streams are left alone", forward=forward_after(lambda s, u: torch.manual_seed(0))
    ),
    "batch axes flattened": bijection(
        "shape is the batch and the event",
        forward=forward_then(lambda s, u, x, log_det: (x.reshape(-1, s.features), log_det.reshape(-1))),
    ),
    "one batch axis assumed": bijection(
        "shape is the batch and the event",
        forward=forward_then(lambda s, u, x, log_det: (x, log_det + torch.zeros(len(u), dtype=u.dtype))),
    ),
    "contiguous input assumed": bijection(
        "strided input is the same input",
        lambda d, m: bijections.LULinear(d),
        NO_CONTEXT,
        forward=forward_after(lambda s, u: u.view(-1)),
    ),
    "empty batch forgotten": bijection(
        "an empty batch is a batch",
        lambda d, m: bijections.LULinear(d),
        NO_CONTEXT,
        forward=forward_after(lambda s, u: u.abs().max()),
    ),
    "one feature forgotten": bijection(
        "round trip returns",
        lambda d, m: bijections.LULinear(d),
        NO_CONTEXT,
        forward=forward_then(lambda s, u, x, log_det: (x.squeeze(-1), log_det)),
    ),
    "rows of a batch mixed": Planted(
        "bijection",
        "rows do not see each other",
        lambda d, m: bijections.Rescale(d),
        lambda d, m: bad.BatchMean(d),
        NO_CONTEXT,
    ),
    "batch reversed": bijection(
        "batch axes equal a loop",
        lambda d, m: bijections.Rescale(d),
        NO_CONTEXT,
        forward=lambda s, u, context=None: tuple(t.flip(0) if u.dim() > 1 else t for t in s.inner(u)),
    ),
    "context paired with the wrong axis": bijection(
        "point and context broadcast",
        forward=lambda s, u, context=None: s.inner(
            u, context if context is None or context.dim() < 2 or u.dim() < 3 else context.flip(-2)
        ),
    ),
    "width unchecked": Planted(
        "bijection",
        "another width is refused",
        lambda d, m: bijections.Permutation(range(d)),
        lambda d, m: bad.UncheckedPermutation(range(d)),
        NO_CONTEXT,
    ),
    "integers let in": Planted(
        "bijection",
        "integers are refused",
        lambda d, m: bijections.Permutation(range(d)),
        lambda d, m: bad.UncheckedPermutation(range(d)),
        NO_CONTEXT,
    ),
    "surplus context let in": bijection(
        "a surplus context is refused",
        lambda d, m: bijections.LULinear(d),
        NO_CONTEXT,
        forward=lambda s, u, context=None: s.inner(u),
    ),
    "missing context replaced by zeros": bijection(
        "a missing context is refused",
        forward=lambda s, u, context=None: s.inner(
            u, torch.zeros(s.context_features, dtype=u.dtype) if context is None and s.context_features else context
        ),
    ),
    "stale cache after load_state_dict": Planted(
        "bijection", "loaded weights are seen at once", lu(), lu(_factors=cached_lu), NO_CONTEXT
    ),
    "cache instead of the caller's parameters": Planted(
        "bijection", "parameters can be replaced from outside", lu(), lu(_factors=cached_lu), NO_CONTEXT
    ),
    "gradient of the inverse cut": Planted(
        "bijection",
        "gradients undo each other",
        lu(),
        wrapped(lu(), inverse=lambda s, x, context=None: tuple(t.detach() for t in s.inner.inverse(x))),
        NO_CONTEXT,
    ),
    "wrong order claimed": Planted(
        "bijection",
        "an order means triangular",
        lu(),
        lu(order=property(lambda s: tuple(range(s.features)))),
        NO_CONTEXT,
    ),
    "non-increasing map": Planted(
        "univariate", "it increases", of(univariate.Affine()), of(bad.Decreasing()), NO_CONTEXT
    ),
    "spline with NaN gradients outside": Planted(
        "univariate", "far points are finite", of(SPLINE), of(bad.NaiveSpline(bins=4)), NO_CONTEXT
    ),
    "spline with a wrong tail": Planted(
        "univariate", "far points are finite", of(SPLINE), of(bad.WrongTail(bins=4)), NO_CONTEXT
    ),
    "NaN swallowed": Planted("univariate", "nan stays nan", of(univariate.Affine()), of(bad.NanIsZero()), NO_CONTEXT),
    "off-by-one mask": Planted("conditioner", "no row reads itself or what comes later", net(), net(bad.OffByOne)),
    "first row blind to the context": Planted(
        "conditioner", "every row sees the context", net(), net(bad.BlindFirstRow)
    ),
    "masked input forgotten": Planted("conditioner", "every row reads all that came before", net(), net(bad.Lazy)),
    "coordinates of the stepper mixed up": Planted(
        "conditioner", "stepping is the parallel pass", net(), net(bad.MixedStepper)
    ),
    "stepper shared by its callers": Planted(
        "conditioner", "steppers do not share state", net(), net(bad.SharedStepper)
    ),
    "a token of the row's own coordinate": Planted(
        "conditioner", "no row reads itself or what comes later", conv, sequence(bad.EarlyTokens)
    ),
    "queues one too short": Planted("conditioner", "stepping is the parallel pass", conv, sequence(bad.ShortQueues)),
    "a cache without positions": Planted(
        "conditioner", "stepping is the parallel pass", attention, sequence(bad.NoPlaces, width=8, heads=2)
    ),
    "unnormalised density": Planted("density", "it integrates to one", flow(), flow(bad.Unnormalised)),
    "samples of another density": Planted("density", "draws have the scored density", flow(), flow(bad.WideSampler)),
    "wrong sign in the log density of draws": Planted(
        "density", "scored and sampled log density agree", flow(), flow(bad.WrongSignFlow)
    ),
    "gradient of draws cut": Planted("density", "gradients of draws are pathwise", flow(), flow(bad.CutFlow)),
    "samples that carry gradients": Planted("density", "draws have the asked shape", flow(), flow(bad.LeakyFlow)),
    "noise from NumPy's stream": Planted(
        "density", "a generator is the only randomness", normal(), normal(bad.NumpyNormal), BASE
    ),
    "seeded globally in sample": Planted(
        "density", "without a generator the global stream decides", normal(), normal(bad.SeededNormal), BASE
    ),
    "given another context": Planted("density", "given a context is passing it", flow(), flow(bad.StaleGiven)),
}
