"""Trained models of the benchmark: what they were trained on, and how exact their inverse is."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from inverse_grid import BINS, Cell
from torch import Tensor

import counterflow as cf
from counterflow.bijections import Autoregressive, Chain, Inverse
from counterflow.univariate import RationalQuadratic

RUNS = Path(__file__).resolve().parent.parent / "runs" / "inverse"
ROUND_TRIP_ROWS = 1_000_000
ROUND_TRIP_CHUNK = 10_000
TOLERANCE = 1e-6  # of the fixed point

# name: data, D, H, univariate map, steps of Adam at batch 256
RECIPES: dict[str, tuple[str, int, int, Any, int]] = {
    "chain64": ("chain", 64, 512, None, 400),
    "digits64": ("digits", 64, 512, None, 400),
    "chain256": ("chain", 256, 512, None, 300),
    "spline64": ("chain", 64, 256, RationalQuadratic(bins=BINS), 200),
}


def trained(name: str) -> cf.Flow:
    """A model of `RECIPES`, trained once and kept in `runs/`, not under version control."""
    data, features, hidden, univariate, steps = RECIPES[name]
    mark = hashlib.sha256(json.dumps([str(part) for part in RECIPES[name]]).encode()).hexdigest()[:10]
    path = RUNS / f"{name}-{mark}.safetensors"
    if path.exists():
        return cf.load(path)  # type: ignore[no-any-return]
    torch.manual_seed(0)
    flow = cf.models.maf(features, layers=5, hidden=(hidden, hidden), univariate=univariate)
    with torch.enable_grad():
        cf.fit(flow, _rows(data, features), steps=steps, batch_size=256, learning_rate=1e-3, progress=False)
    RUNS.mkdir(parents=True, exist_ok=True)
    cf.save(path, flow)
    return cf.load(path)  # type: ignore[no-any-return]


def agreement(cell: Cell) -> dict[str, Any]:
    """Errors of our inverse, and of the D-pass loop in the same precision, against the D-pass loop in float64.

    An error is |x - x64| / max(1, |x64|); rows are draws of the trained model.
    """
    flow = trained(cell.model)
    wide = copy.deepcopy(flow).double()
    rows = 1000 if flow.features <= 64 else 200
    u = torch.randn(rows, flow.features, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        truth, true_log_det = repeated_passes(wide, u.double())
        loop, loop_log_det = repeated_passes(flow, u)
        ours, our_log_det = flow.bijection(u)
        exact, exact_log_det = wide.bijection(u.double())
    result: dict[str, Any] = {"rows": rows, "features": flow.features}
    result["ours32"], result["loop32"] = _errors(ours, truth), _errors(loop, truth)
    result["ours32_log_det"] = _errors(our_log_det, true_log_det)
    result["loop32_log_det"] = _errors(loop_log_det, true_log_det)
    result["ours64"], result["ours64_log_det"] = _errors(exact, truth), _errors(exact_log_det, true_log_det)
    result["ratio_rms"] = result["ours32"]["rms"] / result["loop32"]["rms"]
    result["ratio_max"] = result["ours32"]["max"] / result["loop32"]["max"]
    return result


@torch.no_grad()
def roundtrip(cell: Cell, rows: int = ROUND_TRIP_ROWS) -> dict[str, Any]:
    """Noise to draw to noise again: the worst |u' - u| / max(1, |u|) over many draws, in float32."""
    flow = trained(cell.model)
    generator = torch.Generator().manual_seed(2)
    worst: list[Tensor] = []
    for start in range(0, rows, ROUND_TRIP_CHUNK):
        u = torch.randn(min(ROUND_TRIP_CHUNK, rows - start), flow.features, generator=generator)
        x, _ = flow.bijection(u)
        again, _ = flow.bijection.inverse(x)
        worst.append(((again - u).abs() / u.abs().clamp_min(1)).amax(-1))
    per_row = torch.cat(worst)
    return {
        "rows": rows,
        "features": flow.features,
        "max": float(per_row.max()),
        "median": float(per_row.median()),
        "percentile_99_9": float(per_row.sort().values[min(rows - 1, int(0.999 * rows))]),
    }


@torch.no_grad()
def fixedpoint(cell: Cell) -> dict[str, Any]:
    """Sweeps of the whole row that the fixed point needs, layer by layer, in both precisions."""
    from counterflow.solvers import FixedPoint

    result: dict[str, Any] = {"tolerance": TOLERANCE}
    for dtype in (torch.float32, torch.float64):
        flow = copy.deepcopy(trained(cell.model)).to(dtype)
        x = torch.randn(1000, flow.features, generator=torch.Generator().manual_seed(3)).to(dtype)
        sweeps, residuals = [], []
        for part in _parts(flow):
            if isinstance(part, Autoregressive):
                solution = FixedPoint(tolerance=TOLERANCE).solve(part.conditioner, part.univariate, x)
                x = solution.u
                sweeps.append(solution.sweeps)
                residuals.append(solution.residual)
            else:
                x, _ = part.inverse(x)
        kind = str(dtype).removeprefix("torch.")
        result |= {f"sweeps_{kind}": sweeps, f"residual_{kind}": max(residuals), "features": flow.features}
    return result


def repeated_passes(flow: cf.Flow, u: Tensor) -> tuple[Tensor, Tensor]:
    """The draw by D passes of the whole network per layer: what the other libraries do, and independent of solvers."""
    log_det = torch.zeros_like(u[..., 0])
    for part in _parts(flow):
        if not isinstance(part, Autoregressive):
            u, step = part.inverse(u)
            log_det = log_det + step
            continue
        x = torch.zeros_like(u)
        for i in part.order:  # pass i makes coordinate i final: its parameters read only coordinates before it
            params = part.conditioner(x)
            solved, log_slope = part.univariate.inverse(u[..., i], params[..., i, :])
            x[..., i] = solved
            log_det = log_det + log_slope
        u = x
    return u, log_det


def _parts(flow: cf.Flow) -> list[Any]:
    """The bijections of a MAF from noise to data, each to be applied by its `inverse`."""
    assert isinstance(flow.bijection, Inverse)
    assert isinstance(flow.bijection.bijection, Chain)
    return list(reversed(list(flow.bijection.bijection.parts)))


def _errors(value: Tensor, truth: Tensor) -> dict[str, float]:
    error = (value.double() - truth).abs() / truth.abs().clamp_min(1)
    return {"max": float(error.max()), "rms": float(error.square().mean().sqrt()), "median": float(error.median())}


def _rows(data: str, features: int) -> Tensor:
    if data == "digits":
        from sklearn.datasets import load_digits

        x = torch.tensor(load_digits().data, dtype=torch.float32)
        x = x + torch.rand(x.shape, generator=torch.Generator().manual_seed(4))
        return (x - x.mean(0)) / x.std(0)
    noise = torch.randn(20_000, features, generator=torch.Generator().manual_seed(5))
    columns = [noise[:, 0]]
    for i in range(1, features):  # each coordinate leans on the one before: the longest chain of dependence there is
        columns.append(torch.sin(2 * columns[-1]) + 0.3 * columns[-1] + 0.3 * noise[:, i])
    x = torch.stack(columns, -1)
    return (x - x.mean(0)) / x.std(0)
