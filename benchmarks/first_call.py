"""What the first call of each CPU kernel costs: compiled, from the folder on disk, and warm.

    python benchmarks/first_call.py

Each line is two processes, the second of which finds what the first one compiled, in a folder made for the purpose.
Seconds of processor time on one thread. The package is imported before the clock starts; the kernels and Numba are
not. Writes results/first_call.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from inverse_machine import about

RESULT = Path(__file__).resolve().parent / "results" / "first_call.md"
CALLS = {  # what is called, with a MAF of 64 columns
    "sample 1,000 rows, float32": "torch.float32, lambda: maf.sample(1000)",
    "sample 1 row, float32": "torch.float32, lambda: maf.sample(1)",
    "a gradient through the inverse, 1,000 rows, float32": (
        "torch.float32, lambda: maf.rsample_and_log_prob(1000)[1].mean().backward()"
    ),
    "sample 1,000 rows, float64": "torch.float64, lambda: maf.sample(1000)",
}
PROGRAM = """
import json, time
import torch
import counterflow as cf

torch.set_num_threads(1)
maf = cf.models.maf(64, layers=1, hidden=(512, 512))
torch.randn(10, 10) @ torch.randn(10, 10)
dtype, call = {call}
maf = maf.to(dtype)
seconds = []
for _ in range(5):
    begun = time.process_time()
    call()
    seconds.append(time.process_time() - begun)
print(json.dumps([seconds[0], min(seconds[1:])]))
"""


def first_and_later(call: str, folder: str) -> tuple[float, float]:
    """Seconds of the first call in a new process, and the least of four later ones."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM.format(call=call)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, later = json.loads(done.stdout.splitlines()[-1])
    return first, later


def main() -> None:
    rows = []
    for name, call in CALLS.items():
        with tempfile.TemporaryDirectory() as folder:
            compiled, _ = first_and_later(call, folder)
            cached, warm = first_and_later(call, folder)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        rows.append(f"| {name} | {compiled:.1f} | {cached:.2f} | {warm:.4f} | {size / 2**20:.1f} |")
        print(rows[-1], flush=True)
    machine = about("cpu")
    versions = ", ".join(f"{package} {machine['versions'][package]}" for package in ("torch", "numba"))
    lines = [
        "# The first call of the CPU kernels",
        "",
        f"Written by `python benchmarks/first_call.py`. Seconds of processor time, one thread; {machine['machine']}, "
        f"Python {machine['python']}, {versions}. A MAF of 64 columns with one layer of 512 + 512 units.",
        "",
        "| call | nothing on disk: compiled | compiled before, new process | warm | MiB on disk |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]
    RESULT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
