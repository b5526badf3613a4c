"""Plain MAFs of three libraries and Counterflow's recommended preset on five real sets: fits, differences, seconds.

    python benchmarks/density.py [--sets ...] [--seeds 0 1 2] [--only plain|preset|speed] [--threads 1]

Every model is trained by `counterflow.fit` with the same rows, batches, optimiser, number of updates and early
stopping. Each finished fit leaves one JSON file in results/density/ and its test scores per row in runs/density/
(not under version control), so a run that is stopped goes on where it was, and several processes may share the work
(--sets, --seeds). Every call writes results/density.md and results/density.json from all fits there are.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import SETS, DensityData, load
from density_table import markdown, summary
from rivals import LIBRARIES, Architecture, parameter_count
from torch import Tensor, nn

import counterflow as cf

HERE = Path(__file__).resolve().parent
CELLS = HERE / "results" / "density"
ROWS = HERE.parent / "runs" / "density"
PRESET = "recommended"


@dataclass(frozen=True)
class Training:
    """What `fit` is told: the updates at most, and validations without improvement before it stops.

    The learning rate falls to 0 over `steps` along a cosine. `validate_every` None is once an epoch.
    """

    steps: int
    learning_rate: float
    batch_size: int = 256
    patience: int = 20
    validate_every: int | None = None
    average: cf.ExponentialAverage | None = None


# The activation, width and rate of the plain MAFs are those that did best on validation rows with zuko (ReLU or tanh,
# 1e-3 or 3e-3); early stopping decides how long the small sets are trained, the fixed number of updates on bsds300.
PLAIN: dict[str, tuple[Architecture, Training]] = {
    "maf_power_mini": (Architecture(100), Training(2500, 3e-3)),
    "maf_gas_mini": (Architecture(100), Training(2500, 3e-3)),
    "maf_hepmass_mini": (Architecture(100, nn.Tanh), Training(3000, 3e-3)),
    "maf_miniboone": (Architecture(100, nn.Tanh), Training(3000, 3e-3)),
    "bsds300": (Architecture(100), Training(1500, 3e-3, validate_every=250)),
}

# The preset is trained as the plain MAFs of its set are, and its weights are averaged.
PRESET_AVERAGE = cf.ExponentialAverage(0.99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--only", choices=("plain", "preset", "speed", "table"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = {None: (*LIBRARIES, PRESET), "plain": tuple(LIBRARIES), "preset": (PRESET,)}.get(arguments.only, ())
    for seed in arguments.seeds:
        for name in arguments.sets:
            for row in rows:
                _fit_once(name, row, seed)
    if arguments.only in (None, "speed"):
        for name in arguments.sets:
            _time(name)
    _write_tables()


def _fit_once(name: str, row: str, seed: int) -> None:
    """Train one model and keep its scores, unless that is done."""
    path = CELLS / f"{name}-{row}-{seed}.json"
    if path.exists() and _scores_path(name, row, seed).exists():
        return
    data = load(name)
    torch.manual_seed(seed)  # the weights' random start; `fit` itself draws nothing from this stream but dropout
    module, training = _model(row, data)
    start = time.perf_counter()
    history = cf.fit(
        module,
        data.train,
        validation=data.validation,
        steps=training.steps,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        patience=training.patience,
        validate_every=training.validate_every,
        seed=seed,
        average=training.average,
        progress=False,
    )
    seconds = time.perf_counter() - start
    validation, test = _score(module, data.validation) + data.log_det, _score(module, data.test) + data.log_det
    count = parameter_count(module)
    cell = {
        "set": name,
        "row": row,
        "seed": seed,
        "parameters": count.stored,
        "unmasked": count.unmasked,
        "steps": history.steps,
        "best_step": history.best_step,
        "seconds": seconds,
        "threads": torch.get_num_threads(),
        "validation_mean": float(validation.mean()),
        "test_mean": float(test.mean()),
        "test_se": float(test.std(ddof=1) / math.sqrt(len(test))),
        "test_median": float(np.median(test)),
        "test_least": float(test.min()),
    }
    _save_scores(_scores_path(name, row, seed), test)
    _save_json(path, cell)
    print(f"{name:17s} {row:12s} seed {seed}: test {cell['test_mean']:.3f}, {seconds:.0f} s", flush=True)


def _model(row: str, data: DensityData) -> tuple[nn.Module, Training]:
    """A fresh model of one row of the table, and how it is trained."""
    architecture, training = PLAIN[data.name]
    if row == PRESET:
        return cf.models.recommended(data.features), replace(training, average=PRESET_AVERAGE)
    return LIBRARIES[row](data.features, architecture), training


@torch.no_grad()
def _score(module: nn.Module, x: Tensor) -> np.ndarray:
    module.eval()
    log_prob: Callable[[Tensor], Tensor] = module.log_prob  # type: ignore[assignment]
    return torch.cat([log_prob(part) for part in x.split(1024)]).double().numpy()


def _time(name: str, rounds: int = 7, updates: int = 150) -> None:
    """Seconds per epoch of `fit` for each plain MAF, in turn: what else the machine does then hits all alike.

    A round trains each library for whole epochs of at least `updates` updates together and counts what `fit` itself
    counts, its steps: not what it does once, a data-dependent start for one.
    """
    data = load(name)
    architecture, training = PLAIN[name]
    modules = {library: build(data.features, architecture) for library, build in LIBRARIES.items()}
    per_epoch = len(data.train) // training.batch_size
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for turn in range(rounds + 1):
        for library, module in modules.items():
            history = cf.fit(
                module,
                data.train,
                epochs=math.ceil(updates / per_epoch),
                batch_size=training.batch_size,
                learning_rate=training.learning_rate,
                seed=turn,
                progress=False,
            )
            assert history.seconds_per_epoch is not None
            if turn > 0:  # the first is a warm-up
                seconds[library].append(history.seconds_per_epoch)
    entry = {"updates": per_epoch, "threads": torch.get_num_threads(), "rounds": rounds, "seconds": seconds}
    _save_json(CELLS / f"speed-{name}.json", entry)
    print(name, {library: round(min(values), 3) for library, values in seconds.items()}, flush=True)


def _write_tables() -> None:
    files = [
        CELLS / f"{name}-{row}-{seed}.json" for name in SETS for row in (*LIBRARIES, PRESET) for seed in range(100)
    ]
    cells = [json.loads(path.read_text()) for path in files if path.exists()]
    scores: dict[str, dict[tuple[str, int], np.ndarray]] = {name: {} for name in SETS}
    for cell in cells:
        path = _scores_path(cell["set"], cell["row"], cell["seed"])
        if path.exists():
            scores[cell["set"]][cell["row"], cell["seed"]] = np.load(path)
    timed = {name: CELLS / f"speed-{name}.json" for name in SETS}
    speed = {name: json.loads(path.read_text()) for name, path in timed.items() if path.exists()}
    result = summary(cells, scores, tuple(LIBRARIES))
    _save_json(HERE / "results" / "density.json", {"sets": result, "speed": speed})
    (HERE / "results" / "density.md").write_text(markdown(result, speed, _header()))


def _header() -> str:
    plain = "\n".join(
        f"| {name} | {a.layers} layers of ({a.hidden}, {a.hidden}), {a.activation.__name__} "
        f"| {t.batch_size} | {t.learning_rate:g} | {t.steps} "
        f"| {t.patience} validations, one every {f'{t.validate_every} updates' if t.validate_every else 'epoch'} |"
        for name, (a, t) in PLAIN.items()
    )
    return f"""# Density estimation: plain MAFs of three libraries, and the recommended preset

Written by `benchmarks/density.py` (torch {torch.__version__}, {platform.machine()}, float32, one thread unless a cell
says otherwise). The sets are partial: these figures compare models on the same rows and are not published-benchmark
results. Training: `counterflow.fit` for every library, AdamW (weight decay 1e-4), cosine to 0, gradient norm clipped
at 10, weights of the best validation kept. The recommended preset is trained in the same way with at most as many
updates; its weights are averaged (decay {PRESET_AVERAGE.decay:g}).

| set | plain MAF | batch | rate | updates at most | patience |
|---|---|---|---|---|---|
{plain}
"""


def _scores_path(name: str, row: str, seed: int) -> Path:
    return ROWS / f"{name}-{row}-{seed}.npy"


def _save_scores(path: Path, scores: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, scores)


def _save_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n")
    part.replace(path)


if __name__ == "__main__":
    main()
