"""Ours against the rivals: drawing, scoring, and one step of training, on the same sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from inverse_grid import LAYERS, Cell
from inverse_rivals import build
from inverse_timing import Clock, take_turns
from torch import Tensor, nn

import counterflow as cf

PASSES = 32  # consecutive coordinate passes of a rival that is too slow to be waited for
QUICK_SECONDS = 0.5  # a rival faster than this draws in full, by turns with ours
PATIENCE = 60.0  # the fastest rival draws in full where that takes at most so long,
SHORT_PATIENCE = 4.0  # the others where it takes at most so long
LARGE = 10_000  # a batch at which only the rival that was fastest at the batch before is measured


def counterflow_maf(features: int, hidden: int) -> Any:
    torch.manual_seed(0)
    return cf.models.maf(features, layers=LAYERS, hidden=(hidden, hidden))


@torch.no_grad()
def sampling(cell: Cell, clock: Clock, budget: float, *, only: str | None = None) -> dict[str, Any]:
    """Rows drawn by each library; the rivals' slow cells from some of their passes, `scaled` says which.

    Args:
        cell: Size and batch.
        clock: What to read.
        budget: Seconds for the turns.
        only: The one rival to measure at a large batch.
    """
    ours = counterflow_maf(cell.features, cell.hidden).eval().to(clock.device)
    rivals, refused = build(cell.features, cell.hidden)
    if only in rivals:
        rivals = {only: rivals[only]}
    y = torch.randn(cell.batch, cell.features, device=clock.device)
    rivals = {name: rival.to(clock.device) for name, rival in rivals.items()}
    guessed = {name: _guess(rival, y, clock) for name, rival in rivals.items()}
    quick = [name for name in rivals if guessed[name] < QUICK_SECONDS]
    count = min(PASSES, cell.features)
    candidates: dict[str, Callable[[], Any]] = {"counterflow": lambda: ours.sample(cell.batch)}
    for name, rival in rivals.items():
        candidates[name] = _drawing(rival, cell.batch) if name in quick else _passing(rival, y, count)
    slow = sum(guessed[name] for name in rivals if name not in quick) * count / (LAYERS * cell.features)
    times = take_turns(candidates, clock, budget, least_rounds=1 if slow > budget else 2)
    scale = {name: 1.0 if name in quick else LAYERS * cell.features / count for name in rivals}
    seconds = {name: times[name].least * scale[name] for name in rivals}
    scaled = [name for name in rivals if name not in quick]
    result: dict[str, Any] = {"refused": refused, "passes": count, "scaled_over_full": {}}
    fastest = min(seconds, key=lambda name: seconds[name])
    for name in [name for name in scaled if seconds[name] <= (PATIENCE if name == fastest else SHORT_PATIENCE)]:
        full = clock.seconds(_drawing(rivals[name], cell.batch))
        result["scaled_over_full"][name], seconds[name] = seconds[name] / full, full
        scaled.remove(name)
    fastest = min(seconds, key=lambda name: seconds[name])
    result |= {"counterflow": times["counterflow"].as_dict(), "rivals": seconds, "scaled": scaled, "fastest": fastest}
    result["ratio"] = seconds[fastest] / times["counterflow"].least
    return result


def scoring(cell: Cell, clock: Clock, budget: float) -> dict[str, Any]:
    """log_prob without gradients, and one training step: forward, backward, Adam; all libraries by turns."""
    models: dict[str, Any] = {"counterflow": counterflow_maf(cell.features, cell.hidden)}
    rivals, refused = build(cell.features, cell.hidden)
    models = {name: model.to(clock.device) for name, model in {**models, **rivals}.items()}
    x = torch.randn(cell.batch, cell.features, device=clock.device)
    scores = {name: _scoring(model.eval(), x) for name, model in models.items()}
    times = take_turns(scores, clock, budget, least_rounds=2)
    result: dict[str, Any] = {"refused": refused, "log_prob": {n: t.as_dict() for n, t in times.items()}}
    result["log_prob_fastest"], result["log_prob_ratio"] = _against({n: t.least for n, t in times.items()})
    steps = {name: _training(model.train(), x) for name, model in models.items()}
    times = take_turns(steps, clock, budget, least_rounds=2)
    result["step"] = {name: timed.as_dict() for name, timed in times.items()}
    result["step_fastest"], result["step_ratio"] = _against({n: t.least for n, t in times.items()})
    return result


def _against(seconds: dict[str, float]) -> tuple[str, float]:
    """The fastest rival, and its time in units of ours."""
    rivals = {name: value for name, value in seconds.items() if name != "counterflow"}
    fastest = min(rivals, key=lambda name: rivals[name])
    return fastest, rivals[fastest] / seconds["counterflow"]


def _guess(rival: Any, y: Tensor, clock: Clock) -> float:
    """Seconds of a whole draw, from two passes of one layer after one to warm up."""
    rival.passes(y[:1], 1)
    return clock.seconds(lambda: rival.passes(y, 2)) / 2 * LAYERS * y.shape[-1]


def _drawing(rival: Any, rows: int) -> Callable[[], Any]:
    return lambda: rival.sample(rows)


def _passing(rival: Any, y: Tensor, count: int) -> Callable[[], Any]:
    return lambda: rival.passes(y, count)


def _scoring(model: Any, x: Tensor) -> Callable[[], Any]:
    @torch.no_grad()
    def score() -> Tensor:
        return model.log_prob(x)  # type: ignore[no-any-return]

    return score


def _training(model: nn.Module, x: Tensor) -> Callable[[], Any]:
    """A step with a rate so small that the weights stay where the timing found them."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-9)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        (-model.log_prob(x).mean()).backward()  # type: ignore[operator]
        optimiser.step()

    return step
