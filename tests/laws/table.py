"""The law table: every public class and model of the library, one line each; a new class is a new line."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow import bases, bijections, conditioners, families, models, solvers, spec, univariate
from counterflow.testing import Atoms, Continuous, Traits, perturb_
from counterflow.univariate.splines.knots import edges

U = univariate
H = (16, 16)


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a check is given for one class."""

    make: Callable[[int, int], Any]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def entry(make: Callable[[int, int], Any], traits: Traits = Traits(), **options: Any) -> Entry:
    return Entry(make, {"traits": traits, **options})


def spline_knots(spline: Any, params: Tensor) -> Tensor:
    """All knots of the inverse direction, (*B, K + 1)."""
    heights = params[..., spline.bins : 2 * spline.bins]
    return edges(heights, spline.bound, spline.min_bin)


def softclipped_knots(spline: Any, params: Tensor) -> Tensor:
    """All knots of the inverse direction, (*B, K + 1)."""
    heights = params[..., spline.bins : 2 * spline.bins]
    return edges(heights / (1 - 2 * heights.abs() / math.log(spline.min_slope)), spline.bound, 0.0)


def value(t: Any, traits: Traits = Traits()) -> Entry:
    return entry(lambda features, context_features: t, traits, context_features=(0,), seeds=(0, 1))


def soft(module: nn.Module, generator: torch.Generator) -> None:
    """Smaller noise, for models whose many layers would stretch space beyond the reach of a quadrature grid."""
    with torch.no_grad():
        before = [p.clone() for p in module.parameters()]
        perturb_(module, generator)
        for parameter, old in zip(module.parameters(), before, strict=True):
            parameter.copy_(old + 0.4 * (parameter - old))


KNOTS = Traits(special_points=spline_knots)
SOFTCLIPPED_KNOTS = Traits(special_points=softclipped_knots)
SOFT = Traits(perturb=soft)
POSITIVE = Traits(image=(0.0, math.inf))

UNIVARIATE: dict[str, Entry] = {
    "Additive": value(U.Additive()),
    "Affine": value(U.Affine()),
    "Affine(BoundedExp)": value(U.Affine(U.BoundedExp(2.0))),
    "Affine(Softplus)": value(U.Affine(U.Softplus())),
    "Affine(ShiftedSigmoid)": value(U.Affine(U.ShiftedSigmoid())),
    "Affine(ClippedExp)": value(U.Affine(U.ClippedExp())),
    "Affine(Exp)": value(U.Affine(U.Exp())),
    "Inverted(Affine)": value(U.Affine().inverted),
    "Inverted(RationalQuadratic)": value(U.RationalQuadratic(bins=4).inverted),
    "Composed": value(U.Composed((U.Affine(), U.RationalQuadratic(bins=3), U.Additive()))),
    "RationalQuadratic": value(U.RationalQuadratic(), KNOTS),
    "RationalQuadratic(bins=1)": value(U.RationalQuadratic(bins=1, bound=2.0), KNOTS),
    "RationalQuadratic(bins=16)": value(U.RationalQuadratic(bins=16, bound=3.0), KNOTS),
    "RationalQuadratic(edge_slope)": value(U.RationalQuadratic(bins=4, bound=2.0, edge_slope=0.7), KNOTS),
    "SoftclippedRationalQuadratic": value(U.SoftclippedRationalQuadratic(bins=5, bound=3.0), SOFTCLIPPED_KNOTS),
    "SoftclippedRationalQuadratic(bins=1)": value(
        U.SoftclippedRationalQuadratic(bins=1, bound=2.0, min_slope=0.1), SOFTCLIPPED_KNOTS
    ),
    "LinearRational": value(U.LinearRational(), KNOTS),
    "LinearRational(bins=1)": value(U.LinearRational(bins=1, bound=2.0), KNOTS),
    "LinearRational(edge_slope)": value(U.LinearRational(bins=4, bound=2.0, edge_slope=0.7), KNOTS),
    "Interval": value(U.Interval(-1.0, 3.0), Traits(image=(-1.0, 3.0))),
    "Interval(margin)": value(U.Interval(0.0, 1.0, 0.01), Traits(image=(0.0, 1.0))),
    "Interval(least)": value(U.Interval(0.0, 1.0, 0.01, least=1e-6), Traits(image=(0.0, 1.0))),
    "HalfLine(above)": value(U.HalfLine(), POSITIVE),
    "HalfLine(below)": value(U.HalfLine(2.0, above=False), Traits(image=(-math.inf, 2.0))),
    "Line": value(U.Line()),
}


