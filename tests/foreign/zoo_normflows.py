"""The models of normflows whose conversions are tested and measured: with a context where there is one."""

from collections.abc import Callable
from typing import Any

import normflows as nf
import torch
from torch import Tensor, nn

import counterflow as cf
from counterflow.interop import from_normflows
from counterflow.interop.precision import by_default
from foreign.agreement import ROWS, perturb_

D, M, H = 5, 3, 16
F = nf.flows
KEPT = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0])


def mlp(*widths: int) -> nn.Module:
    return nf.nets.MLP(list(widths))  # type: ignore[no-any-return]


def blocks(scale_map: str) -> list[Any]:
    return [
        F.AffineCouplingBlock(mlp(3, H, 4), scale_map=scale_map),
        F.Permute(D),
        F.AffineCouplingBlock(mlp(2, H, 6), scale_map=scale_map, split_mode="channel_inv"),
    ]


def started(layer: Any) -> Any:
    layer(torch.randn(64, D) * 2 + 1)
    return layer


def maf(**options: Any) -> Any:
    return F.Reverse(F.MaskedAffineAutoregressive(D, H, **options))


PLAIN: dict[str, Callable[[], list[Any]]] = {
    "masked affine, from noise": lambda: [F.MaskedAffineAutoregressive(D, H), F.Permute(D), maf(num_blocks=1)][:2],
    "masked affine, from data": lambda: [maf(), F.Permute(D, "swap"), maf(activation=torch.tanh)],
    "no residual blocks": lambda: [maf(use_residual_blocks=False), maf(use_residual_blocks=False, random_mask=True)],
    "batch normalisation": lambda: [maf(use_batch_norm=True), maf(use_residual_blocks=False, use_batch_norm=True)],
    "autoregressive splines": lambda: [
        F.AutoregressiveRationalQuadraticSpline(D, 2, H, permute_mask=True),
        F.LULinearPermute(D),
        F.AutoregressiveRationalQuadraticSpline(D, 1, H, num_bins=4, tail_bound=2, activation=nn.SiLU),
    ],
    "coupling splines": lambda: [
        F.CoupledRationalQuadraticSpline(D, 2, H),
        F.LULinearPermute(D),
        F.CoupledRationalQuadraticSpline(D, 1, H, reverse_mask=True, num_bins=5),
    ],
    "couplings, exp": lambda: blocks("exp"),
    "couplings, sigmoid": lambda: blocks("sigmoid"),
    "couplings, inverse sigmoid": lambda: blocks("sigmoid_inv"),
    "couplings, additive": lambda: [F.AffineCouplingBlock(mlp(3, H, H, 2), scale=False)],
    "RealNVP": lambda: [
        F.MaskedAffineFlow(KEPT, mlp(D, 8, 8, D), mlp(D, 8, D)),
        F.MaskedAffineFlow(1 - KEPT, mlp(D, 8, D)),
        F.MaskedAffineFlow(KEPT, None, mlp(D, 8, D)),
    ],
    "linear layers": lambda: [
        F.InvertibleAffine(D),
        started(F.ActNorm(D)),
        F.InvertibleAffine(D, use_lu=False),
        F.AffineConstFlow(D, scale=False),
        F.AffineConstFlow((D,)),
    ],
    "composed": lambda: [F.base.Composite([F.Permute(D), maf()]), F.Reverse(F.base.Composite([F.Permute(D), maf()]))],
}
GIVEN: dict[str, Callable[[], list[Any]]] = {
    "masked affine": lambda: [F.MaskedAffineAutoregressive(D, H, context_features=M), F.Permute(D)],
    "masked affine, batch normalisation": lambda: [
        F.MaskedAffineAutoregressive(D, H, context_features=M, use_batch_norm=True),
        F.InvertibleAffine(D),
    ],
    "autoregressive splines": lambda: [
        F.AutoregressiveRationalQuadraticSpline(D, 2, H, num_context_channels=M, permute_mask=True),
        F.LULinearPermute(D),
    ],
    "coupling splines": lambda: [
        F.CoupledRationalQuadraticSpline(D, 2, H, num_context_channels=M),
        F.LULinearPermute(D),
        F.CoupledRationalQuadraticSpline(D, 1, H, num_context_channels=M, reverse_mask=True),
    ],
}
CASES = [(kind, 0) for kind in PLAIN] + [(kind, M) for kind in GIVEN]


def made(kind: str, width: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    """One of `CASES`, as training might have left it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flows = (GIVEN if width else PLAIN)[kind]()
        base = nf.distributions.base.DiagGaussian(D, trainable="from data" in kind)
        if kind == "autoregressive splines" and width:
            base = nf.distributions.base.ConditionalDiagGaussian(D, mlp(M, 8, 2 * D))
        kinds = nf.ConditionalNormalizingFlow if width else nf.NormalizingFlow
        model = perturb_(kinds(base, flows)).to(dtype).eval()
        if kind in (
            "couplings, exp",
            "couplings, inverse sigmoid",
            "RealNVP",
        ):  # exponentials of networks: their far points would be infinite
            with torch.no_grad():
                torch._foreach_mul_(list(model.parameters()), 0.4)
        return model


convert = from_normflows


def scored(theirs: Any, x: Tensor, c: Tensor | None) -> Tensor:
    """Its log density."""
    with by_default(x.dtype):  # compositions of normflows add up log-dets in no other precision
        scores: Tensor = theirs.log_prob(x, *(() if c is None else (c,)))
    return scores


def drawn(theirs: Any, ours: cf.Flow, c: Tensor | None, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Samples of ours and of theirs, from equal noise."""
    given = () if c is None else (c,)
    torch.manual_seed(3)
    expected = theirs.sample(ROWS, *given)[0]
    torch.manual_seed(3)
    return ours.sample((ROWS,) if c is None else (), *given), expected
