"""What each part of the recommended preset is worth: variants of it, scored on validation rows.

    python benchmarks/preset_search.py [--sets maf_hepmass_mini maf_power_mini] [--threads 1]

Each variant changes one thing. Rows, batches and updates are those of density.py, seed 0; test rows are not read.
Finished fits are kept in results/preset_search/, the table goes to results/preset_search.md.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from datasets import SETS, DensityData, load
from density import PLAIN, PRESET_AVERAGE, Training
from torch import nn

import counterflow as cf
from counterflow.bijections import LULinear, Permutation
from counterflow.univariate import Affine, RationalQuadratic, Univariate

HERE = Path(__file__).resolve().parent
CELLS = HERE / "results" / "preset_search"
AFFINE, SPLINE = Affine().inverted, RationalQuadratic()


@dataclass(frozen=True)
class Variant:
    """A flow of the preset's kind: maps from the data to the base, and how it is built and trained."""

    maps: tuple[Univariate, ...] = (AFFINE, AFFINE, SPLINE, SPLINE)
    components: int = 10
    width: int = 128
    activation: type[nn.Module] = nn.SiLU
    dropout: float = 0.0
    linear: bool = True
    average: cf.ExponentialAverage | None = PRESET_AVERAGE
    learning_rate: float = 3e-3

    def build(self, features: int) -> cf.Flow:
        parts: list[cf.Bijection] = []
        for univariate in self.maps:
            conditioner = cf.MaskedMLP(
                features,
                univariate.num_params,
                (self.width, self.width),
                residual=True,
                activation=self.activation(),
                dropout=self.dropout,
            )
            parts += [cf.Autoregressive(conditioner, univariate), Permutation(range(features - 1, -1, -1))]
            parts += [LULinear(features)] if self.linear else []
        return cf.Flow(self._base(features), cf.Inverse(cf.Chain(parts)))

    def _base(self, features: int) -> cf.Base | cf.Model:
        if not self.components:
            return cf.bases.StandardNormal(features)
        return cf.models.made_mog(
            features,
            components=self.components,
            hidden=(self.width, self.width),
            residual=True,
            activation=self.activation(),
            dropout=self.dropout,
        )


PRESET = Variant()
VARIANTS = {
    "the preset": PRESET,
    "normal base instead of the mixtures": replace(PRESET, components=0),
    "affine layers only": replace(PRESET, maps=(AFFINE,) * 4),
    "spline layers only": replace(PRESET, maps=(SPLINE,) * 4),
    "no LU layers": replace(PRESET, linear=False),
    "tanh instead of SiLU": replace(PRESET, activation=nn.Tanh),
    "64 units instead of 128": replace(PRESET, width=64),
    "dropout 0.2": replace(PRESET, dropout=0.2),
    "weights not averaged": replace(PRESET, average=None),
    "learning rate 1e-3": replace(PRESET, learning_rate=1e-3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=["maf_hepmass_mini", "maf_power_mini"])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    CELLS.mkdir(parents=True, exist_ok=True)
    for name in arguments.sets:
        data, (_, training) = load(name), PLAIN[name]
        for number, (title, variant) in enumerate(VARIANTS.items()):
            path = CELLS / f"{name}-{number}.json"
            if not path.exists():
                path.write_text(json.dumps(_fit(data, title, variant, training), indent=1) + "\n")
    _write_table()


def _fit(data: DensityData, title: str, variant: Variant, training: Training) -> dict[str, object]:
    torch.manual_seed(0)
    flow = variant.build(data.features)
    start = time.process_time()
    history = cf.fit(
        flow,
        data.train,
        validation=data.validation,
        steps=training.steps,
        batch_size=training.batch_size,
        learning_rate=variant.learning_rate,
        patience=training.patience,
        validate_every=training.validate_every,
        average=variant.average,
        seed=0,
        progress=False,
    )
    assert history.best_validation is not None
    score = data.log_det - history.best_validation
    print(f"{data.name:17s} {title:36s} {score:.3f}", flush=True)
    return {
        "set": data.name,
        "variant": title,
        "parameters": sum(p.numel() for p in flow.parameters()),
        "validation_mean": score,
        "steps": history.steps,
        "best_step": history.best_step,
        "cpu_seconds": time.process_time() - start,
    }


def _write_table() -> None:
    cells = [json.loads(path.read_text()) for path in sorted(CELLS.glob("*.json"))]
    names = [name for name in SETS if any(cell["set"] == name for cell in cells)]
    lines = [
        "# Parts of the recommended preset: mean validation log-likelihood, nats (higher is better)\n",
        "Written by `benchmarks/preset_search.py`: one fit each (seed 0), rows and updates as in density.md. "
        "In brackets the CPU seconds of the fit.\n",
        f"| variant | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for title in VARIANTS:
        found = {cell["set"]: cell for cell in cells if cell["variant"] == title}
        values = [
            f"{found[name]['validation_mean']:.3f} ({found[name]['cpu_seconds']:.0f})" if name in found else ""
            for name in names
        ]
        lines.append(f"| {title} | {' | '.join(values)} |")
    (HERE / "results" / "preset_search.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
