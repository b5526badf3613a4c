"""What an exported sampler costs in onnxruntime, beside the same sampler in PyTorch.

    python benchmarks/export.py

An IAF of 64 columns, five layers of 512 + 512 units, in single precision, on one thread. The calls of the ways take
turns; each figure is the least of its turns. Then what students of the recommended preset round, and how much another
order of the same sums changes that, for the bounds of the check of exports. Writes results/export.md.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from inverse_machine import processor

import counterflow as cf
from counterflow import distillation
from counterflow.exporting.agreement import differences, root_mean_square

RESULT = Path(__file__).resolve().parent / "results" / "export.md"
FEATURES, BATCHES, TURNS = 64, (1, 1000), {1: 200, 1000: 20}
LAYERS, HIDDEN = 5, (512, 512)
STUDENTS, NOISES, ROWS = [(columns, seed) for columns in (2, 3) for seed in range(4)], 40, 1000


def ways(flow: cf.Flow, folder: Path) -> tuple[dict[str, Callable[[torch.Tensor], object]], list[str]]:
    """A call for each way to run the sampler on given noise, and sentences on what was exported."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    exported = cf.export_onnx(folder / "iaf.onnx", flow)
    cf.export_torch(folder / "iaf.pt2", flow)
    session = onnxruntime.InferenceSession(str(exported.path), options, providers=["CPUExecutionProvider"])
    program = torch.export.load(folder / "iaf.pt2").module()
    size = exported.path.stat().st_size / 2**20
    told = [f"The file has {size:.1f} MiB; its largest difference from the flow in double precision is "]
    told[0] += f"{exported.largest_difference:.1e}, that of the flow itself {exported.rounding:.1e}."
    return {
        "onnxruntime": lambda u: session.run(None, {"noise": u.numpy()}),
        "torch.export program": program,
        "counterflow (its kernel)": lambda u: flow.bijection(u)[0],
    }, told


def milliseconds(calls: dict[str, Callable[[torch.Tensor], object]], batch: int) -> dict[str, float]:
    """The least of the calls, after three that do not count."""
    u = torch.randn(batch, FEATURES, generator=torch.Generator().manual_seed(batch))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS[batch] + 3):
        for name, call in calls.items():
            begun = time.perf_counter()
            call(u)
            if turn >= 3:
                seconds[name].append(time.perf_counter() - begun)
    return {name: 1e3 * min(s) for name, s in seconds.items()}


def student(columns: int, seed: int) -> cf.Flow:
    """Of the recommended preset, taught as `counterflow distil` begins, but for a hundred steps."""
    torch.manual_seed(seed)
    teacher = cf.models.recommended(columns)
    z = torch.randn(2000, columns)
    x = torch.cat([z[:, :1], (z[:, :-1].square() + z[:, 1:]) / 1.5 - 0.5], -1)
    cf.fit(teacher, x, validation=0.1, steps=100, batch_size=128, learning_rate=2e-3, progress=False)
    found = distillation.student_of(teacher, network=distillation.Masked((64, 64)))
    start = distillation.MatchedLayers(teacher.sample(4000), 128)
    distillation.distil(found, teacher, objective=start, steps=100, learning_rate=2e-3, held_out=256, progress=False)
    return found.eval().requires_grad_(False)


def rounding(flow: cf.Flow) -> torch.Tensor:
    """What the flow rounds as plain PyTorch and by its kernel, at 99 % of the rows and in the worst: (NOISES, 2, 2)."""
    exact = copy.deepcopy(flow).double()
    found = []
    for seed in range(NOISES):
        u = flow.base.sample(ROWS, generator=torch.Generator().manual_seed(seed))
        truth, plain = exact.bijection(u.double())[0], flow.bijection(u)[0]  # with gradients recorded, without a kernel
        with torch.no_grad():
            fast = flow.bijection(u)[0]
        apart = [differences(truth, x, root_mean_square(truth)) for x in (plain, fast)]
        found.append(torch.stack([torch.stack([rows.quantile(0.99), rows.max()]) for rows in apart]))
    return torch.stack(found)


def rounding_lines() -> list[str]:
    lines = [
        "",
        "## What a student rounds",
        "",
        f"Students of the recommended preset, a hundred steps of teaching, {NOISES} batches of {ROWS:,} draws: the "
        "largest relative difference from the same flow in double precision. Plain PyTorch and the kernel add the same "
        "numbers in another order; what one rounds over what the other does, at 99 % of the rows and in the worst.",
        "",
        "| columns | seed | plain, worst row: median and largest of the batches | kernel over plain, 99 % of rows "
        "| kernel over plain, worst row |",
        "|---|---|---|---|---|",
    ]
    for columns, seed in STUDENTS:
        found = rounding(student(columns, seed))
        worst, ratios = found[:, 0, 1], found[:, 1] / found[:, 0]
        low, high = ratios.amin(0).tolist(), ratios.amax(0).tolist()
        spans = [f"{a:.2f} to {b:.2f}" for a, b in zip(low, high, strict=True)]
        lines.append(f"| {columns} | {seed} | {worst.median():.1e}, {worst.max():.1e} | {spans[0]} | {spans[1]} |")
    return lines


def main() -> None:
    import onnxruntime

    torch.set_num_threads(1)
    torch.manual_seed(0)
    flow = cf.models.iaf(FEATURES, layers=LAYERS, hidden=HIDDEN).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        calls, told = ways(flow, Path(folder))
        found = {batch: milliseconds(calls, batch) for batch in BATCHES}
    lines = [
        "# The exported sampler",
        "",
        "Written by `python benchmarks/export.py`. One thread, single precision; the least of "
        f"{TURNS[1]} calls at batch 1 and {TURNS[1000]} at 1,000; {processor()}, torch {torch.__version__}, "
        f"onnxruntime {onnxruntime.__version__}.",
        f"An IAF of {FEATURES} columns, {LAYERS} layers of {HIDDEN[0]} + {HIDDEN[1]} units. {told[0]}",
        "",
        "| way | latency, batch 1 (ms) | batch 1,000 (ms) | draws per second, batch 1,000 |",
        "|---|---|---|---|",
        *(
            f"| {name} | {found[1][name]:.2f} | {found[1000][name]:.1f} | {1e6 / found[1000][name]:,.0f} |"
            for name in calls
        ),
        *rounding_lines(),
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