def mlp(features: int, context_features: int, num_params: int = 2, **options: Any) -> cf.MaskedMLP:
    return cf.MaskedMLP(features, num_params, options.pop("hidden", H), context_features, **options)


def random_mlp(features: int, context_features: int) -> cf.MaskedMLP:
    lowest = 0 if context_features else 1
    degrees = tuple(conditioners.random_degrees(features, width, lowest) for width in H)
    return mlp(features, context_features, order=conditioners.random_order(features), degrees=degrees)


def network(features: int, context_features: int, num_params: int = 2, **options: Any) -> conditioners.MaskedNetwork:
    """A residual block with a context inside, after a first layer that adds an activated one; as nflows has it."""
    c = conditioners
    lowest = 0 if context_features else 1
    degrees = (c.sorted_degrees(features, 12, lowest),) * 4
    rescaled = options.pop("rescaled", False)
    wires = [
        c.Dense(1, 0),
        *([c.Shifted(1, nn.Tanh())] if context_features else []),
        *([c.Added(2, 1), c.Rescaled(2), c.Activated(2, 2, nn.ReLU())] if rescaled else [c.Activated(2, 1, nn.Tanh())]),
        c.Dense(3, 2),
        *([c.Shifted(3)] if context_features else []),
        c.Activated(3, 3, nn.SiLU()),
        c.Dense(4, 3),
        *([c.Gated(4, nn.Sigmoid())] if context_features else []),
        c.Added(4, 1),
        c.Dense(5, 4),
    ]
    return c.MaskedNetwork(features, num_params, degrees, tuple(wires), context_features, **options)


def skipping(features: int, context_features: int) -> conditioners.MaskedNetwork:
    """A layer, and beside it one straight from the inputs to the rows; as Pyro has it."""
    c = conditioners
    degrees = (c.sorted_degrees(features, 12, 0 if context_features else 1),)
    first = [c.Dense(1, 0), *([c.Shifted(1)] if context_features else []), c.Activated(1, 1, nn.ReLU())]
    return c.MaskedNetwork(features, 2, degrees, (*first, c.Dense(2, 0), c.Dense(2, 1)), context_features)


def conv(features: int, context_features: int, num_params: int = 2, **options: Any) -> conditioners.CausalConv:
    return conditioners.CausalConv(features, num_params, 6, context_features, **options)


def attention(
    features: int, context_features: int, num_params: int = 2, **options: Any
) -> conditioners.CausalAttention:
    return conditioners.CausalAttention(
        features, num_params, 8, context_features, **{"heads": 2, "layers": 2, **options}
    )


