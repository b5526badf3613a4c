"""What an exported sampler costs in onnxruntime, beside the same sampler in PyTorch.

    python benchmarks/export.py

An IAF of 64 columns, five layers of 512 + 512 units, in single precision, on one thread. The calls of the ways take
turns; each figure is the least of its turns. Writes results/export.md.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from inverse_machine import processor

import counterflow as cf

RESULT = Path(__file__).resolve().parent / "results" / "export.md"
FEATURES, BATCHES, TURNS = 64, (1, 1000), {1: 200, 1000: 20}
LAYERS, HIDDEN = 5, (512, 512)


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
    told = [f"The file has {size:.1f} MiB; its largest difference from the flow is {exported.largest_difference:.1e}."]
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
    ]
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
