"""The kernel through the whole compiler, to machine code: what the interpreter accepts the compiler may not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.where import reason_to_skip

if reason_to_skip(needs_device=False):
    pytest.skip(reason_to_skip(needs_device=False), allow_module_level=True)

SMALLEST_SHARED_MEMORY = 96 * 1024  # of a multiprocessor since compute capability 7.0, in bytes


@pytest.fixture
def compiled(tmp_path: Path) -> dict[str, dict[str, int]]:
    """In a process of its own: this one has its functions checked by beartype, or interpreted."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    script = Path(__file__).with_name("compiling.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, int]] = json.loads(done.stdout)
    return found


def test_it_compiles_to_machine_code_without_losing_precision(compiled: dict[str, dict[str, int]]) -> None:
    assert len(compiled) == 5
    for name, case in compiled.items():
        assert case["bytes"] > 0
        assert case["shared"] < SMALLEST_SHARED_MEMORY
        if "float64" in name:
            assert case["single"] == 0, f"{name}: some numbers are float32"
        else:
            assert case["single"] > 0