CONDITIONERS: dict[str, Entry] = {
    "MaskedMLP": entry(mlp),
    "MaskedMLP(one layer)": entry(lambda d, m: mlp(d, m, 3, hidden=(12,), activation=nn.Tanh())),
    "MaskedMLP(three layers)": entry(lambda d, m: mlp(d, m, 1, hidden=(8, 20, 12), activation=nn.SiLU())),
    "MaskedMLP(residual)": entry(lambda d, m: mlp(d, m, hidden=(16, 16, 16), residual=True)),
    "MaskedMLP(gated)": entry(
        lambda d, m: mlp(d, m, hidden=(16, 16), residual=True, gated=True), context_features=(2,)
    ),
    "MaskedMLP(dropout)": entry(lambda d, m: mlp(d, m, activation=nn.ELU(), dropout=0.3)),
    "MaskedMLP(random order)": entry(lambda d, m: mlp(d, m, order=conditioners.random_order(d))),
    "MaskedMLP(random degrees)": entry(random_mlp, Traits(sees_all=False)),
    "MaskedNetwork": entry(network),
    "MaskedNetwork(rescaled)": entry(lambda d, m: network(d, m, order=conditioners.random_order(d), rescaled=True)),
    "MaskedNetwork(skips)": entry(skipping),
    "CausalConv": entry(conv),
    "CausalConv(three taps)": entry(
        lambda d, m: conv(d, m, 3, kernel=3, dilations=(1, 2), order=conditioners.random_order(d))
    ),
    "CausalConv(stationary)": entry(lambda d, m: conv(d, m, positions=False)),
    "CausalConv(short memory)": entry(lambda d, m: conv(d, m, dilations=(1,)), Traits(sees_all=False)),
    "CausalAttention": entry(attention),
    "CausalAttention(random order)": entry(
        lambda d, m: attention(d, m, 3, heads=1, layers=1, order=conditioners.random_order(d))
    ),
}


def autoregressive(
    features: int, context_features: int, t: Any = None, solver: Any = None, **options: Any
) -> cf.Autoregressive:
    t = t or U.Affine()
    return cf.Autoregressive(mlp(features, context_features, t.num_params, **options), t, solver=solver)


def coupling(features: int, context_features: int, t: Any = None) -> cf.Coupling:
    t = t or U.Affine()
    kept = tuple(i % 2 == 0 for i in range(features)) if features > 1 else (False,)
    outputs = kept.count(False) * t.num_params
    return cf.Coupling(kept, conditioners.MLP(kept.count(True), outputs, H, context_features), t, context_features)


def residual_coupling(features: int, context_features: int, **options: Any) -> cf.Coupling:
    """With one coordinate there is nothing to keep, and a network that reads only the context."""
    kept = tuple(i % 2 == 0 for i in range(features)) if features > 1 else (False,)
    if features == 1:
        return coupling(features, context_features)
    network = conditioners.ResidualMLP(kept.count(True), 2 * kept.count(False), 12, 2, context_features, **options)
    return cf.Coupling(kept, network, U.Affine(), context_features)


def side_by_side_coupling(features: int, context_features: int) -> cf.Coupling:
    kept = tuple(i % 2 == 0 for i in range(features)) if features > 1 else (False,)
    count = kept.count(False)
    networks = [conditioners.MLP(kept.count(True), count, hidden, context_features) for hidden in ((16,), (8, 8))]
    return cf.Coupling(kept, conditioners.SideBySide(networks), U.Affine(), context_features)


def chain(features: int, context_features: int) -> cf.Chain:
    return cf.Chain(
        [
            autoregressive(features, context_features),
            models.Reverse()(features),
            coupling(features, context_features, U.RationalQuadratic(bins=3)),
            bijections.LULinear(features),
        ]
    )


def one_order_chain(features: int, context_features: int) -> cf.Chain:
    parts = [autoregressive(features, context_features), bijections.ActNorm(features)]
    spline = autoregressive(features, context_features, U.RationalQuadratic(bins=3))
    return cf.Chain([*parts, cf.Inverse(spline), bijections.Standardise([0.5] * features, [2.0] * features)])


def mixed_support(features: int) -> bijections.Elementwise:
    low, high = [-math.inf, 0.0, -1.0, -math.inf, 0.0, 2.0], [math.inf, 1.0, math.inf, 2.0, 1.0, 3.0]
    return bijections.bounded(low[:features], high[:features])


def no_context(make: Callable[[int], Any], traits: Traits = Traits()) -> Entry:
    return entry(lambda d, m: make(d), traits, context_features=(0,))


