"""`import counterflow` stays light: what it loads beyond torch, and how long that takes."""

import json
import subprocess
import sys

SECONDS = 0.3
RUNS = 5

# Packages that cost more than the whole budget, or that only one task needs.
HEAVY = {
    *("matplotlib", "PIL", "jinja2", "rich", "typer"),
    *("sklearn", "scipy", "pandas", "pyarrow", "numba", "triton", "sympy"),
    *("lightning_fabric", "lightning", "torchmetrics", "tensorboard", "torch._dynamo", "torch._inductor"),
    *("zuko", "nflows", "normflows", "pyro"),
}

PROBE = """
import json, sys, time
import torch
before, start = set(sys.modules), time.process_time()
import {module}
seconds = time.process_time() - start
print(json.dumps([seconds, sorted(set(sys.modules) - before)]))
"""


def test_importing_the_package_adds_little_to_importing_torch() -> None:
    """Processor seconds, the least of a few runs: a busy machine and cold files make a run slower, never faster."""
    assert any(seconds_and_modules("counterflow")[0] < SECONDS for _ in range(RUNS))


def test_importing_the_package_loads_no_heavy_package() -> None:
    assert HEAVY & seconds_and_modules("counterflow")[1] == set()


def test_the_probe_sees_a_heavy_package() -> None:
    assert "matplotlib" in HEAVY & seconds_and_modules("matplotlib")[1]


def seconds_and_modules(module: str) -> tuple[float, set[str]]:
    """What `import module` adds to `import torch`, in a fresh process in which a warning is an error."""
    command = [sys.executable, "-W", "error", "-c", PROBE.format(module=module)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    seconds, loaded = json.loads(result.stdout)
    return seconds, set(loaded)