BIJECTIONS: dict[str, Entry] = {
    "Autoregressive": entry(autoregressive),
    "Autoregressive(Additive)": entry(lambda d, m: autoregressive(d, m, U.Additive())),
    "Autoregressive(RationalQuadratic)": entry(lambda d, m: autoregressive(d, m, U.RationalQuadratic())),
    "Autoregressive(LinearRational)": entry(lambda d, m: autoregressive(d, m, U.LinearRational(bins=4), residual=True)),
    "Autoregressive(random order)": entry(lambda d, m: autoregressive(d, m, order=conditioners.random_order(d))),
    "Autoregressive(Stepwise)": entry(lambda d, m: autoregressive(d, m, solver=solvers.Stepwise())),
    "Autoregressive(FixedPoint)": entry(lambda d, m: autoregressive(d, m, solver=solvers.FixedPoint(0.0))),
    "Autoregressive(gated)": entry(
        lambda d, m: autoregressive(d, m, hidden=(16, 16), residual=True, gated=True), context_features=(2,)
    ),
    "Autoregressive(MaskedNetwork)": entry(lambda d, m: cf.Autoregressive(network(d, m, rescaled=True), U.Affine())),
    "Autoregressive(MaskedNetwork, skips)": entry(lambda d, m: cf.Autoregressive(skipping(d, m), U.Affine())),
    "Autoregressive(CausalConv)": entry(
        lambda d, m: cf.Autoregressive(conv(d, m, 8), U.RationalQuadratic(bins=3)), SOFT
    ),
    "Autoregressive(CausalAttention)": entry(lambda d, m: cf.Autoregressive(attention(d, m), U.Affine()), SOFT),
    "Inverse(Autoregressive)": entry(lambda d, m: cf.Inverse(autoregressive(d, m, U.Affine().inverted))),
    "Coupling": entry(coupling),
    "Coupling(Additive)": entry(lambda d, m: coupling(d, m, U.Additive())),
    "Coupling(ResidualMLP)": entry(residual_coupling),
    "Coupling(ResidualMLP, rescaled)": entry(lambda d, m: residual_coupling(d, m, dropout=0.3, rescaled=True)),
    "Coupling(Constant)": no_context(
        lambda d: cf.Coupling((False,) * d, conditioners.Constant(11 * d), U.RationalQuadratic(bins=4))
    ),
    "Coupling(SideBySide)": entry(side_by_side_coupling),
    "Coupling(RationalQuadratic)": entry(lambda d, m: coupling(d, m, U.RationalQuadratic(bins=4))),
    "Chain": entry(chain),
    "Chain(one order)": entry(one_order_chain),
    "Inverse(Chain)": entry(lambda d, m: cf.Inverse(chain(d, m))),
    "Permutation": no_context(lambda d: bijections.Permutation(torch.randperm(d).tolist())),
    "Permutation(identity)": no_context(lambda d: bijections.Permutation(range(d))),
    "Reflection": no_context(lambda d: bijections.Reflection(tuple(i % 2 == 0 for i in range(d)))),
    "LULinear": no_context(bijections.LULinear),
    "Rescale": no_context(bijections.Rescale),
    "ActNorm": no_context(bijections.ActNorm),
    "DiagonalAffine": no_context(bijections.DiagonalAffine),
    "Standardise": no_context(
        lambda d: bijections.Standardise([0.3 * i for i in range(d)], [0.5 + i for i in range(d)])
    ),
    "Elementwise(bounded)": no_context(mixed_support),
    "Elementwise(logit)": no_context(lambda d: bijections.logit(d, margin=0.01)),
    "Elementwise(positive)": no_context(bijections.positive),
}


@spec.register
class ToyEncoder(nn.Module):
    """A context encoder of the tests' own, registered, so that checkpoints need no hole."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.layer = nn.Linear(features, 3)

    def forward(self, context: Tensor) -> Tensor:
        if context.dim() == 0 or context.shape[-1] != self.features:
            raise ValueError(f"expected a context with {self.features} features, got shape {tuple(context.shape)}")
        return torch.tanh(self.layer(context))


def encoded(features: int, context_features: int) -> cf.Flow:
    encoder = ToyEncoder(context_features) if context_features else None
    return models.maf(features, 3 if encoder else 0, layers=2, hidden=H, context_encoder=encoder)


def in_context_units(features: int, context_features: int) -> cf.Flow:
    """Without logarithms: the laws draw contexts of either sign."""
    size = context_features
    units = conditioners.ContextUnits([0.5] * size, [2.0] * size, [False] * size) if size else None
    return models.maf(features, size, layers=2, hidden=H, context_encoder=units)


def embedded(features: int, context_features: int) -> cf.Flow:
    encoder = conditioners.EmbeddedContext((context_features,)) if context_features else None
    return models.maf(features, context_features, layers=2, hidden=H, context_encoder=encoder)


def one_order(features: int, context_features: int, t: Any = None) -> Any:
    options = {"layers": 2, "hidden": H, "permutation": None, "univariate": t}
    return cf.as_autoregressive(models.iaf(features, context_features, **options))


def over_a_model(features: int, context_features: int) -> cf.Flow:
    base = cf.AutoregressiveModel(mlp(features, context_features, 6), families.LogisticMixture(2))
    return cf.Flow(base, cf.Inverse(autoregressive(features, context_features, U.RationalQuadratic(bins=3))))


def in_other_units(features: int, context_features: int) -> cf.Flow:
    order = conditioners.random_order(features)
    base = cf.AutoregressiveModel(mlp(features, context_features, order=order), families.Normal())
    return cf.Flow(base, bijections.Standardise([0.5] * features, [2.0] * features))


def flow_over(base: Any, features: int, context_features: int) -> cf.Flow:
    return cf.Flow(base, cf.Inverse(autoregressive(features, context_features, U.Affine().inverted)))


def small(make: Callable[..., Any], **options: Any) -> Callable[[int, int], Any]:
    return lambda d, m: make(d, m, **{"hidden": H, "layers": 2, **options})


def base(make: Callable[[int], Any], **traits: Any) -> Entry:
    return no_context(make, Traits(refuses_context=False, **traits))


UNIT = Continuous(0.0, 1.0)
BINARY = Traits(support=Atoms((0.0, 1.0)), reparameterised=False, has_conditionals=True)
STEPS = Traits(has_conditionals=True)
MIXED = Traits(reparameterised=False, has_conditionals=True)
SCORES = Traits(reparameterised=False, perturb=soft)

DENSITIES: dict[str, Entry] = {
    "StandardNormal": base(bases.StandardNormal),
    "StandardLogistic": base(bases.StandardLogistic),
    "Uniform": base(lambda d: bases.Uniform(d, -1.0, 2.0), support=Continuous(-1.0, 2.0)),
    "DiagonalNormal": base(bases.DiagonalNormal),
    "StudentT": base(bases.StudentT),
    "NormalMixtureBase": base(lambda d: bases.NormalMixtureBase(d, 4), reparameterised=False),
    "AutoregressiveModel(Normal)": entry(lambda d, m: cf.AutoregressiveModel(mlp(d, m), families.Normal()), STEPS),
    "AutoregressiveModel(NormalMixture)": entry(
        lambda d, m: cf.AutoregressiveModel(
            mlp(d, m, 9, order=conditioners.random_order(d)), families.NormalMixture(3)
        ),
        MIXED,
    ),
    "AutoregressiveModel(Bernoulli)": entry(
        lambda d, m: cf.AutoregressiveModel(mlp(d, m, 1), families.Bernoulli()), BINARY
    ),
    "AutoregressiveModel(Logistic)": entry(lambda d, m: cf.AutoregressiveModel(mlp(d, m), families.Logistic()), STEPS),
    "AutoregressiveModel(LogisticMixture)": entry(
        lambda d, m: cf.AutoregressiveModel(mlp(d, m, 6), families.LogisticMixture(2)), MIXED
    ),
    "AutoregressiveModel(InterpolatedLogisticMixture)": entry(
        lambda d, m: cf.AutoregressiveModel(mlp(d, m, 6), families.InterpolatedLogisticMixture(2, step=0.5)), MIXED
    ),
    "AutoregressiveModel(DiscretisedLogisticMixture)": entry(
        lambda d, m: cf.AutoregressiveModel(
            mlp(d, m, 6), families.DiscretisedLogisticMixture(2, levels=3, low=0.0, high=2.0)
        ),
        Traits(support=Atoms((0.0, 1.0, 2.0)), reparameterised=False, has_conditionals=True),
    ),
    "AutoregressiveModel(Categorical)": entry(
        lambda d, m: cf.AutoregressiveModel(mlp(d, m, 4), families.Categorical(4, 0.0, 1.0)),
        Traits(support=UNIT, reparameterised=False, has_conditionals=True),
    ),
    "AutoregressiveModel(CausalConv)": entry(
        lambda d, m: cf.AutoregressiveModel(conv(d, m, 6), families.LogisticMixture(2)),
        Traits(reparameterised=False, has_conditionals=True, perturb=soft),
    ),
    "AutoregressiveModel(CausalAttention)": entry(
        lambda d, m: cf.AutoregressiveModel(attention(d, m), families.Logistic()),
        Traits(has_conditionals=True, perturb=soft),
    ),
    "Ensemble": entry(
        lambda d, m: cf.Ensemble([small(models.maf)(d, m), models.made(d, m, hidden=H)]), Traits(reparameterised=False)
    ),
    "Flow(base with parameters)": entry(lambda d, m: flow_over(bases.DiagonalNormal(d), d, m)),
    "Flow(StudentT)": entry(lambda d, m: flow_over(bases.StudentT(d), d, m)),
    "Flow(flow as base)": entry(lambda d, m: flow_over(models.iaf(d, m, layers=1, hidden=H), d, m), SOFT),
    "Flow(base alone sees the context)": entry(
        lambda d, m: cf.Flow(models.iaf(d, m, layers=1, hidden=H), bijections.ActNorm(d)), SOFT
    ),
    "Flow(context encoder)": entry(encoded, SOFT),
    "Flow(ContextUnits)": entry(in_context_units, SOFT),
    "Flow(EmbeddedContext)": entry(embedded, SOFT),
    "Flow(unit interval)": entry(
        lambda d, m: cf.Flow(bases.StandardNormal(d), cf.Chain([autoregressive(d, m), bijections.logit(d, 0.0)])),
        Traits(support=UNIT, perturb=soft),
    ),
    "as_autoregressive": entry(one_order, Traits(has_conditionals=True, perturb=soft)),
    "as_autoregressive(spline)": entry(
        lambda d, m: one_order(d, m, U.RationalQuadratic(bins=3)), Traits(has_conditionals=True, perturb=soft)
    ),
    "as_autoregressive(autoregressive base)": entry(
        lambda d, m: cf.as_autoregressive(over_a_model(d, m)),
        Traits(reparameterised=False, has_conditionals=True, perturb=soft),
    ),
    "as_autoregressive(normal base)": entry(
        lambda d, m: cf.as_autoregressive(in_other_units(d, m)), Traits(has_conditionals=True, perturb=soft)
    ),
    "models.made": entry(lambda d, m: models.made(d, m, hidden=H), STEPS),
    "models.made(ensemble)": entry(lambda d, m: models.made(d, m, hidden=H, members=3), Traits(reparameterised=False)),
    "models.made_mog": entry(lambda d, m: models.made_mog(d, m, components=3, hidden=H), MIXED),
    "models.maf": entry(small(models.maf), SOFT),
    "models.maf_mog": entry(small(models.maf_mog, components=3), SCORES),
    "models.iaf": entry(small(models.iaf, residual=True), SOFT),
    "models.nice": entry(small(models.nice), SOFT),
    "models.realnvp": entry(small(models.realnvp), SOFT),
    "models.nsf": entry(small(models.nsf, univariate=U.RationalQuadratic(bins=4)), SOFT),
    "models.nsf_coupling": entry(small(models.nsf_coupling, univariate=U.RationalQuadratic(bins=4)), SOFT),
    "models.recommended": entry(lambda d, m: models.recommended(d, m), SCORES, features=(1, 2, 3, 4)),
}

TABLE: dict[str, dict[str, Entry]] = {
    "univariate": UNIVARIATE,
    "conditioner": CONDITIONERS,
    "bijection": BIJECTIONS,
    "density": DENSITIES,
}
